"""Small JPEG files of images, made when they are first asked for and kept on disk within a bound.

The bytes of the bucket never reach the browser: each image is decoded within the limits of the scorer, and
written anew.
"""

from __future__ import annotations

import io
import re
import threading
from typing import TYPE_CHECKING

from PIL import Image

from octospoon.adapters.files import draft_of
from octospoon.adapters.imaging.decode import Target, decode_opened
from octospoon.adapters.imaging.image_file import open_image
from octospoon.adapters.imaging.orientation import SWAPS_AXES
from octospoon.domain.errors import BadImage
from octospoon.domain.pool.keys import image_id

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.ports.images import ImageStore

SIDES = {"small": 160, "large": 640}
"""The longer side of a thumbnail in pixels, by the name of its size."""
MOST_BYTES = 300_000_000
QUALITY = 80
AT_ONCE = 4
"""Images that are read at the same time; each may have 200 MB."""
_ID = re.compile(r"[0-9a-f]{16}")
_PRUNED_EVERY = 500


class Thumbnails:
    """The thumbnails of one deployment.

    Args:
        images: reads the images.
        folder: where they are kept; made if it is missing.
        most_bytes: of all files together.
    """

    def __init__(self, images: ImageStore, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._images, self._folder, self._most_bytes = images, folder, most_bytes
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._made = 0
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str, etag: str, size: str) -> bytes:
        """Return a JPEG file.

        Args:
            key: object key of the image.
            etag: identity of the bytes.
            size: one of `SIDES`.

        Raises:
            BadImage: the image cannot be shown; reason ``changed`` if there are other bytes now.
            RetryableError: AWS does not answer.
        """
        path = self._folder / f"{image_id(key, etag)}-{size}.jpg"
        try:
            data = path.read_bytes()
            path.touch()  # the files used last are kept
        except FileNotFoundError:
            with self._slots:
                data = self._make(key, etag, SIDES[size])
            with draft_of(path, forced=False) as draft:
                draft.write_bytes(data)
            self._prune_sometimes()
        return data

    def _make(self, key: str, etag: str, side: int) -> bytes:
        stored = self._images.read(key)
        if not stored.matches(etag):
            raise BadImage("changed", "the object has other bytes now")
        return jpeg(stored.data, side)

    def _prune_sometimes(self) -> None:
        self._made += 1
        if self._made % _PRUNED_EVERY == 1:
            prune(self._folder, self._most_bytes)


def is_id(text: str) -> bool:
    """Return whether a text has the form of an image's id, see `image_id`."""
    return _ID.fullmatch(text) is not None


def jpeg(data: bytes, side: int) -> bytes:
    """Return an image as JPEG, upright, with its longer side at most `side` pixels.

    Raises:
        BadImage: it cannot be decoded.
    """
    opened = open_image(data)
    width, height = opened.size
    if opened.orientation in SWAPS_AXES:
        width, height = height, width
    scale = min(1.0, side / max(width, height))
    target = Target(max(1, round(height * scale)), max(1, round(width * scale)), "squash")
    file = io.BytesIO()
    Image.fromarray(decode_opened(opened, target).pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def prune(folder: Path, most_bytes: int) -> None:
    """Delete the files used longest ago until all together have at most `most_bytes`."""
    files = []
    for path in folder.glob("*.jpg"):
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue  # another process deleted it
        files.append((facts.st_mtime, facts.st_size, path))
    excess = sum(size for _, size, _ in files) - most_bytes
    for _, size, path in sorted(files):
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= size
