"""Recognise a detector by the shapes and values of its outputs for drawn images."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import numpy as np

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.training.graph.detector import COLUMNS, LISTS, ROWS, SIGMOID, SOFTMAX, TABLES, Detector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import onnx

    Outputs = Mapping[str, Sequence[npt.NDArray[np.generic]]]

_SHARES = 1.5
"""Boxes whose numbers are all below this are shares: a little more than 1, for boxes beyond the edge."""
_SUM_TOLERANCE = 1e-3
_BOX_NAMES = ("box", "loc", "coord")
_READ = (
    "Read are: one output [N, 4 + C, M] (Ultralytics YOLO), one [N, M, 6] (end to end), boxes [N, M, 4] with "
    "scores [N, M, C] or [N, M, C + 1] (DETR, RT-DETR, SSD), and lists of boxes [D, 4], labels [D] and "
    "scores [D] (torchvision)"
)


def named_classes(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the classes that Ultralytics' exporter writes into a file; empty if there are none."""
    entries = {prop.key: prop.value for prop in model.metadata_props}
    if entries.get("task") != "detect":
        return ()
    try:
        names = ast.literal_eval(entries.get("names", ""))
    except (SyntaxError, ValueError):
        return ()
    return tuple(str(names[number]) for number in sorted(names)) if isinstance(names, dict) else ()


def recognised(outputs: Outputs, classes: Sequence[str], first_label: int | None) -> Detector | None:
    """Return the form of a detector's outputs.

    Args:
        outputs: by name, the values for each of some images, which went through the model one by one.
        classes: names of its classes; empty if they are unknown.
        first_label: number of the first class where labels are numbers; None for the exporter's usual one.

    Returns:
        None if the model is no detector.

    Raises:
        BadRequest: the model is a detector, and its classes are not named.
        BadModel: it may be a detector, and its outputs have no form that is read; the message shows them.
    """
    shapes = {name: values[0].shape for name, values in outputs.items()}
    lists = _lists(outputs)
    boxes = _tables_of_boxes(shapes)
    single = next(iter(shapes.values())) if len(shapes) == 1 else ()
    if not lists and not (boxes and len(shapes) > 1) and not (classes and len(single) == 3):
        return None
    if not classes:
        raise BadRequest(
            f"the model is a detector (its outputs are {_shown(shapes)}): name its classes with --classes, "
            "in its own order and without a background. Or name its features with --output, to use them as a "
            "backbone"
        )
    count = len(classes)
    if lists:
        return _of_lists(outputs, lists, count, first_label)
    if len(single) == 3:
        return _of_one(outputs, single, count, first_label)
    if len(boxes) > 1:
        raise BadModel(
            f"the model's outputs are {_shown(shapes)}, and any of {', '.join(boxes)} may hold the boxes: "
            "rename the output with the boxes to 'boxes'"
        )
    return _of_table(outputs, boxes[0], count)


