"""Read labels from folders: a folder for each class, and YOLO's two layouts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from octospoon.adapters.imaging.file_kinds import EXTENSIONS
from octospoon.adapters.label_files.boxes.yolo import boxes_of
from octospoon.adapters.label_files.rows import LabelRow, lines
from octospoon.domain.errors import BadRequest, NotConfigured

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SPLITS = frozenset(("train", "val", "valid", "validation", "test"))
"""Names of the folders that may be above the classes."""
_DESCRIPTIONS = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
NO_FILE = "without a file of labels"
_NO_CLASS = "outside of the folder of a class"


def read_folders(folder: Path) -> Iterator[LabelRow]:
    """Yield a row for each image; its class is the name of the first folder on its path.

    Raises:
        BadRequest: there is no folder, or it has no images in folders.
    """
    yield from _classes(folder, depth=0)


def is_split(folder: Path) -> bool:
    """Return whether the folders of classes are in folders such as ``train`` and ``val``."""
    names = {entry.name.lower() for entry in _entries(folder) if entry.is_dir()}
    return bool(names) and names <= SPLITS


def read_yolo(source: Path) -> Iterator[LabelRow]:
    """Yield the labels of YOLO's folders.

    A classification set has a folder for each class below ``train`` and ``val``. A detection set has a text
    file with the boxes of each image, which is empty for no objects, and a file that names the classes.

    Args:
        source: the folder, or its ``data.yaml``.

    Raises:
        BadRequest: it is neither.
    """
    folder = source if source.is_dir() else source.parent
    description = source if source.is_file() else _description(folder)
    if description is not None:
        yield from _detection(folder, _names(description))
    elif (folder / "labels").is_dir():
        raise BadRequest(f"{folder} has labels, but neither classes.txt nor data.yaml with their names")
    elif is_split(folder):
        yield from _classes(folder, depth=1)
    else:
        raise BadRequest(f"{folder} has no layout of YOLO: neither train/CLASS/ nor images/ and labels/")


def is_detection(folder: Path) -> bool:
    """Return whether a folder has YOLO's layout for detection."""
    return (folder / "labels").is_dir() or _description(folder) is not None


def _description(folder: Path) -> Path | None:
    names = ("classes.txt", *_DESCRIPTIONS)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _classes(folder: Path, depth: int) -> Iterator[LabelRow]:
    for path in images(folder):
        parts = path.split("/")
        if len(parts) > depth + 1:
            yield LabelRow(path, path, parts[depth])
        else:
            yield LabelRow(path, path, problem=_NO_CLASS)


def images(folder: Path, below: str = "") -> Iterator[str]:
    """Yield the images of a folder as paths below it, by name; hidden files are left out."""
    for entry in _entries(folder / below):
        path = f"{below}/{entry.name}" if below else entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from images(folder, path)
        elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS:  # noqa: PTH122 - a million names
            yield path


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise BadRequest(f"{folder} cannot be read: {error.strerror or error}") from error


def _detection(folder: Path, names: Mapping[int, str]) -> Iterator[LabelRow]:
    """Yield a row with the boxes of each image that is not below ``labels``."""
    for path in images(folder):
        name = _label_file(path)
        if (folder / name).is_file():
            yield LabelRow(path, path, drawn=boxes_of(folder / name, name, names))
        else:
            yield LabelRow(path, path, problem=NO_FILE)


def _label_file(image: str) -> str:
    """Return the file with an image's boxes: ``images`` becomes ``labels``, as YOLO itself does it."""
    stem = image.rpartition(".")[0]
    parts = stem.split("/")
    places = [i for i, part in enumerate(parts[:-1]) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return "/".join(parts) + ".txt"


def _names(description: Path) -> dict[int, str]:
    if description.suffix == ".txt":
        return dict(enumerate(name for line in lines(description) if (name := line.strip())))
    content = _yaml(description)
    names = content.get("names") if isinstance(content, dict) else None
    pairs = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
    if not (classes := {int(number): str(name) for number, name in pairs}):
        raise BadRequest(f"{description} has no names of classes")
    return classes


def _yaml(path: Path) -> Any:  # noqa: ANN401 - YAML
    try:
        import yaml
    except ImportError:
        raise NotConfigured(f'reading {path} needs one more package: pip install "octospoon[yolo]"') from None
    try:
        return yaml.safe_load("".join(lines(path)))
    except yaml.YAMLError as error:
        raise BadRequest(f"{path} is not YAML: {error}") from error
