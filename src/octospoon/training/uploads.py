"""All uploads, as far as a training job needs to see them: a bounded sample, and the labelled images."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain import drift
from octospoon.domain.keys import unit_hash
from octospoon.usecases.population import Population, sample

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.domain.drift import Reference
    from octospoon.ports import Pool
    from octospoon.training.dataset import Dataset
    from octospoon.training.judging import HeadScorer

_LEAST = 50
"""Images without which a reference would say nothing."""


class Uploads:
    """What the model may be measured on beside its labels.

    Args:
        pool: where the images that nobody labelled are.
        backbone: that made the embeddings.
        seed: fixes the sample.
        train: the labelled images that the model learned from.
        audit: the labelled images that it did not learn from.
    """

    def __init__(self, pool: Pool, backbone: str, seed: str, train: Dataset, audit: Dataset) -> None:
        self._pool, self._backbone, self._seed = pool, backbone, seed
        self.train, self.audit = train, audit

    @cached_property
    def _population(self) -> Population:
        return sample(self._pool, self._backbone, self._seed)

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
