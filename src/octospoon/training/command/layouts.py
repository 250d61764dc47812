"""How a data set is laid out for programs, for each kind of label."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.domain.task_types.task_type import StoredLabels

TRAIN, VALIDATION = "train", "val"
PARTS = (TRAIN, VALIDATION)
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_LENGTH = 40


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image in the data set.

    Attributes:
        path: of its file within the folder, with slashes.
        part: one of `PARTS`.
        label: in its stored form.
        width: in pixels.
        height: in pixels.
    """

    path: str
    part: str
    label: str
    width: int
    height: int


class Layout(Protocol):
    """A data set as other programs read it."""

    def folders(self) -> tuple[str, ...]:
        """Return the name of each class's folder; empty if a class has none."""

    def made(self) -> tuple[str, ...]:
        """Return the folders to make, within that of the data set."""

    def place(self, part: str, label: str) -> str:
        """Return the folder of an image, one of `made`."""

    def value(self, label: str) -> object:
        """Return a label as JSON has it."""

    def describe(self, folder: Path, files: Sequence[ImageFile]) -> None:
        """Write the files that say which image has which label."""


@dataclass(frozen=True, slots=True)
class ClassFolders:
    """Implements `Layout` for one class per image: a folder for each class, as ImageFolder reads it.

    Attributes:
        classes: the class names, in the order that the model must have.
        labels: the meaning of stored labels.
    """

    classes: tuple[str, ...]
    labels: StoredLabels

    def folders(self) -> tuple[str, ...]:
        """Return the name of each class's folder.

        The number comes first, so that the alphabetical order, which other programs use, is the order of the
        classes. The rest is for people.
        """
        width = max(3, len(str(len(self.classes) - 1)))
        return tuple(f"{i:0{width}d}-{safe(name, 'class')}" for i, name in enumerate(self.classes))

    def made(self) -> tuple[str, ...]:
        """Return a folder for every class in both parts, although some may have no image."""
        return tuple(f"{part}/{name}" for part in PARTS for name in self.folders())

    def place(self, part: str, label: str) -> str:
        """Return the folder of the class."""
        return f"{part}/{self.folders()[self.classes.index(self.value(label))]}"

    def value(self, label: str) -> str:
        """Return the name of the class."""
        (name,) = self.labels.classes(label)
        return name

    def describe(self, folder: Path, files: Sequence[ImageFile]) -> None:
        """Write nothing: the folders say it."""


@dataclass(frozen=True, slots=True)
class ClassColumns:
    """Implements `Layout` for several classes per image: a table for each part, with a column for each class.

    Attributes:
        classes: the class names, in the order that the model must have.
        labels: the meaning of stored labels.
    """

    classes: tuple[str, ...]
    labels: StoredLabels

    def folders(self) -> tuple[str, ...]:
        """Return nothing: an image may belong to several classes."""
        return ()

    def made(self) -> tuple[str, ...]:
        """Return the folder of each part."""
        return PARTS

    def place(self, part: str, label: str) -> str:
        """Return the folder of the part."""
        del label
        return part

    def value(self, label: str) -> tuple[str, ...]:
        """Return the names of the classes."""
        return self.labels.classes(label)

    def describe(self, folder: Path, files: Sequence[ImageFile]) -> None:
        """Write ``train.csv`` and ``val.csv``: the path of each image, and 1 for each of its classes."""
        for part in PARTS:
            with (folder / f"{part}.csv").open("w", newline="", encoding="utf-8") as table:
                rows = csv.writer(table)
                rows.writerow(["file", *self.classes])
                for file in files:
                    if file.part == part:
                        present = self.value(file.label)
                        rows.writerow([file.path, *(int(name in present) for name in self.classes)])


def safe(name: str, default: str) -> str:
    """Return the part of a name that every file system and program takes; the default if there is none."""
    return _UNSAFE.sub("_", name).strip("_-")[:_NAME_LENGTH] or default
