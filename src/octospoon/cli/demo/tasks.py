"""The data of the demo for each task type: handwritten digits alone, or several on one image."""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from octospoon.cli.datasets import digits, mosaics
from octospoon.cli.datasets.labelled import Embedder, embed, of_digits
from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.domain.task_types.multilabel.label import ClassNames
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.training.simulation import Labelled, Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.task_types.task_type import TaskType

MOSAICS, HELD_OUT_MOSAICS = 800, 400


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
    """Whether a backbone for photos suits the images; scattering does otherwise."""
    careless: bool
    """Whether the demo also shows a challenger that the gate refuses."""

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

    def labelled(self, embedder: Embedder) -> tuple[Labelled, Split]:
        """Return all images for simulations, and which of them are held out."""


class Digits:
    """Implements `DemoTask` for one class per image."""

    task_type: TaskType = CLASSIFICATION
    title, metric, classes = "digits", "accuracy", digits.CLASSES
    batch, photos, careless = 50, False, False

    @property
    def pool(self) -> Sequence[str]:
        """The keys of the digits that are not held out."""
        return [key_of(int(index)) for index in digits.split().pool]

    def file(self, key: str) -> bytes:
        """Return a digit."""
        return digits.png_bytes(_index(key))

    def label(self, key: str) -> str:
        """Return the digit that an image shows."""
        return digits.CLASSES[int(digits.labels()[_index(key)])]

    @property
    def held_out(self) -> Sequence[bytes]:
        """The digits that are held out."""
        return [digits.png_bytes(int(index)) for index in digits.split().held_out]

    @property
    def held_out_labels(self) -> Sequence[str]:
        """Which digits these are."""
        return [digits.CLASSES[int(digits.labels()[index])] for index in digits.split().held_out]

    def labelled(self, embedder: Embedder) -> tuple[Labelled, Split]:
        """Return all digits."""
        third = digits.split()
        return of_digits(embedder).data, Split(third.pool, third.held_out)


class Mosaics:
    """Implements `DemoTask` for several classes per image: which digits an image shows."""

    task_type: TaskType = MULTILABEL
    title, metric, classes = "several digits on an image", "macro F1", mosaics.CLASSES
    batch, photos, careless = 100, True, True

    @property
    def pool(self) -> Sequence[str]:
        """The keys of the mosaics that are not held out."""
        return [f"mosaics/{index:04d}.png" for index in range(MOSAICS)]

    def file(self, key: str) -> bytes:
        """Return a mosaic."""
        return _mosaic(_index(key)).png_bytes()

    def label(self, key: str) -> str:
        """Return which digits a mosaic shows."""
        return ClassNames().write(frozenset(_mosaic(_index(key)).present))

    @cached_property
    def held_out(self) -> Sequence[bytes]:
        """The mosaics of digits that no other mosaic shows."""
        return [_mosaic(index, held_out=True).png_bytes() for index in range(HELD_OUT_MOSAICS)]

    @cached_property
    def held_out_labels(self) -> Sequence[str]:
        """Which digits these show."""
        every = (_mosaic(index, held_out=True) for index in range(HELD_OUT_MOSAICS))
        return [ClassNames().write(frozenset(each.present)) for each in every]

    def labelled(self, embedder: Embedder) -> tuple[Labelled, Split]:
        """Return all mosaics."""
        files = [*map(self.file, self.pool), *self.held_out]
        labels = [*map(self.label, self.pool), *self.held_out_labels]
        embeddings, _ = embed(files, embedder.model)
        targets = self.task_type.evaluator.targets(labels, self.classes).astype(np.int64)
        activation = self.task_type.activation
        data = Labelled(embeddings, targets, len(self.classes), embedder.parts, activation)
        return data, Split(np.arange(MOSAICS), np.arange(MOSAICS, MOSAICS + HELD_OUT_MOSAICS))


TASKS: dict[str, type[DemoTask]] = {TaskTypeName.CLASSIFICATION: Digits, TaskTypeName.MULTILABEL: Mosaics}


def task_named(name: str) -> DemoTask:
    """Return the data of a task type; raises BadRequest if the demo has none."""
    if name not in TASKS:
        raise BadRequest(f"the demo has no data for {name!r}: choose one of {', '.join(TASKS)}")
    return TASKS[name]()


def key_of(index: int) -> str:
    """Return the object key of one digit."""
    return f"digits/{index:04d}.png"


def _index(key: str) -> int:
    return int(key[-8:-4])


@cache
def _mosaic(index: int, *, held_out: bool = False) -> mosaics.Mosaic:
    return mosaics.mosaic(index, held_out=held_out)
