"""Judge images by the stored boxes of a detector: from its own time, or from when it was judged first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.evaluation.training_record import EVERY_HEAD, image_numbers

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from octospoon.domain.evaluation.training_record import TrainingRecord
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import PoolRow


@dataclass(frozen=True, slots=True)
class StoredBoxes:
    """What a detector predicts for labelled images, without reading them.

    Attributes:
        pointer: of the detector.
        record: of its training; None for a detector that no job has trained.
    """

    pointer: ChampionPointer
    record: TrainingRecord | None

    def trained_on(self, image: LabelledImage) -> bool:
        """Return whether the detector was trained on an image."""
        if self.record is None:
            return False
        return int(self.record.folds_of(image_numbers([(image.key, image.etag)]))[0]) == EVERY_HEAD

    def of(self, image: LabelledImage, row: PoolRow | None) -> npt.NDArray[np.float32] | None:
        """Return the boxes for an image, float32 [K, 4 + C].

        Args:
            image: whose bytes were labelled.
            row: of the image; None for none.

        Returns:
            None if the detector was trained on the image, or no boxes of it are stored. It scored no image
            that was exported before it went into service.
        """
        if self.trained_on(image):
            return None
        if self.record is not None and self.record.boxes is not None:
            kept = self.record.boxes.get(int(image_numbers([(image.key, image.etag)])[0]))
            if kept is not None:
                return kept
        return row.probabilities if row is not None and row.etag == image.etag and self.scored(row) else None

    def scored(self, row: PoolRow) -> bool:
        """Return whether the boxes in a row are of this detector."""
        return row.model_version == self.pointer.version and row.probabilities is not None
