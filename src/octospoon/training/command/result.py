"""Read what a program left: ``model.onnx``, with an optional ``model.json`` and ``metrics.csv``."""

from __future__ import annotations

import ast
import csv
import io
import json
import math
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import onnx

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import BOXES_SCHEMA, SCHEMA, SOFTMAX
from octospoon.training.command.program import size_of
from octospoon.training.model import check_import
from octospoon.training.model.check_import import Options
from octospoon.training.model.wrap_onnx import Pixels

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL, OPTIONS, METRICS = "model.onnx", "model.json", "metrics.csv"
MOST_BYTES = 2 * 2**30
"""The most that a model may take before it is read: protobuf cannot hold more."""
_MOST_TEXT = 2**20
_MOST_EPOCHS, _MOST_METRICS = 1_000, 50
_METRIC = re.compile(r"[^A-Za-z0-9_./ -]+")
_METRIC_LENGTH = 100

Three = Annotated[tuple[float, ...], msgspec.Meta(min_length=3, max_length=3)]
_LONGEST_SIDE = 4096


class Described(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file ``model.json``: the options of `octospoon model import`, without the dashes.

    Attributes:
        classes: class names, or names of the data set's folders, in the order of the model's predictions.
            Empty for a model that gives an embedding; a head is then trained for it. A detector has some.
        size: height and width of the input, or both as one number, if the file leaves them open.
        resize: how an image of another shape fits.
        range: the value of white, before mean and std.
        mean: of red, green and blue, subtracted.
        std: of red, green and blue, divides.
        channels: the order of the colours.
        layout: the order of the axes, if the file does not tell.
        output: name of the output tensor, if there are several.
        pool: how feature maps or tokens become an embedding.
        first_label: number of a detector's first class in its list of labels.
        overlap: of two boxes of a class, above which a detector's worse one is removed.
    """

    classes: tuple[str, ...] | None = None
    # limits on the numbers of a union crash msgspec 0.22
    size: int | tuple[int, int] | None = None
    resize: Literal["squash", "cover", "letterbox"] | None = None
    range: Literal[1, 255] = 1
    mean: Three | None = None
    std: Three | None = None
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] | None = None
    output: str = ""
    pool: Literal["nchw", "nhwc", "mean", "first"] | None = None
    first_label: int | None = None
    overlap: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] | None = None

    def options(self, classes: tuple[str, ...]) -> Options:
        """Return the options of the import, for a model of these classes."""
        height, width = _sides(self.size)
        pixels = Pixels(
            height, width, float(self.range), self.mean, self.std, self.channels, self.layout or ""
        )
        pixels.factors()
        return Options(
            pixels,
            self.resize or "",
            self.output,
            classes,
            self.pool or "",
            self.first_label,
            self.overlap,
        )


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes that a model must have.

    Attributes:
        names: in the order of the project.
        folders: the names of their folders in the data set; empty if they have none.
        activation: of the head, one of `octospoon.domain.model_spec.ACTIVATIONS`; empty for a detector.
    """

    names: tuple[str, ...]
    folders: tuple[str, ...]
    activation: str = SOFTMAX

    def meant(self, given: tuple[str, ...]) -> tuple[str, ...]:
        """Return class names for names of classes or of folders."""
        if set(given) <= set(self.names) or not self.folders:
            return given
        by_folder = dict(zip(self.folders, self.names, strict=True))
        return tuple(by_folder.get(name, name) for name in given)


def read_model(folder: Path, classes: Classes) -> check_import.Parts:
    """Read the model that a program wrote.

    Args:
        folder: where the program wrote it; the program and all that it started have ended.
        classes: that the model must have.

    Raises:
        BadModel: there is no usable ``model.onnx``.
        BadRequest: ``model.json`` is wrong, or does not fit the model.
    """
    _check_files(folder)
    if not (folder / MODEL).is_file():
        raise BadModel(f"it has not written {MODEL} into the folder of OCTOSPOON_OUTPUT")
    described = _described(folder)
    metadata = _metadata(folder / MODEL)
    if metadata.get("schema") in (SCHEMA, BOXES_SCHEMA):
        if described is not None:
            raise BadRequest(f"{MODEL} describes itself: leave out {OPTIONS}")
        options = Options(Pixels())
    else:
        described = described or Described()
        given = described.classes
        if given is None:
            given = _own_classes(metadata) or classes.names
        options = described.options(classes.meant(given))
    parts = check_import.read(folder / MODEL, options, classes.activation)
    if not classes.activation and not parts.is_detector:
        raise BadModel(f"{MODEL} predicts no boxes: write a detector")
    return parts


def _check_files(folder: Path) -> None:
    """Refuse links, devices and more than MOST_BYTES, before any file is opened."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            mode = (Path(parent) / name).lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise BadModel(f"{name} is a link or no file: write the file itself")
    if (size := size_of([folder], MOST_BYTES)) > MOST_BYTES:
        raise BadModel(
            f"the files in the folder of OCTOSPOON_OUTPUT take {size:,} bytes, more than {MOST_BYTES:,}: "
            "write a smaller model, and keep checkpoints in the folder of TMPDIR"
        )


def _text(path: Path) -> str:
    if path.stat().st_size > _MOST_TEXT:
        raise BadRequest(f"{path.name} has more than {_MOST_TEXT:,} bytes")
    return path.read_text("utf-8-sig", errors="replace")


def _described(folder: Path) -> Described | None:
    if not (folder / OPTIONS).is_file():
        return None
    try:
        return msgspec.json.decode(_text(folder / OPTIONS), type=Described)
    except msgspec.MsgspecError as error:
        known = ", ".join(Described.__struct_fields__)
        raise BadRequest(f"{OPTIONS} is wrong: {error}; its options are {known}") from error


def _metadata(path: Path) -> dict[str, str]:
    """Return the strings of a file's ``metadata_props``."""
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own types
        raise BadModel(f"{MODEL} cannot be read as ONNX: {error}") from error
    return {prop.key: prop.value for prop in model.metadata_props}


def _own_classes(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the class names in a file's metadata: ``classes`` as JSON, or Ultralytics' ``names``."""
    try:
        if "classes" in metadata:
            return tuple(str(name) for name in json.loads(metadata["classes"]))
        if "names" in metadata:
            names = ast.literal_eval(metadata["names"])
            return tuple(str(names[i]) for i in range(len(names)))
    except (ValueError, SyntaxError, TypeError, KeyError) as error:
        raise BadModel(f"the class names in the metadata of {MODEL} cannot be read: {error}") from error
    return ()


def read_metrics(folder: Path, *, growing: bool = False) -> tuple[dict[str, float], ...]:
    """Return the metrics of each epoch from ``metrics.csv``; empty if there is no such file.

    The first row names the columns. A column ``epoch`` is left out, because the order of the rows says it.

    Args:
        folder: where the program writes the file.
        growing: whether the program still writes. A line without an end is then left out.

    Raises:
        BadRequest: the file is too long, or a value is no number.
    """
    path = folder / METRICS
    if not stat.S_ISREG(_mode(path)):
        return ()
    text = _text(path)
    if growing:
        text = text[: text.rfind("\n") + 1]
    try:
        header, *rows = list(csv.reader(io.StringIO(text), skipinitialspace=True)) or [[]]
    except csv.Error as error:
        raise BadRequest(f"{METRICS} cannot be read: {error}") from error
    if len(rows) > _MOST_EPOCHS or len(header) > _MOST_METRICS:
        raise BadRequest(f"{METRICS} has more than {_MOST_EPOCHS} rows, or more than {_MOST_METRICS} columns")
    return tuple(
        _epoch(number, dict(zip(header, row, strict=False))) for number, row in enumerate(rows, 1) if row
    )


def _epoch(number: int, row: Mapping[str, str]) -> dict[str, float]:
    values = {}
    for column, text in row.items():
        if column.strip().lower() == "epoch" or not text:
            continue
        try:
            value = float(text)
        except ValueError as error:
            raise BadRequest(f"{METRICS}, row {number}: {column.strip()} is {text!r}, no number") from error
        if math.isfinite(value):
            values[_metric(column)] = value
    return values


def _metric(column: str) -> str:
    name = _METRIC.sub("_", column.strip())[:_METRIC_LENGTH]
    return name if name.startswith("epoch_") else f"epoch_{name}"


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


def _sides(size: int | tuple[int, int] | None) -> tuple[int, int]:
    if size is None:
        return (0, 0)
    sides = size if isinstance(size, tuple) else (size, size)
    if not all(1 <= side <= _LONGEST_SIDE for side in sides):
        raise BadRequest(f"size is {size}: it must be between 1 and {_LONGEST_SIDE}")
    return sides
