"""Find the feature maps of a backbone that a detector reads, and change the size of a backbone's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx

from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.training.graph import onnx_graph, suppression
from octospoon.training.graph.constants import Constants
from octospoon.training.model import model_file

if TYPE_CHECKING:
    from collections.abc import Sequence

STRIDES = (8, 16, 32)
"""Pixels of the input between two cells of each map."""
_ADVICE = "a detector needs a convolutional network, such as efficientnet-lite0"


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """A tensor of the backbone, float32 [N, channels, H / stride, W / stride].

    Attributes:
        tensor: its name in the graph.
        stride: one of STRIDES.
        channels: number of features in each cell.
    """

    tensor: str
    stride: int
    channels: int


def feature_maps(backbone: bytes) -> tuple[FeatureMap, ...]:
    """Return one map for each of STRIDES.

    Of the maps of a stride, it is the last that adds two computed maps, which is the output of a residual
    block; without such a sum, it is the last. These have fewer channels than the layers inside a block.

    Args:
        backbone: the ONNX file.

    Raises:
        BadRequest: the input's sides are not multiples of the largest stride, or a stride has no map.
    """
    model = onnx.load_from_string(backbone)
    height, width = _size(model)
    if height % STRIDES[-1] or width % STRIDES[-1]:
        raise BadRequest(
            f"the backbone takes images of {width}×{height} pixels: a detector needs sides that are "
            f"multiples of {STRIDES[-1]}"
        )
    constants = Constants(model)
    shapes = _shapes(model)
    maps = []
    for stride in STRIDES:
        cells = [height // stride, width // stride]
        here = [
            node
            for node in model.graph.node
            if (shape := shapes.get(node.output[0], [])) and len(shape) == 4 and shape[2:] == cells
        ]
        sums = [
            node for node in here if node.op_type == "Add" and not any(n in constants for n in node.input)
        ]
        if not here:
            raise BadRequest(
                f"the backbone has no feature map of {cells[1]}×{cells[0]} cells, a {stride}th of its input: "
                f"{_ADVICE}"
            )
        last = (sums or here)[-1].output[0]
        maps.append(FeatureMap(last, stride, shapes[last][1]))
    return tuple(maps)


def opset_of(backbone: bytes) -> int:
    """Return the version of a backbone's operators.

    Raises:
        BadRequest: it is older than the suppression of boxes needs.
    """
    opset = onnx_graph.opset(onnx.load_from_string(backbone))
    if opset < suppression.OPSET:
        raise BadRequest(
            f"the backbone has operators of ONNX opset {opset}, and a detector needs {suppression.OPSET} or "
            "newer: export it again with a newer opset"
        )
    return opset


def check_backbone(backbone: bytes) -> None:
    """Check that a detector can be trained on a backbone.

    Args:
        backbone: the ONNX file.

    Raises:
        BadRequest: its operators are too old, or it has no feature maps.
    """
    opset_of(backbone)
    feature_maps(backbone)


def with_outputs(file: bytes, tensors: Sequence[str]) -> bytes:
    """Return a backbone or a model with some of its tensors, all float32, as further outputs."""
    model = onnx.load_from_string(file)
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors
    )
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def resized(backbone: bytes, height: int, width: int) -> bytes:
    """Return a backbone for another size of its input, with the same weights.

    Args:
        backbone: the ONNX file.
        height: in pixels.
        width: in pixels.

    Raises:
        BadRequest: the graph is tied to the size of its input.
    """
    model = onnx.load_from_string(backbone)
    dim = (onnx_graph.shape(model.graph.output[0]) or [0])[-1]
    sides = model.graph.input[0].type.tensor_type.shape.dim
    sides[1].dim_value, sides[2].dim_value = height, width
    del model.graph.value_info[:]
    data = model_file.canonical(model.SerializeToString())
    try:
        image = np.zeros((1, height, width, 3), np.uint8)
        shape = run_session(open_session(data), [EMBEDDING], {INPUT: image})[0].shape
        why = "" if shape == (1, dim) else f"its embedding would be {shape}, not {(1, dim)}"
    except BadModel as error:
        why = str(error)
    if why:
        raise BadRequest(f"the backbone cannot take images of {width}×{height} pixels ({why}): {_ADVICE}")
    return data


def _size(model: onnx.ModelProto) -> tuple[int, int]:
    """Return height and width of the input in pixels."""
    _, height, width, _ = onnx_graph.shape(model.graph.input[0]) or [0] * 4
    return height, width


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Return the shape of each tensor that a node computes, 0 for an unknown size."""
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    return {value.name: onnx_graph.shape(value) or [] for value in inferred}
