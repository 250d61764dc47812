"""Keep the first batches small, and let the first model choose the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.training.first_labels import FirstLabels
    from octospoon.ports.clock import Clock
    from octospoon.ports.training import Control

_WAITING = 0.2
"""Share of a batch that may wait for annotators when the next begins: some images are never answered."""


@dataclass(frozen=True, slots=True)
class FirstBatches:
    """The use case, for as long as no model has classes.

    Attributes:
        control: the state of the training job.
        clock: the time.
        first: the rules.
        classes: returns the number of the project's classes; 0 if it is unknown.
        most: number of images in later batches.
    """

    control: Control
    clock: Clock
    first: FirstLabels
    classes: Callable[[], int]
    most: int

    def size(self) -> int:
        """Return the number of images in the batch."""
        return self.first.batch(self.classes(), self.most)

    def note(self) -> str:
        """Return why the batch is small; empty if it is not."""
        size = self.size()
        if size >= self.most:
            return ""
        return f"the batch has {size} images instead of {self.most}, because no model has classes yet"

    def hold(self, waiting: int) -> str:
        """Return why no batch may begin yet; empty if one may.

        A batch that begins before the first model would be chosen without it. A first job that was lost, or
        that failed, holds nothing up.

        Args:
            waiting: number of tasks that wait for an annotator.
        """
        size = self.size()
        if size >= self.most:
            return ""
        state = self.control.state()
        if state.is_active and not state.lost and self.clock.now() <= state.lease_until:
            return f"{state.job_id} trains the first model, which chooses the next batch"
        if waiting > _WAITING * size:
            return f"{waiting} tasks of the first, small batch still wait for an annotator"
        return ""
