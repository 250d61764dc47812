"""Find the image that a row of labels names: a file on this disk, or an object of the images bucket."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from octospoon.domain.labelling.addresses import shown_key

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.adapters.label_files.rows import LabelRow

OTHER_BUCKET = "in another bucket than the images bucket"
ON_THE_WEB = "with a web address: download the images, or name their object keys"
OUTSIDE = "with a path outside of the folder of the images: name that folder with --images"


class Located(NamedTuple):
    """The image of a row.

    Attributes:
        key: its object key.
        file: its file; None if the image is in the bucket.
        problem: why the image cannot be used; empty if it can.
    """

    key: str
    file: str | None = None
    problem: str = ""


class Locator:
    """Finds images.

    Args:
        bucket: the images bucket.
        root: the folder that paths begin at.
        prefix: put before the object keys of files.
    """

    def __init__(self, bucket: str, root: Path, prefix: str = "") -> None:
        self._bucket = bucket
        self._root = str(root.resolve())
        self._prefix = prefix

    def __call__(self, row: LabelRow) -> Located:
        """Return the image of a row. What is neither an address nor a file is taken for an object key."""
        image = row.image
        scheme = image.strip().lower().partition("://")
        if scheme[1] and scheme[0] == "s3":
            key = shown_key(self._bucket, image)
            return Located(row.key or key) if key else Located("", problem=OTHER_BUCKET)
        if scheme[1] and scheme[0] in ("http", "https"):
            return Located(row.key) if row.key else Located("", problem=ON_THE_WEB)
        local_file = self._file(image)
        if local_file is None:
            return Located(row.key or image)
        path, file = local_file
        if not path:
            return Located("", problem=OUTSIDE)
        return Located(row.key or self._prefix + path, file)

    def _file(self, image: str) -> tuple[str, str] | None:
        """Return an image's path below the root, empty if it is not below, and its file; None without one."""
        names = dict.fromkeys((image, image.strip(), image.replace("\\", "/")))
        for name in names:
            file = os.path.normpath(f"{self._root}/{name}" if not name.startswith("/") else name)
            if "\0" not in file and os.path.isfile(file):  # noqa: PTH113 - once for each of a million rows
                path = os.path.relpath(file, self._root).replace(os.sep, "/")
                return ("" if path == ".." or path.startswith("../") else path), file
        return None
