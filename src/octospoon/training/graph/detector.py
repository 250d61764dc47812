"""Recognise the form in which an exported detector gives its boxes, and read it.

A form is recognised by the shapes and values of the outputs for drawn images. `add_raw` reads it by nodes of
the graph, `raw` with numpy: every import compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from octospoon.training.graph.batching import OURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.training.graph.builder import Builder

RAW_BOXES, RAW_SCORES = f"{OURS}raw_boxes", f"{OURS}raw_scores"
"""The tensors that `add_raw` makes: float32 [N, M, 4] and [N, M, C]."""
LISTED = 300
"""How many entries are read of lists whose length depends on the image."""
COLUMNS, ROWS, TABLES, LISTS = "columns", "rows", "tables", "lists"
SIGMOID, SOFTMAX = "sigmoid", "softmax"


@dataclass(frozen=True, slots=True)
class Detector:
    """The form of a detector's outputs.

    Attributes:
        form: ``columns`` is one tensor [N, 4 + C, M]. ``rows`` is one [N, M, 6] of corners, score and class.
            ``tables`` are boxes [N, M, 4] and scores [N, M, .]. ``lists`` are boxes [D, 4], scores [D] and
            labels [D] of a single image, each perhaps after an axis of length 1.
        exporter: whose exports have this form, for people.
        outputs: names of the tensors, in the order of `form`.
        classes: number of classes C.
        corners: True if a box is x1, y1, x2, y2; False if it is its centre, width and height.
        pixels: True if boxes are in pixels of the input, False if they are shares of it.
        activation: what turns the scores into probabilities, empty if they are some.
        before: columns of a table of scores before the first class.
        first_label: number of the first class in ``rows`` and ``lists``.
        suppressed: True if the exporter leaves no overlapping boxes.
    """

    form: str
    exporter: str
    outputs: tuple[str, ...]
    classes: int
    corners: bool
    pixels: bool
    activation: str = ""
    before: int = 0
    first_label: int = 0
    suppressed: bool = True

    def __str__(self) -> str:
        """Return what was recognised, for people."""
        box = "x1, y1, x2, y2" if self.corners else "centre, width, height"
        unit = "pixels" if self.pixels else "shares"
        scores = f", {self.activation} scores" if self.activation else ""
        background = (
            f", background {'first' if self.before else 'last'}" if self.activation == SOFTMAX else ""
        )
        labels = f", classes from {self.first_label}" if self.form in (ROWS, LISTS) else ""
        return (
            f"detector: outputs like those of {self.exporter}, boxes as {box} in {unit}{scores}{background}"
            f"{labels}, {'suppressed already' if self.suppressed else 'not yet suppressed'}"
        )


def raw(
    detector: Detector, values: Sequence[npt.NDArray[np.generic]], size: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Read the outputs of a detector with numpy.

    Args:
        detector: the form.
        values: its `outputs`, of one image for ``lists``.
        size: height and width of the input.

    Returns:
        Boxes float32 [N, M, 4], as x1, y1, x2, y2 in shares of the input, and scores float32 [N, M, C]. A
        label that is no class has the score NaN.
    """
    numbers = [np.asarray(value, np.float32) for value in values]
    if detector.form == COLUMNS:
        boxes, scores = np.split(numbers[0].transpose(0, 2, 1), [4], axis=2)
    elif detector.form == ROWS:
        boxes, scores = numbers[0][..., :4], _one_hot(detector, numbers[0][..., 4], numbers[0][..., 5])
    elif detector.form == LISTS:
        boxes = numbers[0].reshape(1, -1, 4)[:, :LISTED]
        scores = _one_hot(detector, *(tensor.reshape(1, -1)[:, :LISTED] for tensor in numbers[1:]))
    else:
        boxes, scores = numbers
        scores = _active(detector, scores)
        scores = scores[..., detector.before : detector.before + detector.classes]
    if not detector.corners:
        centre, half = boxes[..., :2], boxes[..., 2:] * np.float32(0.5)
        boxes = np.concatenate([centre - half, centre + half], axis=2)
    whole = np.array([size[1], size[0]] * 2 if detector.pixels else [1] * 4, np.float32)
    return (boxes / whole).astype(np.float32), scores.astype(np.float32)


