"""Decide how many images of a batch are drawn for the audit share.

The share is whole until the audit labels give the accuracy's interval that the user asked for. Then as many
images are drawn as are missing for it, and never fewer than a quarter of the share: models and uploads
change, and the accuracy on new images must stay measured. The number depends on stored results alone, so it
falls without chance, and grows again as soon as an interval is too wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST = 0.25
"""Part of the share that is always drawn, at least one image."""


@dataclass(frozen=True, slots=True)
class Measured:
    """An interval of a model's accuracy.

    Attributes:
        half_width: half of the 95 % interval's width, in (0, 0.5].
        labels: number of audit labels that it comes from, at least 1.
    """

    half_width: float
    labels: int

    def needed(self, target: float) -> int:
        """Return the number of audit labels with which the half-width would be `target`, above 0.

        The half-width of an interval is in inverse proportion to the root of the number of labels.
        """
        # rounded first: a half-width that equals the target must not need one label more
        return math.ceil(round(self.labels * (self.half_width / target) ** 2, 6))


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """The audit share of one batch.

    Attributes:
        images: number of images to draw.
        reason: why; empty if the share is fixed.
    """

    images: int
    reason: str = ""


def whole(images: int, why: str) -> AuditPlan:
    """Return the plan that draws the whole share, with its reason."""
    return AuditPlan(images, f"the audit share is whole: {why}" if images else "")


def planned(images: int, target: float, measured: Sequence[Measured], labels: int) -> AuditPlan:
    """Return how many images to draw for the audit share.

    Args:
        images: number of images in the whole share.
        target: half-width of the accuracy's interval that is asked for, above 0.
        measured: intervals of the newest models, at least one; the widest decides.
        labels: number of audit images that are labelled or wait for an annotator.
    """
    needed = max(interval.needed(target) for interval in measured)
    widest = max(interval.half_width for interval in measured)
    known = f"the accuracy is known to ±{100 * widest:.1f} points, and AuditTarget is ±{100 * target:g}"
    missing = needed - labels
    if missing >= images:
        return whole(images, f"{known}, so about {missing} audit labels are missing")
    drawn = max(least(images), missing)
    return AuditPlan(drawn, f"the audit share is {drawn} images instead of {images}: {known}")


def least(images: int) -> int:
    """Return the smallest number of images that are drawn, for a whole share of so many."""
    return min(images, max(1, round(LEAST * images)))
