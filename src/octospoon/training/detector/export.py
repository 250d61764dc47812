"""Write the trained part of a detector as ONNX: from feature maps to the outputs of ``octospoon/2``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from octospoon.domain.model_spec import BOXES, HEAD_PREFIX, SCORES
from octospoon.training.detector.network import CONVOLUTIONS
from octospoon.training.graph.builder import Builder
from octospoon.training.graph.suppression import SUPPRESSION, Rules, suppress
from octospoon.training.model import starter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.training.detector.maps import FeatureMap
    from octospoon.training.detector.network import Detector

RAW_BOXES, RAW_SCORES = HEAD_PREFIX + "raw_boxes", HEAD_PREFIX + "raw_scores"
"""Boxes float32 [N, M, 4] and scores float32 [N, M, C] of every cell, before suppression."""
_GROUPS = 32
"""Of torchvision's group normalisation."""


def head_graph(detector: Detector, maps: Sequence[FeatureMap]) -> Builder:
    """Return the nodes from the backbone's feature maps to RAW_BOXES and RAW_SCORES.

    Mean and spread of the maps are folded into the first convolutions.

    Args:
        detector: with trained weights, on the processor.
        maps: the feature maps that it reads.
    """
    nodes = _Nodes(detector)
    levels = nodes.pyramid(maps)
    outputs = [nodes.heads(level, i) for i, level in enumerate(levels)]
    logits, sides, centres = (
        nodes.add("Concat", [output[part] for output in outputs], name, axis=1)
        for part, name in enumerate(("logits", "sides", "centreness"))
    )
    nodes.boxes(sides)
    product = nodes.add(
        "Mul",
        [nodes.add("Sigmoid", [logits], "classes"), nodes.add("Sigmoid", [centres], "centres")],
        "product",
    )
    nodes.add("Sqrt", [product], RAW_SCORES.removeprefix(HEAD_PREFIX))
    return nodes.graph


