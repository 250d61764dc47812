"""Sample the uploads for a training job: a bounded number of unlabelled images, and the labelled ones."""

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
    from octospoon.domain.pool.framing import Framed
    from octospoon.domain.pool.images import PoolRow
    from octospoon.domain.task_types.evaluator import Evaluator
    from octospoon.ports.images import ImageStore
    from octospoon.ports.models import Scorer
    from octospoon.ports.pool import PoolSampling
    from octospoon.training.data.dataset import Dataset
    from octospoon.usecases.population import Embed
    from octospoon.usecases.unseen import Unseen

LEAST = 50
"""Smallest number of images for a drift reference."""
READ_AGAIN = 500
"""Number of pool images that a new backbone reads, which takes seconds. PPI++ allows for a small number."""
_READERS = 8


def embedded(images: ImageStore, scorer: Scorer) -> Embed:
    """Return a function that reads images and replaces the embeddings and predictions of their rows.

    It omits images that are deleted, unreadable or changed.

    Args:
        images: reads the images.
        scorer: the model whose backbone computes the new embeddings.
    """

    def framed(row: PoolRow) -> Framed | None:
        try:
            stored = images.read(row.key)
            return scorer.preprocess(stored.data) if stored.matches(row.etag) else None
        except BadImage:
            return None

    def embed(rows: Sequence[PoolRow]) -> list[PoolRow]:
        embedded_rows = []
        with ThreadPoolExecutor(_READERS) as threads:
            for row, image in zip(rows, threads.map(framed, rows), strict=True):
                if image is not None:
                    prediction = scorer.predict(image.pixels[np.newaxis], [image.region])[0]
                    made = replace(row, backbone=prediction.backbone, probabilities=prediction.probabilities)
                    embedded_rows.append(replace(made, embedding=as_stored(prediction.embedding)))
        return embedded_rows

    return embed


class Uploads:
    """The uploads on which a model is measured: a sample of the pool, and the labelled images.

    Args:
        pool: the pool, with the unlabelled images.
        backbone: sha256 of the backbone that made the embeddings.
        seed: fixes the sample.
        train: the labelled images outside the audit share.
        audit: the audit share.
        reembed: embeds images whose stored embedding is of another backbone; None to omit these images.
    """

    def __init__(
        self,
        pool: PoolSampling,
        backbone: str,
        seed: str,
        train: Dataset,
        audit: Dataset,
        reembed: Embed | None = None,
    ) -> None:
        self._pool, self._backbone, self._seed, self._reembed = pool, backbone, seed, reembed
        self.train, self.audit = train, audit

    @cached_property
    def _population(self) -> Population:
        if self._reembed is None:
            return sample(self._pool, self._backbone, self._seed)
        return sample(self._pool, self._backbone, self._seed, READ_AGAIN, self._reembed)

    @property
    def drawn(self) -> int:
        """Number of unlabelled images in the sample."""
        return len(self._population.rows)

    @property
    def rows(self) -> tuple[PoolRow, ...]:
        """The unlabelled images of the sample, with embeddings of the backbone."""
        return self._population.rows

    @property
    def share(self) -> float:
        """The share of all unlabelled images that is in the sample, in [0, 1]."""
        return self._population.share

    @property
    def few_taken(self) -> bool:
        """Whether the unlabelled images and the audit share resemble all uploads; see `Population`."""
        labelled = len(self.train) + len(self.audit)
        return self._population.resembles_all(labelled, len(self.train))

    def _embeddings(self) -> npt.NDArray[np.float32]:
        rows = self._population.rows
        return np.stack([row.embedding for row in rows]) if rows else self.train.embeddings[:0]

    def confidence(self, model: Unseen, evaluator: Evaluator) -> npt.NDArray[np.float64] | None:
        """Return the model's confidence for a sample of all uploads, float64 [M]; see `Unseen.confidence`.

        None if the strategy has taken so many images that the rest no longer resembles all uploads, or if
        there is no audit image.
        """
        if not len(self.audit) or not self.few_taken:
            return None
        return model.confidence(self.audit.images, self._embeddings(), evaluator.confidence)

    def reference(
        self, model: Unseen, held_out: npt.NDArray[np.floating], evaluator: Evaluator
    ) -> Reference | None:
        """Return the drift reference for later uploads; None if there are fewer than _LEAST images.

        It contains labelled images at the same rate as unlabelled ones. Without them the difficult images
        would be missing, because strategies select those for labelling. Images that the model was trained on
        have probabilities of a head that has not seen them, because its own would be too confident.

        Args:
            model: the new model.
            held_out: float [N, C], out-of-fold probabilities of the N images of `train`; NaN if missing.
            evaluator: of the task type.
        """
        trained = [i for i in thinned(self.train, self.share) if np.isfinite(held_out[i]).all()]
        audited = thinned(self.audit, self.share)
        images, pool = [self.audit.images[i] for i in audited], self._embeddings()
        if len(pool) + len(audited) < LEAST:
            return None
        audit = self.audit.embeddings[audited]
        answers = [model.served(pool), model.answers(images, audit), held_out[trained]]
        return drift.reference(
            np.concatenate([pool, audit, self.train.embeddings[trained]]),
            evaluator.statistics(np.concatenate(answers)),
        )


def thinned(part: Dataset, share: float) -> list[int]:
    """Return the positions of a share of the images of a part, sampled by hash."""
    return [i for i, image in enumerate(part.images) if unit_hash("reference", image.key) < share]
