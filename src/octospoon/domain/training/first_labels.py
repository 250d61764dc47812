"""How many images the first batches have, and how many labels start training, while no model has classes.

Without a model, images are chosen by their looks alone. A few labels of each class are enough for a model
that chooses better, so early batches are small, and training begins before the last of them is labelled. A
detector needs more images than a head does: some are kept out for the audit, and some to stop training.
"""

from __future__ import annotations

from dataclasses import dataclass

from octospoon.domain.task_types.names import TaskTypeName

_IMAGES_A_CLASS, _LABELS_A_CLASS = 5, 4
"""Fewer labels than images, because annotators skip some images or leave them for later."""
_FEWEST = (10, 8)
"""Images of a batch, and labels that start training."""
_FEWEST_WITH_BOXES = (30, 24)


@dataclass(frozen=True, slots=True)
class FirstLabels:
    """The batches and the training of a project without a model that has classes.

    Attributes:
        given: number of images that the user asked for; 0 to choose it by the number of classes.
        task_type: name of the kind of label.
    """

    given: int = 0
    task_type: str = TaskTypeName.CLASSIFICATION

    @property
    def _fewest(self) -> tuple[int, int]:
        return _FEWEST_WITH_BOXES if self.task_type == TaskTypeName.DETECTION else _FEWEST

    def batch(self, classes: int, most: int) -> int:
        """Return the number of images in a batch.

        Args:
            classes: number of the project's classes; 0 if it is unknown.
            most: number of images in later batches, which is never exceeded.
        """
        wanted = max(self._fewest[0], _IMAGES_A_CLASS * classes) if classes else most
        return min(most, self.given or wanted)

    def training(self, classes: int, most: int) -> int:
        """Return the number of labels that starts training.

        Args:
            classes: number of the project's classes; 0 if it is unknown.
            most: number of new labels that starts later jobs, which is never exceeded.
        """
        wanted = max(self._fewest[1], _LABELS_A_CLASS * classes) if classes else most
        return min(most, self.given or wanted)
