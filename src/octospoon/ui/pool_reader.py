"""Read a snapshot of the pool from a deployment, and place its images."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.pool.keys import image_id
from octospoon.ui import map_file
from octospoon.ui.map_file import PoolMap
from octospoon.ui.predictions import Predictions
from octospoon.ui.sample import LIMIT, read_sample
from octospoon.ui.snapshot import MAP, PCA, Shown, Snapshot, columns, spread_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.pool.images import PoolImage
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.ports.models import Champions, Observations
    from octospoon.ports.pool import PoolReport
    from octospoon.ui.map_file import Placed
    from octospoon.ui.sample import Sample

_TOLD_EVERY = 500


@dataclass(frozen=True, slots=True)
class PoolReader:
    """Reads the pool.

    Attributes:
        report: the whole pool.
        champions: the models and their classes.
        observations: the newest test for drift.
        history: the project's classes.
        task_type: the kind of label.
        folder: for the maps and temporary files; it exists.
        limit: most images of a snapshot.
    """

    report: PoolReport
    champions: Champions
    observations: Observations
    history: Callable[[], ClassHistory]
    task_type: TaskType
    folder: Path
    limit: int = LIMIT

    def __call__(self, progress: Callable[[int], None], publish: Callable[[Snapshot], None]) -> None:
        """Read the pool once, and publish a snapshot; then another with a new map, if one is needed.

        Args:
            progress: receives the number of rows read so far.
            publish: receives each snapshot.

        Raises:
            RetryableError: AWS does not answer.
        """
        began = time.time()
        pointer = self.champions.pointer()
        backbone = pointer[0].backbone if pointer else ""
        spool = self.folder / "embeddings.tmp"
        try:
            sample = read_sample(_counted(self.report.images(), progress), backbone, spool, self.limit)
            facts = {
                "read_at": began,
                "seconds": time.time() - began,
                "counts": {str(state): number for state, number in sample.counts.items()},
                "total": sample.total,
                "model_version": pointer[0].version if pointer else None,
                "backbone": backbone,
            }
            self._publish(sample, facts, publish)
        finally:
            spool.unlink(missing_ok=True)

    def _publish(self, sample: Sample, facts: dict[str, object], publish: Callable[[Snapshot], None]) -> None:
        drifted = {example.key: example.score for example in self.observations.read().drifted}
        made, names = columns(sample.images, self._shown(), drifted)
        nowhere = np.full((len(sample.images), 2), np.nan, np.float32)
        snapshot = Snapshot(
            {**facts, **names, "method": PCA},
            [image.key for image in sample.images],
            [image.etag for image in sample.images],
            {**made, "place": nowhere},
            nowhere,
        )
        if sample.embeddings is None:
            publish(snapshot)
            return
        ids = _ids_by_row(sample)
        path = self.folder / f"map-{str(facts['backbone'])[:16]}"
        now = map_file.place(PoolMap.load(path), ids, sample.embeddings)
        publish(_with_places(snapshot, sample, now, mapped=now.mapped))
        if now.outdated:
            fresh = map_file.compute(ids, sample.embeddings, self.folder)
            fresh.save(path)
            publish(_with_places(snapshot, sample, fresh, mapped=True))

    def _shown(self) -> Shown:
        history, labels = self.history(), self.task_type.labels
        predicted = Predictions(self.task_type, history, cache(self.champions.version))

        def members(label: str) -> list[str]:
            return sorted({history.shown(name) for name in labels.classes(label)})

        return Shown(predicted, lambda label: labels.shown(label, history), members)


def _with_places(
    snapshot: Snapshot,
    sample: Sample,
    placed: Placed | PoolMap,
    *,
    mapped: bool,
) -> Snapshot:
    return replace(
        snapshot,
        facts={**snapshot.facts, "method": MAP if mapped else PCA},
        columns={**snapshot.columns, "place": spread_over(sample, placed.places)},
        reduced=spread_over(sample, placed.reduced),
        projection=placed.projection,
    )


def _ids_by_row(sample: Sample) -> list[str]:
    """Return the id of the image of each stored embedding."""
    mapped = [image for image, row in zip(sample.images, sample.rows, strict=True) if row >= 0]
    order = sample.rows[sample.rows >= 0].argsort()
    return [image_id(mapped[i].key, mapped[i].etag) for i in order.tolist()]


def _counted(images: Iterator[PoolImage], progress: Callable[[int], None]) -> Iterator[PoolImage]:
    for number, image in enumerate(images, 1):
        if number % _TOLD_EVERY == 0:
            progress(number)
        yield image


def clear(folder: Path) -> None:
    """Delete what an interrupted run left in the folder."""
    for name in ("embeddings.tmp", "reduced.npy", "places.npy"):
        with suppress(FileNotFoundError):
            (folder / name).unlink()
