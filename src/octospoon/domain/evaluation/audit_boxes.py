"""What a detector predicted for audit images when it was judged.

A detector reads images, so its boxes cannot be computed again from stored embeddings. A row of the pool holds
the boxes of the model that scored it, which is an older one for most labelled images. So the boxes of the
audit images are kept with the version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.pool import stored_boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class AuditBoxes:
    """The boxes of A audit images, none of which the detector was trained on.

    Attributes:
        images: uint64 [A], ascending; see `training_record.image_numbers`.
        boxes: the boxes of each image, as `stored_boxes.pack` writes them.
    """

    images: npt.NDArray[np.uint64]
    boxes: tuple[bytes, ...]

    @classmethod
    def of(cls, images: npt.NDArray[np.uint64], predicted: Sequence[npt.NDArray[np.floating]]) -> AuditBoxes:
        """Return the boxes of images in any order.

        Args:
            images: uint64 [A].
            predicted: float [K, 4 + C] for each image; the number of boxes may differ.
        """
        order = np.argsort(images, kind="stable")
        packed = tuple(stored_boxes.pack(predicted[at].astype(np.float32)) for at in order.tolist())
        return cls(images[order], packed)

    def get(self, image: int) -> npt.NDArray[np.float32] | None:
        """Return the boxes of an image, float32 [K, 4 + C], or None for an image without a record."""
        at = int(np.searchsorted(self.images, np.uint64(image)))
        if at == len(self.images) or int(self.images[at]) != image:
            return None
        return stored_boxes.unpack(self.boxes[at])
