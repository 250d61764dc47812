"""Suppress overlapping boxes inside a graph, so that each object keeps one box of its class.

The boxes of each class are suppressed by themselves, the highest score first: greedy non-maximum suppression,
as in Felzenszwalb et al. 2010 (doi 10.1109/TPAMI.2009.167). ONNX's own operator does it. `reference` computes
the same with numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from octospoon.domain.model_spec import BOXES, SCORES

if TYPE_CHECKING:
    import numpy.typing as npt

    from octospoon.training.graph.builder import Builder

OPSET = 13
"""The oldest opset of a graph that takes these nodes: since then, axes are inputs."""
SUPPRESSION = "octospoon_suppression/"
"""Begins the name of every node and constant that is added."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How boxes are suppressed.

    Attributes:
        most: number of rows K of the result.
        floor: a score must be above it to count; 0 or more.
        overlap: a box is removed if its intersection over union with a better box of its class is above it; 1
            to remove none, for boxes that are suppressed already.
        candidates: number of boxes of an image, by their highest score, that are looked at; at least `most`.
    """

    most: int = 100
    floor: float = 0.01
    overlap: float = 0.6
    candidates: int = 1000


def suppress(graph: Builder, boxes: str, scores: str, rules: Rules) -> None:
    """Add nodes that keep the best boxes of each class. Their outputs are BOXES and SCORES.

    BOXES is float32 [N, K, 4], SCORES float32 [N, K, C]. A row is a box that at least one class keeps. A
    class that does not keep it has the score 0 there. The rows are ordered by their highest score. Unused
    rows are zero. Boxes are clipped to [0, 1], and a box without area then counts for nothing. Among equal
    scores, the earlier box comes first. If a number of an image is not finite, all its scores are NaN, so
    that the reader of the file refuses them.

    Args:
        graph: receives the nodes.
        boxes: name of a tensor float32 [N, M, 4]: x1, y1, x2, y2 as shares of the input.
        scores: name of a tensor float32 [N, M, C].
        rules: how boxes are suppressed.
    """
    nodes = _Nodes(graph)
    damage = nodes.add(
        "Add", [nodes.nothing(boxes, "of_boxes"), nodes.nothing(scores, "of_scores")], "damage"
    )
    clipped = nodes.clipped(nodes.padded(boxes, rules.most, "all_boxes"))
    counted = nodes.counted(clipped, nodes.padded(scores, rules.most, "all_scores"))
    _, candidates = nodes.best_rows(counted, rules.candidates, "candidates")
    near = nodes.rows(clipped, candidates, "near_boxes")
    kept = nodes.kept(near, nodes.rows(counted, candidates, "near_scores"), rules)
    values, places = nodes.best_rows(kept, rules.most, "kept")
    used = nodes.add("Greater", [values, nodes.number("zero", 0)], "used")
    used = nodes.add("Cast", [used], "used_float", to=TensorProto.FLOAT)
    used = nodes.add("Unsqueeze", [used, nodes.numbers("last", [2])], "used_rows")
    graph.add("Mul", [nodes.rows(near, places, "best_boxes"), used], BOXES)
    graph.add("Add", [nodes.rows(kept, places, "best_scores"), damage], SCORES)


class _Nodes:
    """The steps of the suppression; all names begin with SUPPRESSION."""

    def __init__(self, graph: Builder) -> None:
        self._graph = graph
        self._constants: set[str] = set()

    def add(self, op: str, inputs: list[str], name: str, **attributes: int) -> str:
        return self._graph.add(op, inputs, SUPPRESSION + name, **attributes)

    def number(self, name: str, value: float) -> str:
        return self._constant(name, np.array(value, np.float32))

    def numbers(self, name: str, values: list[int]) -> str:
        return self._constant(name, np.array(values, np.int64))

    def _constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        if name not in self._constants:
            self._graph.constant(SUPPRESSION + name, value)
            self._constants.add(name)
        return SUPPRESSION + name

    def nothing(self, tensor: str, name: str) -> str:
        """Return a tensor [N, 1, 1] that is 0, or NaN if a number of the image is not finite."""
        zeros = self.add("Mul", [tensor, self.number("zero", 0)], f"{name}_zeros")
        return self.add("ReduceSum", [zeros, self.numbers("rows_and_columns", [1, 2])], name, keepdims=1)

    def padded(self, tensor: str, rows: int, name: str) -> str:
        """Return a tensor with further rows of zeros, so that there are always enough to choose from."""
        return self.add("Pad", [tensor, self.numbers("pads", [0, 0, 0, 0, rows, 0])], name)

    def clipped(self, boxes: str) -> str:
        return self.add("Clip", [boxes, self.number("zero", 0), self.number("one", 1)], "clipped")

    def counted(self, boxes: str, scores: str) -> str:
        """Return the scores, with 0 for boxes without area."""
        longer = []
        for first, last in ((0, 2), (1, 3)):
            ends = [
                self.add("Gather", [boxes, self.numbers(f"column{i}", [i])], f"side{i}", axis=2)
                for i in (last, first)
            ]
            longer.append(self.add("Greater", ends, f"longer{first}"))
        area = self.add("And", longer, "has_area")
        return self.add("Where", [area, scores, self.number("zero", 0)], "counted")

    def best_rows(self, scores: str, count: int, name: str) -> tuple[str, str]:
        """Return the highest scores of the best rows [N, P], and their places [N, P, 1]; P <= count."""
        highest = self._top(scores, self.numbers("one_place", [1]), 2, f"{name}_highest")[0]
        highest = self.add("Squeeze", [highest, self.numbers("last", [2])], f"{name}_scores")
        shape = self.add("Shape", [highest], f"{name}_shape")
        rows = self.add("Gather", [shape, self.numbers("rows", [1])], f"{name}_rows", axis=0)
        rows = self.add("Min", [rows, self.numbers(f"{name}_most", [count])], f"{name}_count")
        values, places = self._top(highest, rows, 1, name)
        return values, self.add("Unsqueeze", [places, self.numbers("last", [2])], f"{name}_places")

    def _top(self, tensor: str, count: str, axis: int, name: str) -> tuple[str, str]:
        values, places = f"{SUPPRESSION}{name}_values", f"{SUPPRESSION}{name}_indices"
        self._graph.add_many("TopK", [tensor, count], [values, places], axis=axis)
        return values, places

    def rows(self, tensor: str, places: str, name: str) -> str:
        """Return the rows [N, P, .] of a tensor [N, M, .] at places [N, P, 1]."""
        return self.add("GatherND", [tensor, places], name, batch_dims=1)

    def kept(self, boxes: str, scores: str, rules: Rules) -> str:
        """Return the scores [N, P, C], with 0 for the pairs of box and class that are suppressed."""
        if rules.overlap >= 1:
            counts = self.add("Greater", [scores, self.number("floor", rules.floor)], "over_floor")
            return self.add("Where", [counts, scores, self.number("zero", 0)], "kept")
        by_class = self._graph.add("Transpose", [scores], SUPPRESSION + "by_class", perm=[0, 2, 1])
        limits = [
            self.numbers("most", [rules.most]),
            self.number("overlap", rules.overlap),
            self.number("floor", rules.floor),
        ]
        chosen = self.add("NonMaxSuppression", [boxes, by_class, *limits], "chosen")
        values = self.add("GatherND", [by_class, chosen], "chosen_scores")
        shape = self.add("Shape", [by_class], "shape")
        empty = self.add("ConstantOfShape", [shape], "empty")
        kept = self.add("ScatterND", [empty, chosen, values], "kept_by_class")
        return self._graph.add("Transpose", [kept], SUPPRESSION + "kept", perm=[0, 2, 1])


def reference(
    boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], rules: Rules
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return what the nodes of `suppress` compute, from float32 [N, M, 4] and float32 [N, M, C].

    Returns:
        Boxes float32 [N, K, 4] and scores float32 [N, K, C].
    """
    kept = [_of_image(*image, rules) for image in zip(boxes, scores, strict=True)]
    return np.stack([image[0] for image in kept]), np.stack([image[1] for image in kept])


