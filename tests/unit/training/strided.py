"""A small convolutional network with maps at strides 2, 4, 8, 16 and 32, as other tools export one."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from octospoon.training.graph.builder import Builder
from octospoon.training.graph.preprocessing import Pixels
from octospoon.training.model.wrap_onnx import wrap

CHANNELS = (12, 16, 24, 32, 48)


def strided(
    height: int = 64, width: int = 96, *, levels: int = 5, residual: bool = True, opset: int = 18
) -> bytes:
    """Return random convolutions as a backbone.

    Args:
        height: of the input in pixels.
        width: of the input in pixels.
        levels: number of convolutions of stride 2.
        residual: whether a sum of two maps stands at the end of each stride.
        opset: of its operators.
    """
    rng, graph = np.random.default_rng(5), Builder()
    value, before = "pixels", 3
    for level, channels in enumerate(CHANNELS[:levels]):
        value = _convolved(graph, rng, value, (channels, before, 3), f"down{level}", 2)
        if residual:
            inner = _convolved(graph, rng, value, (channels, channels, 3), f"inner{level}", 1)
            value = graph.add("Add", [inner, value], f"sum{level}")
        before = channels
    # a last layer that is wider than the sum, as in EfficientNet
    value = _convolved(graph, rng, value, (2 * before, before, 1), "wide", 1)
    graph.add("Flatten", [graph.add("GlobalAveragePool", [value], "pooled")], "features")
    body = helper.make_graph(
        graph.nodes,
        "strided",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, height, width])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 2 * before])],
        graph.constants,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return wrap(model, Pixels(), "", head=False).backbone


def _convolved(
    graph: Builder,
    rng: np.random.Generator,
    value: str,
    shape: tuple[int, int, int],
    name: str,
    stride: int,
) -> str:
    """Add a convolution and a ReLU, with weights that keep the size of the numbers."""
    out, into, kernel = shape
    scale = np.sqrt(2 / (into * kernel**2))
    weights = rng.normal(0, scale, (out, into, kernel, kernel)).astype(np.float32)
    names = [value, graph.constant(f"{name}_weights", weights)]
    pads = [kernel // 2] * 4
    made = graph.add("Conv", names, f"{name}_convolved", strides=[stride, stride], pads=pads)
    return graph.add("Relu", [made], name)
