"""Labelled images as folders: names for their files, and a folder for each class."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from octospoon.domain.labelling.tasks import LabelledImage

MANIFEST = "manifest.jsonl"
"""The file in an exported folder that names object key and label of each image."""
TRAIN, VALIDATION = "train", "val"
_LONGEST = 200
_FORBIDDEN = set('<>:"|?*\\')


class Layout(Protocol):
    """Where the files of labelled images are, and what is beside them. Paths are below the folder."""

    def place(self, image: LabelledImage) -> str:
        """Return the path of an image's file."""

    def label_file(self, image: LabelledImage) -> tuple[str, str] | None:
        """Return path and text of the file with an image's label; None if its folder says the label."""

    def description(self) -> tuple[str, str] | None:
        """Return path and text of the file that describes the folder; None for none."""


@dataclass(frozen=True, slots=True)
class ClassFolders:
    """Implements `Layout` with a folder for each class.

    Attributes:
        split: as YOLO's classifiers read it: the audit share in ``val``, everything else in ``train``.
    """

    split: bool

    def place(self, image: LabelledImage) -> str:
        """Return the path of an image's file.

        A key keeps its own path, without the class at its beginning. A key that some file system cannot have
        as a path is replaced by a hash.
        """
        folder = _folder(image.label)
        path = image.key.removeprefix(f"{image.label}/")
        if not is_path(path):
            path = hashed(image.key)
        return f"{part_of(image)}/{folder}/{path}" if self.split else f"{folder}/{path}"

    def label_file(self, image: LabelledImage) -> None:
        """Return None: the folder says it."""

    def description(self) -> None:
        """Return None: the folders say it."""


def part_of(image: LabelledImage) -> str:
    """Return the part of YOLO's sets that an image belongs to: the audit share is for validation."""
    return VALIDATION if image.audit else TRAIN


def is_path(path: str) -> bool:
    """Return whether every file system can have a file with this path."""
    parts = path.split("/")
    return all(
        part not in ("", ".", "..")
        and part.isprintable()
        and len(part.encode()) <= _LONGEST
        and part == part.rstrip(" .")
        and not _FORBIDDEN & set(part)
        for part in parts
    )


def hashed(key: str) -> str:
    """Return a name for a file in the place of its key, with the same suffix if every system can have it."""
    suffix = PurePosixPath(key).suffix
    plain = suffix if suffix[1:].isalnum() and suffix.isascii() else ""
    return hashlib.sha256(key.encode()).hexdigest()[:32] + plain.lower()


def _folder(name: str) -> str:
    """Return the name of a class as the name of a folder."""
    return name if is_path(name) and "/" not in name else hashed(name)
