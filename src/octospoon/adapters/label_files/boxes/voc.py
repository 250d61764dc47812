"""Read labels from Pascal VOC: an XML file for each image, with its size and its boxes in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.parsers import expat

from octospoon.adapters.imaging.file_kinds import EXTENSIONS
from octospoon.adapters.label_files.drawn import Drawn, DrawnBox, number
from octospoon.adapters.label_files.rows import LabelRow
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_VOC = "not an annotation of Pascal VOC"
ROTATED = "rotated boxes"
_ANNOTATIONS, _IMAGES = "Annotations", "JPEGImages"
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_LARGEST = 1 << 24
"""Bytes of the largest file that is read."""


def is_voc(folder: Path) -> bool:
    """Return whether a folder has files of Pascal VOC, by itself or in ``Annotations``."""
    return any(True for place in (folder / _ANNOTATIONS, folder) for _ in place.glob("*.xml"))


def images_folder(source: Path) -> Path:
    """Return the folder of the images: ``JPEGImages`` if there is one, or that of the annotations."""
    folder = source if source.is_dir() else source.parent
    return next((place for place in (folder / _IMAGES, folder.parent / _IMAGES) if place.is_dir()), folder)


def read(source: Path) -> Iterator[LabelRow]:
    """Yield a row for each file, with the boxes of its image.

    Args:
        source: a folder of files, a folder with ``Annotations``, or one file.

    Raises:
        BadRequest: there is no such file, or one cannot be read.
    """
    files = [source] if source.is_file() else _files(source)
    if not files:
        raise BadRequest(f"{source} has no XML file, by itself or in {_ANNOTATIONS}")
    images = images_folder(source)
    for file in files:
        yield _row(file, images)


def _files(folder: Path) -> list[Path]:
    annotations = folder / _ANNOTATIONS
    return sorted((annotations if annotations.is_dir() else folder).glob("*.xml"))


def _row(file: Path, images: Path) -> LabelRow:
    try:
        document = _parsed(file)
    except ValueError as error:
        return LabelRow(file.name, file.name, problem=f"{NOT_VOC}: {error}")
    size = tuple(number(document.findtext(f"size/{side}")) for side in ("width", "height"))
    boxes = tuple(_box(file.name, item) for item in document.iterfind("object"))
    drawn = Drawn(boxes, (size[0], size[1]), pixels=True)
    return LabelRow(file.name, _image(file, document, images), drawn=drawn)


def _image(file: Path, document: ElementTree.Element, images: Path) -> str:
    """Return the name of a file's image; many files name it wrongly, and it has the file's own name then."""
    named = (document.findtext("filename") or "").strip()
    if named and (images / named).is_file():
        return named
    beside = (images / f"{file.stem}{suffix}" for suffix in sorted(EXTENSIONS))
    return next((place.name for place in beside if place.is_file()), named or file.stem)


def _box(name: str, item: ElementTree.Element) -> DrawnBox:
    sides = [number(item.findtext(f"bndbox/{side}")) for side in _SIDES]
    problem = "" if item.find("robndbox") is None else ROTATED
    return DrawnBox(
        f"{name}, line {item.get('line')}",
        (item.findtext("name") or "").strip(),
        (sides[0], sides[1], sides[2], sides[3]),
        problem,
    )


def _parsed(file: Path) -> ElementTree.Element:
    """Return the root of a file, whose elements have their line as the attribute ``line``.

    A document type could define entities that grow without bound, so it is refused.

    Raises:
        ValueError: it is no annotation; the message says why.
        BadRequest: it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST + 1)
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror or error}") from error
    if len(data) > _LARGEST:
        raise ValueError(f"over {_LARGEST:,} bytes")
    builder, parser = ElementTree.TreeBuilder(), expat.ParserCreate()

    def begin(tag: str, _: dict[str, str]) -> None:
        builder.start(tag, {"line": str(parser.CurrentLineNumber)})

    parser.StartElementHandler, parser.EndElementHandler = begin, builder.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, _refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:  # an encoding that nobody knows
        raise ValueError(str(error)) from error
    root = builder.close()
    if root.tag != "annotation":
        raise ValueError(f"its root is {root.tag[:50]}")
    return root


def _refuse(*_: object) -> None:
    raise ValueError("it declares a document type")
