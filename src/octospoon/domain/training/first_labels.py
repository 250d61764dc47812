"""How many images the first batches have, and how many labels start training, while no model has classes.

Without a model, images are chosen by their looks alone. A few labels of each class are enough for a model
that chooses better, so early batches are small, and training begins before the last of them is labelled.
"""

from __future__ import annotations

from dataclasses import dataclass

_IMAGES_A_CLASS, _FEWEST_IMAGES = 5, 10
_LABELS_A_CLASS, _FEWEST_LABELS = 4, 8
"""Fewer than the images, because annotators skip some images or leave them for later."""


@dataclass(frozen=True, slots=True)
class FirstLabels:
    """The batches and the training of a project without a model that has classes.

    Attributes:
        given: number of images that the user asked for; 0 to choose it by the number of classes.
    """

    given: int = 0

    def batch(self, classes: int, most: int) -> int:
        """Return the number of images in a batch.

        Args:
            classes: number of the project's classes; 0 if it is unknown.
            most: number of images in later batches, which is never exceeded.
        """
        wanted = max(_FEWEST_IMAGES, _IMAGES_A_CLASS * classes) if classes else most
        return min(most, self.given or wanted)

    def training(self, classes: int, most: int) -> int:
        """Return the number of labels that starts training.

        Args:
            classes: number of the project's classes; 0 if it is unknown.
            most: number of new labels that starts later jobs, which is never exceeded.
        """
        wanted = max(_FEWEST_LABELS, _LABELS_A_CLASS * classes) if classes else most
        return min(most, self.given or wanted)
