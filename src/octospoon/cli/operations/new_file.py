"""Files that commands write: never over another file, and whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from pathlib import Path


def check_new(path: Path) -> None:
    """Raise BadRequest if a file cannot be written because it exists, or because its folder does not."""
    if path.exists():
        raise BadRequest(f"{path} is there already: name another file, or delete it first")
    if not path.parent.is_dir():
        raise BadRequest(f"there is no folder {path.parent}")


def write_new(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)
