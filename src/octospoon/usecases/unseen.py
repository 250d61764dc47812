"""Judge each image by a head of a model that was not trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.evaluation.training_record import EVERY_HEAD, NO_HEAD, image_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from octospoon.domain.evaluation.training_record import TrainingRecord
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.task_types.task_type import Translation
    from octospoon.usecases.rescore import Head


@dataclass(frozen=True, slots=True)
class Unseen:
    """A model as a judge of audit images.

    Attributes:
        head: the served head.
        record: of the model's training; None for a model that was not trained on any audit label.
        translated: the model's classes as the project's; None to keep the model's own.
    """

    head: Head
    record: TrainingRecord | None
    translated: Translation | None = None

    def folds(self, images: Sequence[LabelledImage]) -> npt.NDArray[np.int64]:
        """Return which head judges each image, int64 [N].

        It is a fold, NO_HEAD for the served head, or EVERY_HEAD if every head has seen the image.
        """
        if self.record is None:
            return np.full(len(images), NO_HEAD, np.int64)
        return self.record.folds_of(image_numbers((image.key, image.etag) for image in images))

    def known(self, images: Sequence[LabelledImage]) -> npt.NDArray[np.bool_]:
        """Return which images have a head that has not seen them, bool [N].

        An image has none if it joined the audit share after it had been trained on as another image.
        """
        result: npt.NDArray[np.bool_] = self.folds(images) != EVERY_HEAD
        return result

    def served(self, embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [M, C] of the served head for embeddings float32 [M, D]."""
        return self._run(NO_HEAD, embeddings.astype(np.float32))

    def variance_factor(self, images: Sequence[LabelledImage]) -> float:
        """Return `TrainingRecord.variance_factor` of images that are all `known`; 1 without images."""
        if self.record is None or not images:
            return 1.0
        return self.record.variance_factor(self.folds(images))

    def answers(
        self, images: Sequence[LabelledImage], embeddings: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [N, C], each row from a head that has not seen its image.

        Args:
            images: N images that are all `known`.
            embeddings: float32 [N, D], of this model's backbone.

        Raises:
            ValueError: every head has seen one of the images.
        """
        folds, numbers = self.folds(images), embeddings.astype(np.float32)
        if (folds == EVERY_HEAD).any():
            raise ValueError("an image was seen by every head: nothing can judge it")
        answers = self.served(numbers)
        for fold in np.unique(folds[folds >= 0]).tolist():
            answers[folds == fold] = self._run(fold, numbers[folds == fold])
        return answers

    def confidence(
        self,
        images: Sequence[LabelledImage],
        pool: npt.NDArray[np.floating],
        certainty: Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]],
    ) -> npt.NDArray[np.float64]:
        """Return the mean confidence of the heads on images that none has seen, float64 [M].

        This is the average over the folds of cross-prediction (Zrnic and Candès 2024, arXiv 2309.16598, eq.
        3). Each head weighs as many images as it judges. So the mean has the expectation of the confidence on
        the judged images.

        Args:
            images: the N images that `answers` judges, N >= 1.
            pool: float32 [M, D], embeddings.
            certainty: returns the confidence of predictions; see `Evaluator.confidence`.
        """
        folds, counts = np.unique(self.folds(images), return_counts=True)
        total = np.zeros(len(pool))
        for fold, count in zip(folds.tolist(), counts.tolist(), strict=True):
            total += count / len(images) * certainty(self._run(fold, pool.astype(np.float32)))
        return total

    def _run(self, fold: int, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the probabilities of a fold's head, or of the served head for NO_HEAD."""
        known = self.record if fold != NO_HEAD else None
        answers = self.head.run(embeddings) if known is None else known.run(fold, embeddings)
        return answers if self.translated is None else self.translated(answers).astype(np.float32)
