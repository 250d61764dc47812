"""Read octospoon's own manifest: JSON Lines, one object for each image, as training snapshots have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.label_files.rows import NO_IMAGE, NO_LABEL, LabelRow, lines
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Line(msgspec.Struct):
    key: str = ""
    file: str = ""
    label: str | None = None
    etag: str = ""


def read(path: Path) -> Iterator[LabelRow]:
    """Yield the labels of a manifest. A line has ``key``, ``file`` or both, and ``label``.

    Raises:
        BadRequest: a line is not such an object.
    """
    for number, line in enumerate(lines(path), 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, UnicodeEncodeError) as error:
            raise BadRequest(f"{path}, line {number}: not a line of a manifest ({error})") from error
        place, label = f"line {number}", (row.label or "").strip()
        if not (row.file or row.key):
            yield LabelRow(place, "", problem=NO_IMAGE)
        else:
            problem = "" if label else NO_LABEL
            yield LabelRow(place, row.file or row.key, label, problem, row.key, row.etag)