class _Nodes:
    """The steps of the heads; all names begin with HEAD_PREFIX."""

    def __init__(self, detector: Detector) -> None:
        self.graph = Builder()
        self._detector = detector
        self._weights = {name: value.numpy() for name, value in detector.fcos.state_dict().items()}
        self._named: set[str] = set()

    def add(
        self, op: str, inputs: Sequence[str], name: str, **attributes: float | Sequence[int] | str
    ) -> str:
        return self.graph.add(op, inputs, HEAD_PREFIX + name, **attributes)

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """Return the name of a constant, which is added once."""
        if name not in self._named:
            self.graph.constant(HEAD_PREFIX + name, value)
            self._named.add(name)
        return HEAD_PREFIX + name

    def pyramid(self, maps: Sequence[FeatureMap]) -> list[str]:
        """Add the pyramid; return its levels in the order of the maps."""
        levels: list[str] = []
        above = ""
        for i in reversed(range(len(maps))):
            inner = f"backbone.inner_blocks.{i}.0"
            weights, bias = self._weights[f"{inner}.weight"], self._weights[f"{inner}.bias"]
            mean, spread = (part[i].numpy()[:, 0, 0] for part in (self._detector.mean, self._detector.spread))
            folded = weights / spread[:, np.newaxis, np.newaxis]
            moved = bias - (folded[:, :, 0, 0].astype(np.float64) @ mean).astype(np.float32)
            names = [self.constant(f"{inner}.weight", folded), self.constant(f"{inner}.bias", moved)]
            level = self.add("Conv", [maps[i].tensor, *names], f"inner{i}")
            if above:
                level = self.add("Add", [level, self._enlarged(above, i)], f"merged{i}")
            above = level
            levels.insert(0, self.convolved(level, f"backbone.layer_blocks.{i}.0", f"level{i}"))
        return levels

    def _enlarged(self, tensor: str, i: int) -> str:
        """Return a map with twice the height and width, where each cell is repeated."""
        factors = self.constant("twice", np.array([1, 1, 2, 2], np.float32))
        return self.add(
            "Resize",
            [tensor, "", factors],
            f"enlarged{i}",
            mode="nearest",
            nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        )

    def convolved(self, tensor: str, layer: str, name: str) -> str:
        """Add a convolution of 3×3 cells."""
        names = [
            self.constant(f"{layer}.{part}", self._weights[f"{layer}.{part}"]) for part in ("weight", "bias")
        ]
        return self.add("Conv", [tensor, *names], name, pads=[1, 1, 1, 1])

    def heads(self, level: str, i: int) -> tuple[str, str, str]:
        """Add both heads on a level; return logits [N, M, C], sides [N, M, 4] and centreness [N, M, 1]."""
        classification = self._tower(level, "head.classification_head", f"classification{i}")
        regression = self._tower(level, "head.regression_head", f"regression{i}")
        logits = self.convolved(classification, "head.classification_head.cls_logits", f"logits{i}")
        sides = self.convolved(regression, "head.regression_head.bbox_reg", f"sides{i}")
        sides = self.add("Relu", [sides], f"positive_sides{i}")
        centres = self.convolved(regression, "head.regression_head.bbox_ctrness", f"centreness{i}")
        classes = self._detector.classes
        return self._rows(logits, classes), self._rows(sides, 4), self._rows(centres, 1)

    def _tower(self, tensor: str, head: str, name: str) -> str:
        """Add convolution, group normalisation and ReLU, CONVOLUTIONS times."""
        for step in range(CONVOLUTIONS):
            layer, norm = f"{head}.conv.{3 * step}", f"{head}.conv.{3 * step + 1}"
            tensor = self.convolved(tensor, layer, f"{name}_{step}")
            tensor = self._normalised(tensor, norm, f"{name}_{step}")
            tensor = self.add("Relu", [tensor], f"{name}_{step}_relu")
        return tensor

    def _normalised(self, tensor: str, norm: str, name: str) -> str:
        """Add group normalisation: instance normalisation over groups, then a factor and an offset."""
        ones = self.constant("ones", np.ones(_GROUPS, np.float32))
        zeros = self.constant("zeros", np.zeros(_GROUPS, np.float32))
        groups = self.constant("groups", np.array([0, _GROUPS, -1], np.int64))
        grouped = self.add("Reshape", [tensor, groups], f"{name}_grouped")
        even = self.add("InstanceNormalization", [grouped, ones, zeros], f"{name}_even", epsilon=1e-5)
        shape = self.add("Shape", [tensor], f"{name}_shape")
        value = self.add("Reshape", [even, shape], f"{name}_channels")
        for op, part in (("Mul", "weight"), ("Add", "bias")):
            factor = self.constant(
                f"{norm}.{part}", self._weights[f"{norm}.{part}"][:, np.newaxis, np.newaxis]
            )
            value = self.add(op, [value, factor], f"{name}_{part}")
        return value

    def _rows(self, tensor: str, columns: int) -> str:
        """Return a map [N, columns, H, W] as rows [N, H * W, columns]."""
        last = self.graph.add("Transpose", [tensor], f"{tensor}_last", perm=[0, 2, 3, 1])
        shape = self.constant(f"rows{columns}", np.array([0, -1, columns], np.int64))
        return self.graph.add("Reshape", [last, shape], f"{tensor}_rows")

    def boxes(self, sides: str) -> None:
        """Add RAW_BOXES: the centre of each cell minus and plus the sides, times the cell's size."""
        detector = self._detector
        cells = detector.cells.numpy().astype(np.float64)
        centres, size = (cells[:, :2] + cells[:, 2:]) / 2, cells[:, 2:] - cells[:, :2]
        scale = np.array([detector.width, detector.height] * 2, np.float64)
        factors = np.concatenate([-size, size], axis=1) / scale
        moved = self.add("Mul", [sides, self.constant("factors", factors.astype(np.float32))], "moved")
        places = np.concatenate([centres, centres], axis=1) / scale
        self.add(
            "Add",
            [moved, self.constant("places", places.astype(np.float32))],
            RAW_BOXES.removeprefix(HEAD_PREFIX),
        )


def head_file(detector: Detector, maps: Sequence[FeatureMap], rules: Rules, opset: int) -> bytes:
    """Return the trained part alone as ONNX: the backbone's feature maps -> BOXES and SCORES.

    `model_file.assemble` joins it to the backbone, as its inputs have the names of the backbone's tensors.

    Args:
        detector: with trained weights, on the processor.
        maps: the feature maps that it reads.
        rules: how overlapping boxes are suppressed.
        opset: of the backbone, at least `suppression.OPSET`.
    """
    graph = head_graph(detector, maps)
    suppress(graph, RAW_BOXES, RAW_SCORES, rules)
    inputs = [
        helper.make_tensor_value_info(
            read.tensor,
            TensorProto.FLOAT,
            ["N", read.channels, detector.height // read.stride, detector.width // read.stride],
        )
        for read in maps
    ]
    outputs = [
        helper.make_tensor_value_info(BOXES, TensorProto.FLOAT, ["N", rules.most, 4]),
        helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["N", rules.most, detector.classes]),
    ]
    _rename(graph)
    body = helper.make_graph(graph.nodes, "detector", inputs, outputs, graph.constants)
    model = helper.make_model(
        body,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=starter.IR_VERSION,
        producer_name="octospoon",
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _rename(graph: Builder) -> None:
    """Let every node and constant of the suppression begin with HEAD_PREFIX, so that the backbone stays."""
    for constant in graph.constants:
        constant.name = _own(constant.name)
    for node in graph.nodes:
        node.name = node.name if node.name.startswith(HEAD_PREFIX) else HEAD_PREFIX + node.name
        for names in (node.input, node.output):
            renamed = [_own(name) for name in names]
            del names[:]
            names.extend(renamed)


def _own(name: str) -> str:
    return HEAD_PREFIX + name if name.startswith(SUPPRESSION) else name
