"""The files of the page: fixed at start, so that no request can name another file."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
INDEX = "index.html"


@cache
def files() -> dict[str, bytes]:
    """Return the content of every file by its path, such as ``js/map.js``."""
    contents: dict[str, bytes] = {}
    _collect(resources.files("octospoon.ui") / "static", "", contents)
    return contents


def content_type(path: str) -> str:
    """Return the content type of a file of the page."""
    return TYPES[path.rpartition(".")[2]]


def _collect(folder: Traversable, prefix: str, contents: dict[str, bytes]) -> None:
    for entry in sorted(folder.iterdir(), key=lambda path: path.name):
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            _collect(entry, f"{name}/", contents)
        elif name.rpartition(".")[2] in TYPES:
            contents[name] = entry.read_bytes()
