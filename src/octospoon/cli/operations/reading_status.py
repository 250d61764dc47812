"""How far the images are that a new detector or backbone reads again, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.cli.operations.rescore import Estimate
from octospoon.domain.pool.keys import SHARDS
from octospoon.usecases.rescore_segment import EVERY

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment

SECONDS = 0.06
"""Assumed seconds of one core for one image: YOLOv8n for 640×640 pixels takes as long."""
_DIM, _BOXES = 1280, 100


@dataclass(frozen=True, slots=True)
class ReadingStatus:
    """The newest run that reads images again.

    Attributes:
        model_version: version of the model.
        images: how many of the newest images it covers; None for all.
        seen: images of it that are done.
        left: those of them that could not be scored in time.
        shards: number of shards that are done.
        dollars: estimated cost of all images that it covers, on AWS, at most.
    """

    model_version: int
    images: int | None
    seen: int
    left: int
    shards: int
    dollars: float

    def __str__(self) -> str:
        """Return the progress as a line."""
        which = "all images" if self.images is None else f"the newest {self.images:,} images"
        cost = f"at most about {self.dollars:.2f} dollars, at {1000 * SECONDS:.0f} ms an image"
        line = f"{which} by version {self.model_version}: {self.seen:,} done, "
        line += f"{self.shards} of {SHARDS} shards; {cost}"
        return f"{line}; {self.left:,} could not be scored" if self.left else line


def read(deployment: Deployment, selectable: int) -> ReadingStatus | None:
    """Return the newest run; None if none was ever needed.

    Args:
        deployment: the deployment.
        selectable: number of images that can be chosen for labelling.
    """
    state = deployment.reading.newest()
    if state is None or (state.shards == SHARDS and not state.seen):
        return None
    every = state.images == EVERY
    count = max(state.seen, selectable if every else min(state.images, selectable))
    dollars = Estimate(count, 0.0, SECONDS, 0, _DIM, _BOXES).dollars()
    images = None if every else state.images
    return ReadingStatus(state.version, images, state.seen, state.left, state.shards, round(dollars, 4))
