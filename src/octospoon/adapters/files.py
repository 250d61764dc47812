"""Files on this machine that are written completely or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIVATE = 0o600
"""The mode of files that only their owner may read."""
_PUBLIC = 0o666


@contextmanager
def draft_of(path: Path, mode: int = _PUBLIC, *, forced: bool = True) -> Iterator[Path]:
    """Yield the path of an empty draft, which becomes the file once the block has ended without an error.

    An existing file is replaced.

    Args:
        path: of the file.
        mode: of the draft; the umask applies.
        forced: whether the contents reach the disk first. Otherwise a power failure can leave a file that is
            empty or incomplete.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode))
        yield draft
        if forced:
            with draft.open("rb") as file:
                os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path, mode: int = _PUBLIC) -> Iterator[Path]:
    """Yield the path of an empty draft, which becomes a new file. See `draft_of`.

    Raises:
        BadRequest: the file exists, or its folder does not.
    """
    check_new(path)
    with draft_of(path, mode) as draft:
        yield draft


def check_new(path: Path) -> None:
    """Raise BadRequest if a file cannot be written because it exists, or because its folder does not."""
    if path.exists():
        raise BadRequest(f"{path} is there already: name another file, or delete it first")
    if not path.parent.is_dir():
        raise BadRequest(f"there is no folder {path.parent}")