def _of_image(
    raw: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], rules: Rules
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    classes = scores.shape[1]
    best_boxes = np.zeros((rules.most, 4), np.float32)
    best_scores = np.zeros((rules.most, classes), np.float32)
    if not (np.isfinite(raw).all() and np.isfinite(scores).all()):
        return best_boxes, best_scores + np.float32(np.nan)
    boxes = np.clip(raw, 0, 1)
    area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    counted = np.where(area[:, np.newaxis], scores, 0)
    candidates = np.argsort(-counted.max(axis=1), kind="stable")[: rules.candidates]
    boxes, counted = boxes[candidates], counted[candidates]
    kept = np.zeros_like(counted)
    for c in range(classes):
        chosen = _greedy(boxes, counted[:, c], rules)
        kept[chosen, c] = counted[chosen, c]
    rows = np.argsort(-kept.max(axis=1), kind="stable")[: rules.most]
    rows = rows[kept[rows].max(axis=1) > 0]
    best_boxes[: len(rows)], best_scores[: len(rows)] = boxes[rows], kept[rows]
    return best_boxes, best_scores


def _greedy(boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], rules: Rules) -> list[int]:
    """Return the places of the boxes float32 [P, 4] that one class keeps, the highest score first."""
    waiting = [int(i) for i in np.argsort(-scores, kind="stable") if scores[i] > np.float32(rules.floor)]
    if rules.overlap >= 1:
        return waiting
    chosen: list[int] = []
    for i in waiting:
        if len(chosen) == rules.most:
            break
        if not (_overlaps(boxes[i], boxes[chosen]) > np.float32(rules.overlap)).any():
            chosen.append(i)
    return chosen


def _overlaps(box: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the intersection over union, float32 [P], of a box with others float32 [P, 4]."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.maximum(sides, 0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    overlap: npt.NDArray[np.float32] = common / (areas - common)
    return overlap
