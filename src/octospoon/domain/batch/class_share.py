"""The share of a batch for classes that were added and have few labels yet.

No strategy finds images of a class that the model does not know: the model may be sure that they belong to
another class. So a part of the batch goes to the images that differ most from every labelled image, among a
sample of the whole pool. As soon as the model was trained on some labels of the class, that part goes to the
images that it most likely takes for the class.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.labelling.classes import ChangeKind
from octospoon.domain.monitoring.observations import DriftExample
from octospoon.domain.pool.boxes import classes_of, of_classes, together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.task_types.task_type import Translation

NEW_CLASS = "new-class"
"""The strategy of images that were chosen for a class with few labels."""
ENOUGH = 20
"""Number of training labels with which a class no longer needs a share of its own."""
ROUNDS = 20
"""Number of newest rounds whose labelled images are compared with the pool."""
LOOKED_AT = 2000
"""Number of images of the pool among which the share is chosen."""


def sought(history: ClassHistory, labels: Mapping[str, int]) -> dict[str, int]:
    """Return the added classes that have few training labels, with the numbers of these labels.

    Args:
        history: the project's classes.
        labels: number of training labels by class name, at the newest training job.
    """
    now: Counter[str] = Counter()
    for name, count in labels.items():
        now[history.current(name) or ""] += count
    added = [
        name
        for change in history.changes
        if change.kind is ChangeKind.ADD and not change.undone
        for name in map(history.current, change.names)
        if name is not None
    ]
    return {name: now[name] for name in added if now[name] < ENOUGH}


def examples(
    rows: Sequence[PoolRow],
    model: Sequence[str],
    translated: Translation,
    wanted: Mapping[str, int],
    labelled: Sequence[PoolRow] = (),
) -> list[DriftExample]:
    """Return the images that most likely show a class that is sought, with their scores, best first.

    Args:
        rows: images of the pool; those that another model scored, or none, are left out.
        model: class names of the model in service.
        translated: turns the probabilities of these classes into those of the project's.
        wanted: the result of `sought`.
        labelled: labelled images; without them, the images that the model is least sure of are taken.
    """
    scored = [(row, row.probabilities) for row in rows if row.probabilities is not None]
    scored = [(row, shares) for row, shares in scored if classes_of(shares) == len(model)]
    if not scored or not wanted:
        return []
    shares = np.stack(
        [
            of_classes(prediction)
            for prediction in translated(together([prediction for _, prediction in scored]))
        ]
    )
    known = [i for i, name in enumerate(translated.names) if wanted.get(name)]
    if known:
        promising = shares[:, known].sum(axis=1)
    else:
        promising = _novelty([row for row, _ in scored], labelled, 1.0 - shares.max(axis=1, initial=0.0))
    ranked = [
        DriftExample(row.key, row.etag, score)
        for (row, _), score in zip(scored, promising.tolist(), strict=True)
    ]
    return sorted(ranked, key=lambda example: (-example.score, example.key))


def _novelty(
    rows: Sequence[PoolRow], labelled: Sequence[PoolRow], otherwise: npt.NDArray[np.floating]
) -> npt.NDArray[np.floating]:
    """Return the cosine distance of each image to the nearest labelled one; `otherwise` if there is none."""
    near = [row for row in labelled if row.backbone == rows[0].backbone]
    if not near or any(row.backbone != rows[0].backbone for row in rows):
        return otherwise
    distance: npt.NDArray[np.floating] = 1.0 - (_unit(rows) @ _unit(near).T).max(axis=1)
    return distance


def _unit(rows: Sequence[PoolRow]) -> npt.NDArray[np.floating]:
    embeddings = np.stack([row.embedding for row in rows]).astype(np.float64)
    unit: npt.NDArray[np.floating] = embeddings / np.maximum(
        np.linalg.norm(embeddings, axis=1, keepdims=True), np.finfo(np.float64).tiny
    )
    return unit