def _tables_of_boxes(shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Return the outputs [N, M, 4]; if scores have four columns too, those that are named after boxes."""
    tables = [name for name, shape in shapes.items() if len(shape) == 3 and shape[2] == 4]
    named = [name for name in tables if any(word in name.lower() for word in _BOX_NAMES)]
    return named if len(tables) > 1 and named else tables


def _lists(outputs: Outputs) -> tuple[str, ...]:
    """Return the names of boxes, scores and labels if the outputs are lists, else nothing."""
    flat = {
        name: [value.reshape(-1, *value.shape[2:]) if _extra(value) else value for value in values]
        for name, values in outputs.items()
    }
    boxes = [
        name
        for name, values in flat.items()
        if all(value.ndim == 2 and value.shape[1] == 4 for value in values)
    ]
    rows = [name for name, values in flat.items() if all(value.ndim == 1 for value in values)]
    if len(boxes) != 1:
        return ()
    lengths = [len(value) for value in flat[boxes[0]]]
    rows = [name for name in rows if [len(value) for value in flat[name]] == lengths]
    labels = [name for name in rows if all(np.issubdtype(value.dtype, np.integer) for value in flat[name])]
    if len(rows) == 2 and not labels:
        labels = [name for name in rows if any(map(len, flat[name])) and all(map(_whole, flat[name]))]
    scores = [name for name in rows if name not in labels]
    return (boxes[0], scores[0], labels[0]) if len(labels) == len(scores) == 1 else ()


def _extra(value: npt.NDArray[np.generic]) -> bool:
    """Return True for a list after an axis of length 1: [1, D, 4] or [1, D]."""
    return value.shape[0] == 1 and ((value.ndim == 2 and value.shape[1] != 4) or value.ndim == 3)


def _of_lists(outputs: Outputs, lists: tuple[str, ...], count: int, first_label: int | None) -> Detector:
    first, pixels = 1 if first_label is None else first_label, _in_pixels(outputs[lists[0]])
    return Detector(LISTS, "torchvision", lists, count, corners=True, pixels=pixels, first_label=first)


def _of_one(outputs: Outputs, shape: tuple[int, ...], count: int, first_label: int | None) -> Detector:
    ((name, values),) = outputs.items()
    if shape[2] == 6 and all(_whole(value[..., 5]) for value in values):
        boxes = [value[..., :4] for value in values]
        pixels = _in_pixels(boxes)
        # Ultralytics' RT-DETR gives centres in shares, all others corners in pixels
        return Detector(
            ROWS,
            "Ultralytics, end to end",
            (name,),
            count,
            pixels or _are_corners(boxes),
            pixels,
            first_label=first_label or 0,
        )
    if shape[1] == 4 + count:
        pixels = _in_pixels([value[:, :4] for value in values])
        return Detector(COLUMNS, "Ultralytics YOLO", (name,), count, False, pixels, suppressed=False)
    raise BadModel(_unread({name: shape}, count))


def _of_table(outputs: Outputs, boxes: str, count: int) -> Detector:
    rows = outputs[boxes][0].shape[1]
    scores = [name for name, values in outputs.items() if name != boxes and values[0].shape[1:2] == (rows,)]
    tables = [name for name in scores if outputs[name][0].shape[2:] in ((count,), (count + 1,))]
    if len(tables) != 1:
        raise BadModel(_unread({name: values[0].shape for name, values in outputs.items()}, count))
    values = [value.astype(np.float64) for value in outputs[tables[0]]]
    shares = all(value.min() >= 0 and value.max() <= 1 for value in values)
    sums = shares and all((np.abs(value.sum(axis=2) - 1) < _SUM_TOLERANCE).all() for value in values)
    background = values[0].shape[2] == count + 1
    corners = _are_corners(outputs[boxes])
    ready = sums if background else shares
    activation = "" if ready else (SOFTMAX if background else SIGMOID)
    return Detector(
        TABLES,
        "SSD" if corners else ("DETR" if background else "RT-DETR"),
        (boxes, tables[0]),
        count,
        corners,
        _in_pixels(outputs[boxes]),
        activation,
        int(background and corners),
        suppressed=not corners,
    )


def _in_pixels(boxes: Sequence[npt.NDArray[np.generic]]) -> bool:
    numbers = [value.astype(np.float64) for value in boxes if value.size]
    nothing = all(not value.any() for value in numbers)
    return nothing or max(float(value.max()) for value in numbers) > _SHARES


def _are_corners(boxes: Sequence[npt.NDArray[np.generic]]) -> bool:
    numbers = [value.astype(np.float64) for value in boxes]
    return all(bool((value[..., :2] <= value[..., 2:]).all()) for value in numbers)


def _whole(numbers: npt.NDArray[np.generic]) -> bool:
    values = numbers.astype(np.float64)
    return bool((values == np.rint(values)).all())


def _unread(shapes: Mapping[str, Sequence[int]], count: int) -> str:
    return (
        f"the model's outputs are {_shown(shapes)}, which is no form of a detector of {count} classes that "
        f"is read. {_READ}. Export it in one of these, or check --classes"
    )


def _shown(shapes: Mapping[str, Sequence[int]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