def _active(detector: Detector, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    active: npt.NDArray[np.floating] = scores
    if detector.activation == SIGMOID:
        active = 1 / (1 + np.exp(-scores))
    elif detector.activation == SOFTMAX:
        powers = np.exp(scores - scores.max(axis=2, keepdims=True))
        active = powers / powers.sum(axis=2, keepdims=True)
    return active.astype(np.float32)


def _one_hot(
    detector: Detector, scores: npt.NDArray[np.float32], labels: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    places = np.arange(detector.classes, dtype=np.float32) + detector.first_label
    hot = labels[..., np.newaxis] == places
    known = hot.any(axis=-1) | (scores == 0)
    marked: npt.NDArray[np.float32] = np.where(known, scores, np.nan)[..., np.newaxis] * hot.astype(
        np.float32
    )
    return np.where(known[..., np.newaxis], marked, np.float32(np.nan))


def add_raw(graph: Builder, detector: Detector, prefix: str, size: tuple[int, int]) -> None:
    """Add nodes that make RAW_BOXES and RAW_SCORES of a detector's outputs; see `raw`.

    Args:
        graph: receives the nodes.
        detector: the form.
        prefix: stands before the names of the outputs.
        size: height and width of the input.
    """
    nodes = _Nodes(graph, detector)
    floats = [
        nodes.add("Cast", [prefix + name], f"output{i}", to=TensorProto.FLOAT)
        for i, name in enumerate(detector.outputs)
    ]
    if detector.form == COLUMNS:
        rows = nodes.add("Transpose", floats, "turned", perm=[0, 2, 1])
        boxes, scores = nodes.columns(rows, 0, 4), nodes.columns(rows, 4, 4 + detector.classes)
    elif detector.form == ROWS:
        boxes = nodes.columns(floats[0], 0, 4)
        scores = nodes.one_hot(nodes.columns(floats[0], 4, 5), nodes.columns(floats[0], 5, 6))
    elif detector.form == LISTS:
        widths = (4, 1, 1)
        listed = [nodes.listed(value, width) for value, width in zip(floats, widths, strict=True)]
        boxes, scores = listed[0], nodes.one_hot(listed[1], listed[2])
    else:
        boxes, scores = floats
        if detector.activation == SIGMOID:
            scores = nodes.add("Sigmoid", [scores], "active")
        elif detector.activation == SOFTMAX:
            scores = nodes.add("Softmax", [scores], "active", axis=2)
        scores = nodes.columns(scores, detector.before, detector.before + detector.classes)
    if not detector.corners:
        half = nodes.add("Mul", [nodes.columns(boxes, 2, 4), nodes.number("half", 0.5)], "halves")
        centre = nodes.columns(boxes, 0, 2)
        ends = [nodes.add(op, [centre, half], name) for op, name in (("Sub", "starts"), ("Add", "ends"))]
        boxes = nodes.add("Concat", ends, "corners", axis=2)
    whole = [size[1], size[0]] * 2 if detector.pixels else [1] * 4
    graph.add("Div", [boxes, graph.constant(f"{OURS}whole", np.array(whole, np.float32))], RAW_BOXES)
    graph.add("Identity", [scores], RAW_SCORES)


class _Nodes:
    """The steps of reading, as nodes with names of ours."""

    def __init__(self, graph: Builder, detector: Detector) -> None:
        self._graph, self._detector = graph, detector

    def add(self, op: str, inputs: list[str], name: str, **attributes: int | list[int]) -> str:
        return self._graph.add(op, inputs, f"{OURS}boxes_{name}", **attributes)

    def number(self, name: str, value: float) -> str:
        return self._graph.constant(f"{OURS}boxes_{name}", np.array(value, np.float32))

    def columns(self, tensor: str, start: int, stop: int) -> str:
        """Return columns of a tensor [N, M, .]."""
        name = f"{tensor.removeprefix(OURS)}_{start}_to_{stop}"
        places = self._graph.constant(f"{OURS}boxes_{name}_places", np.arange(start, stop, dtype=np.int64))
        return self.add("Gather", [tensor, places], name, axis=2)

    def listed(self, tensor: str, width: int) -> str:
        """Return a list of any length as [1, LISTED, width], cut off or with zeros at its end."""
        name = tensor.removeprefix(OURS)
        plain = self._graph.reshape(tensor, [-1, width], f"{OURS}{name}_plain")
        pads = self._graph.constant(f"{OURS}{name}_pads", np.array([0, 0, LISTED, 0], np.int64))
        longer = self._graph.add("Pad", [plain, pads], f"{OURS}{name}_longer")
        places = self._graph.constant(f"{OURS}{name}_places", np.arange(LISTED, dtype=np.int64))
        cut = self._graph.add("Gather", [longer, places], f"{OURS}{name}_cut", axis=0)
        return self._graph.reshape(cut, [1, LISTED, width], f"{OURS}{name}_listed")

    def one_hot(self, scores: str, labels: str) -> str:
        """Return scores [N, M, C] of scores and labels [N, M, 1]; NaN for labels that are no class."""
        count, first = self._detector.classes, self._detector.first_label
        places = np.arange(first, first + count, dtype=np.float32)
        constant = self._graph.constant(f"{OURS}boxes_labels", places)
        hot = self.add("Equal", [labels, constant], "is_class")
        zero = self.add("Equal", [scores, self.number("nothing", 0)], "is_nothing")
        floats = self.add("Cast", [hot], "hot", to=TensorProto.FLOAT)
        axis = self._graph.constant(f"{OURS}boxes_last", np.array([2], np.int64))
        sums = self.add("ReduceSum", [floats, axis], "sums", keepdims=1)
        known = self.add("Greater", [sums, self.number("none", 0)], "in_classes")
        known = self.add("Or", [known, zero], "known")
        marked = self.add("Mul", [scores, floats], "marked")
        return self.add("Where", [known, marked, self.number("unknown", float("nan"))], "one_hot")
