"""One row of a file of labels, as every reader returns it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octospoon.adapters.label_files.drawn import Drawn

NO_LABEL = "without a class"
SEVERAL = "with several classes"
NO_IMAGE = "without an image"
LONGEST_LINE = 1 << 20
"""Number of characters above which a line is refused, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One label in a file, or the reason why a row has none.

    Attributes:
        place: where it is, for people, such as ``line 7``.
        image: the image as the file names it: a path, an object key, or an s3:// address.
        label: the class; empty if `problem` says why there is none.
        problem: why the row gives no label.
        key: the object key, if the file names it beside a path.
        etag: identity of the bytes that were labelled; empty if unknown.
        drawn: the boxes, if the file has them in its own unit; `label` is empty then.
        left_out: why and where a part of the label is left out.
    """

    place: str
    image: str
    label: str = ""
    problem: str = ""
    key: str = ""
    etag: str = ""
    drawn: Drawn | None = None
    left_out: tuple[tuple[str, str], ...] = ()


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file in UTF-8, with or without a byte order mark.

    Raises:
        BadRequest: the file cannot be read, is not UTF-8, or has a line that is too long.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise BadRequest(f"{path}, line {number}: over {LONGEST_LINE:,} characters in one line")
                yield line
    except UnicodeDecodeError as error:
        raise BadRequest(f"{path} is not text in UTF-8: save it as UTF-8") from error
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror or error}") from error
