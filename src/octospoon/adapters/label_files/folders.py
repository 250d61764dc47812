"""Names for images in a folder for each class."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octospoon.domain.labelling.tasks import LabelledImage

MANIFEST = "manifest.jsonl"
"""The file in an exported folder that names object key and label of each image."""
TRAIN, VALIDATION = "train", "val"
_LONGEST = 200
_FORBIDDEN = set('<>:"|?*\\')


def place(image: LabelledImage, *, split: bool) -> str:
    """Return the path of a labelled image's file below the exported folder.

    A key keeps its own path, without the class at its beginning. A key that some file system cannot have as a
    path is replaced by a hash.

    Args:
        image: the labelled image.
        split: as in YOLO's layout: the audit share in ``val``, everything else in ``train``.
    """
    folder = _folder(image.label)
    path = image.key.removeprefix(f"{image.label}/")
    if not _is_path(path):
        path = _hashed(image.key)
    part = f"{VALIDATION if image.audit else TRAIN}/" if split else ""
    return f"{part}{folder}/{path}"


def _is_path(path: str) -> bool:
    parts = path.split("/")
    return all(
        part not in ("", ".", "..")
        and part.isprintable()
        and len(part.encode()) <= _LONGEST
        and part == part.rstrip(" .")
        and not _FORBIDDEN & set(part)
        for part in parts
    )


def _hashed(key: str) -> str:
    suffix = PurePosixPath(key).suffix
    plain = suffix if suffix[1:].isalnum() and suffix.isascii() else ""
    return hashlib.sha256(key.encode()).hexdigest()[:32] + plain.lower()


def _folder(name: str) -> str:
    """Return the name of a class as the name of a folder."""
    return name if _is_path(name) and "/" not in name else _hashed(name)
