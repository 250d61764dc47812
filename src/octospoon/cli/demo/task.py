"""What a demo needs to know about its task type: images with known labels, and how they are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.training.simulation import Plan


class Careless(NamedTuple):
    """What an annotator does wrong at the end of a demo, so that the gate refuses the model.

    Attributes:
        words: what it does, such as ``submits without a tick``.
        label: returns its answer for an image with a true label; both in their stored form.
    """

    words: str
    label: Callable[[str], str]


class DemoTask(Protocol):
    """Images with known labels, of which a third is held out."""

    task_type: TaskType
    title: str
    """Of the images."""
    metric: str
    """`Evaluator.metric` in words."""
    classes: tuple[str, ...]
    batch: int
    """Images of a round."""
    photos: bool
    """Whether the first model is that of any new local stack; the starter suits plain digits otherwise."""
    parameters: Mapping[str, str]
    """Of the template, beside those of every demo."""
    careless: Careless | None
    """How the demo shows a challenger that the gate refuses; None if it shows none."""
    draws: int
    """Repetitions of the random control."""

    @property
    def pool(self) -> Sequence[str]:
        """The object keys of the images that are uploaded, in order."""

    def file(self, key: str) -> bytes:
        """Return an image of the pool as a PNG file."""

    def label(self, key: str) -> str:
        """Return the true label of an image of the pool, in its stored form."""

    @property
    def held_out(self) -> Sequence[bytes]:
        """The held-out images as PNG files."""

    @property
    def held_out_labels(self) -> Sequence[str]:
        """Their true labels."""

    def random_metrics(self, model: bytes, plan: Plan) -> Iterator[float]:
        """Yield the metric on the held-out images for random labels: after each round, draw by draw.

        The trainer is that of the demo. The seeds of the draws are 0, 1, 2 and so on.

        Args:
            model: the content of the first model's file.
            plan: rounds and batches.
        """
