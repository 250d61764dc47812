"""Make the drift reference of a detector, which has to read images to know what it predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from octospoon.domain.monitoring import drift
from octospoon.domain.pool.boxes import together
from octospoon.domain.pool.keys import unit_hash
from octospoon.domain.pool.stored_boxes import as_stored
from octospoon.training.data.pool_sample import LEAST, READ_AGAIN, thinned

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.monitoring.drift import Reference
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.task_types.evaluator import Evaluator
    from octospoon.training.data.pool_sample import Uploads
    from octospoon.usecases.population import Embed

    Boxes = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a detector predicts for labelled images that it was not trained on.

    Attributes:
        audit: float [A, K, 4 + C], for the audit share.
        held_out: float [T, K, 4 + C], for the T other labelled images; NaN for those that it was trained on.
    """

    audit: Boxes
    held_out: Boxes


def reference(
    uploads: Uploads, answers: Answers, evaluator: Evaluator, read: Embed, *, kept_backbone: bool
) -> Reference | None:
    """Return the drift reference for later uploads; None if too few images stand for all of them.

    The predictions are those for images that the detector was not trained on: unlabelled ones, the audit
    share, and the labelled images that training held out. Of each kind there is the same share of all. So the
    images that a strategy chose, which are difficult, are as frequent as among the uploads. Each held-out
    image stands for several that were trained on.

    If the detector kept the backbone, the embeddings are those of the whole sample, because they do not
    depend on what it learned.

    Args:
        uploads: the sample, and the labelled images with embeddings of the detector's backbone. Those of the
            sample are of it only if it was kept.
        answers: its predictions for the labelled images.
        evaluator: of the task type.
        read: reads unlabelled images and returns their rows with the detector's embeddings and predictions.
        kept_backbone: whether the detector has the backbone of the model in service.
    """
    if not uploads.rows:
        return None
    chosen = _chosen(uploads, np.flatnonzero(np.isfinite(answers.held_out).all(axis=(1, 2))))
    predicted = list(read(chosen.rows))
    if len(predicted) + len(chosen.audit) < LEAST:
        return None
    boxes = [*_of_rows(predicted), *answers.audit[chosen.audit], *answers.held_out[chosen.train]]
    kept = together([as_stored(image_boxes.astype(np.float32)) for image_boxes in boxes])
    rows, audit, train = predicted, chosen.audit, chosen.train
    if kept_backbone:
        rows = list(uploads.rows)
        audit, train = (thinned(part, uploads.share) for part in (uploads.audit, uploads.train))
    parts = [_embeddings(rows), uploads.audit.embeddings[audit], uploads.train.embeddings[train]]
    return drift.reference(np.concatenate(parts), evaluator.statistics(kept))


class _Chosen(NamedTuple):
    """The same share of each kind of image: unlabelled rows, and positions in the labelled parts."""

    rows: list[PoolRow]
    audit: list[int]
    train: list[int]


def _chosen(uploads: Uploads, held_out: npt.NDArray[np.int64]) -> _Chosen:
    """Choose the images whose predictions are compared, from at least one row of the sample.

    `held_out` are positions in `uploads.train`.
    """
    known = len(held_out) / len(uploads.train) if len(uploads.train) else 1.0
    if not len(held_out) and uploads.few_taken:
        known = 1.0  # what was trained on is so little that it may be missing
    count = min(READ_AGAIN, int(len(uploads.rows) * min(1.0, known / uploads.share)))
    rate = uploads.share * count / len(uploads.rows)
    rows = sorted(uploads.rows, key=lambda row: unit_hash("reference", row.key))[:count]
    of_train = set(thinned(uploads.train, rate / known)) if known else set()
    return _Chosen(rows, thinned(uploads.audit, rate), sorted(of_train & set(held_out.tolist())))


def _of_rows(rows: Sequence[PoolRow]) -> list[Boxes]:
    return [row.probabilities for row in rows if row.probabilities is not None]


def _embeddings(rows: Sequence[PoolRow]) -> npt.NDArray[np.float32]:
    return np.stack([row.embedding for row in rows]).astype(np.float32)
