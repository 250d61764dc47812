"""Draw contact sheets: many images in one file, with a grey tile for each image that cannot be shown."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from octospoon.adapters.imaging.decode import decode
from octospoon.domain.errors import BadImage, OctospoonError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from octospoon.ports.images import ImageStore

MOST = 25
BYTES = 300_000_000
SECONDS = 30.0
_COLUMNS = 5
_SIDE, _GAP, _LINE, _SIZE = 160, 10, 15, 12
_WHOLE = "squash"
_FRAMES = {True: "#c62828", False: "#9e9e9e"}


class Frame(NamedTuple):
    """A box on an image.

    Attributes:
        box: x1, y1, x2, y2, as shares of the image.
        colour: of its line.
    """

    box: tuple[float, float, float, float]
    colour: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of a sheet.

    Attributes:
        key: object key.
        etag: ETag of the bytes to show.
        lines: text between the image and its key.
        marked: whether it gets a red frame.
        frames: boxes to draw; an image with boxes is shown whole.
    """

    key: str
    etag: str
    lines: tuple[str, ...]
    marked: bool = False
    frames: tuple[Frame, ...] = ()


class Thumbnails:
    """Reads and shrinks images until a limit of bytes or seconds is reached.

    Args:
        images: reads the images.
        resize: the model's resize rule, so that the sheet shows what the model sees.
        budget: bytes of files to read; the file that exceeds it is the last.
        seconds: time after which no file is read.
        monotonic: a clock, in seconds.
    """

    def __init__(
        self,
        images: ImageStore,
        resize: str,
        budget: int = BYTES,
        seconds: float = SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._images, self._resize, self._left = images, resize, budget
        self._monotonic = monotonic
        self._end = monotonic() + seconds

    def read(self, key: str, etag: str, *, whole: bool = False) -> Image.Image | str:
        """Return an image of _SIDE × _SIDE pixels, or the reason why it cannot be shown.

        Args:
            key: object key.
            etag: of the bytes to show.
            whole: whether to show the whole image, whatever the model sees.
        """
        if self._left <= 0:
            return "not read: too many bytes"
        if self._monotonic() > self._end:
            return "not read: no time left"
        try:
            stored = self._images.read(key)
            self._left -= len(stored.data)
            if not stored.matches(etag):
                return "changed since"
            return Image.fromarray(decode(stored.data, _SIDE, _SIDE, _WHOLE if whole else self._resize))
        except BadImage as error:
            return error.reason
        except OctospoonError as error:
            return f"not read: {type(error).__name__}"


def draw(path: Path, title: str, tiles: Sequence[Tile], thumbnails: Thumbnails) -> None:
    """Write a sheet of the first MOST tiles as a PNG file.

    Args:
        path: path of the file.
        title: one line at the top.
        tiles: at least one tile; all have the same number of lines.
        thumbnails: reads their images.
    """
    shown = tiles[:MOST]
    cell = _SIDE + (len(shown[0].lines) + 1) * _LINE + 2 * _GAP
    columns, rows = _COLUMNS, -(-len(shown) // _COLUMNS)
    sheet = Image.new("RGB", (_GAP + columns * (_SIDE + _GAP), 3 * _GAP + _LINE + rows * cell), "white")
    pen, font = ImageDraw.Draw(sheet), _font()
    pen.text((_GAP, _GAP), _cut(title, font, sheet.width - 2 * _GAP), "black", font)
    for i, tile in enumerate(shown):
        row, column = divmod(i, columns)
        corner = (_GAP + column * (_SIDE + _GAP), 2 * _GAP + _LINE + row * cell)
        _draw_tile(sheet, pen, font, tile, _shown(tile, thumbnails), corner)
    sheet.save(path)


def _shown(tile: Tile, thumbnails: Thumbnails) -> Image.Image | str:
    return thumbnails.read(tile.key, tile.etag, whole=bool(tile.frames))


def _draw_tile(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont,
    tile: Tile,
    image: Image.Image | str,
    corner: tuple[int, int],
) -> None:
    left, top = corner
    box = (left, top, left + _SIDE - 1, top + _SIDE - 1)
    if isinstance(image, str):
        pen.rectangle(box, "#d0d0d0")
        pen.text((left + _GAP, top + _SIDE // 2), _cut(image, font, _SIDE - 2 * _GAP), "black", font)
    else:
        sheet.paste(image, corner)
        for frame in tile.frames:
            x1, y1, x2, y2 = (round(share * (_SIDE - 1)) for share in frame.box)
            pen.rectangle((left + x1, top + y1, left + x2, top + y2), outline=frame.colour, width=2)
    pen.rectangle(box, outline=_FRAMES[tile.marked], width=3 if tile.marked else 1)
    # a long key is cut at its beginning, because its end differs more
    lines = (*(_cut(line, font, _SIDE) for line in tile.lines), _cut(tile.key[::-1], font, _SIDE)[::-1])
    for i, line in enumerate(lines):
        pen.text((left, top + _SIDE + 3 + i * _LINE), line, "black", font)


def _cut(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return the text as one line of at most `width` pixels, with an ellipsis if it is cut."""
    text = " ".join(text[:200].split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _font() -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which matplotlib includes; Pillow's own font has Latin letters only."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", _SIZE)
