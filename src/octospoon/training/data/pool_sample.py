"""All uploads, as far as a training job needs to see them: a bounded sample, and the labelled images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadImage
from octospoon.domain.monitoring import drift
from octospoon.domain.pool.keys import unit_hash
from octospoon.training.data.dataset import as_stored
from octospoon.usecases.population import Population, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.domain.monitoring.drift import Reference
    from octospoon.domain.pool.images import PoolRow
    from octospoon.ports.images import ImageStore
    from octospoon.ports.models import HeadScorer, Scorer
    from octospoon.ports.pool import PoolSampling
    from octospoon.training.data.dataset import Dataset
    from octospoon.usecases.population import Embed

_LEAST = 50
"""Images without which a reference would say nothing."""
READ_AGAIN = 500
"""Images of the pool that a new backbone reads, in some seconds; PPI++ weighs them by their number."""
_READERS = 8


def embedded(images: ImageStore, scorer: Scorer) -> Embed:
    """Return what reads images and gives their rows the embeddings of another backbone.

    Images that are gone, unreadable or changed are left out.
    """

    def pixels(row: PoolRow) -> npt.NDArray[np.uint8] | None:
        try:
            found = images.read(row.key)
            return scorer.preprocess(found.data) if found.matches(row.etag) else None
        except BadImage:
            return None

    def embed(rows: Sequence[PoolRow]) -> list[PoolRow]:
        found = []
        with ThreadPoolExecutor(_READERS) as threads:
            for row, seen in zip(rows, threads.map(pixels, rows), strict=True):
                if seen is not None:
                    said = scorer.predict(seen[np.newaxis])[0]
                    stored = as_stored(said.embedding)
                    found.append(replace(row, backbone=said.backbone, embedding=stored))
        return found

    return embed


class Uploads:
    """What the model may be measured on beside its labels.

    Args:
        pool: where the images that nobody labelled are.
        backbone: that made the embeddings.
        seed: fixes the sample.
        train: the labelled images that the model learned from.
        audit: the labelled images that it did not learn from.
        anew: embeds images whose stored embedding is another backbone's; None to leave those out.
    """

    def __init__(
        self,
        pool: PoolSampling,
        backbone: str,
        seed: str,
        train: Dataset,
        audit: Dataset,
        anew: Embed | None = None,
    ) -> None:
        self._pool, self._backbone, self._seed, self._anew = pool, backbone, seed, anew
        self.train, self.audit = train, audit

    @cached_property
    def _population(self) -> Population:
        if self._anew is None:
            return sample(self._pool, self._backbone, self._seed)
        return sample(self._pool, self._backbone, self._seed, READ_AGAIN, self._anew)

    @property
    def drawn(self) -> int:
        """How many images that nobody labelled are looked at."""
        return len(self._population.rows)

    def _embeddings(self) -> npt.NDArray[np.float32]:
        rows = self._population.rows
        return np.stack([row.embedding for row in rows]) if rows else self.train.embeddings[:0]

    def answers(self, head: HeadScorer) -> npt.NDArray[np.float32] | None:
        """Return the head's answers on a sample that stands for all uploads, float32 [M, C]; None without."""
        labelled = len(self.train) + len(self.audit)
        if not self._population.resembles_all(labelled, len(self.train)):
            return None
        return head.run(self._embeddings())

    def reference(self, head: HeadScorer, held_out: npt.NDArray[np.floating]) -> Reference | None:
        """Return what later uploads are compared with; None of too few images.

        The labelled images are in it at the rate of all others, else the hard ones would be missing; those
        that the model learned from with the answers of models that had not seen them.

        Args:
            head: the new model's.
            held_out: float [N, C], these answers for the N training images; NaN where there are none.
        """
        trained = [i for i in self._thinned(self.train) if np.isfinite(held_out[i]).all()]
        audited = self._thinned(self.audit)
        unseen = np.concatenate([self._embeddings(), self.audit.embeddings[audited]])
        if len(unseen) < _LEAST:
            return None
        return drift.reference(
            np.concatenate([unseen, self.train.embeddings[trained]]),
            np.concatenate([head.run(unseen), held_out[trained]]),
        )

    def _thinned(self, part: Dataset) -> list[int]:
        share = self._population.share
        return [i for i, one in enumerate(part.images) if unit_hash("reference", one.key) < share]
