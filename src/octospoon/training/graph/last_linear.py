"""Find the last linear layer of a classifier, which octospoon calls the head."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import SIGMOID, SOFTMAX
from octospoon.training.graph import onnx_graph
from octospoon.training.graph.constants import Constants

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

_LAST = {SOFTMAX: ("Softmax", "LogSoftmax"), SIGMOID: ("Sigmoid",)}
"""Operators that turn logits into probabilities, by the activation."""
_PASS_THROUGH = ("Identity", "Dropout", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
"""Operators that may follow the layer without changing its meaning."""
_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer: logits = features @ weights + bias.

    Attributes:
        features: name of its input tensor [N, D].
        weights: float32 [D, C].
        bias: float32 [C].
        rounded: True if the model rounds the layer's output to 8 bits.
    """

    features: str
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    rounded: bool = False

    def logits(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the logits, float64 [N, C], for features float32 [N, D]."""
        logits: npt.NDArray[np.float64] = features.astype(np.float64) @ self.weights + self.bias
        return logits


def activation_at(model: onnx.ModelProto, output: str) -> str:
    """Return the activation that ends a classifier, of its logits' probabilities; empty if it gives logits.

    Args:
        model: the graph.
        output: name of the tensor with logits or probabilities.
    """
    made = onnx_graph.made_by(model.graph)
    node = made.get(output)
    while node is not None and node.op_type in (*_PASS_THROUGH, *_QUANTISERS, "Clip"):
        node = made.get(node.input[0])
    ends = "" if node is None else node.op_type
    return next((activation for activation, operators in _LAST.items() if ends in operators), "")


def last_linear(model: onnx.ModelProto, output: str, activation: str = SOFTMAX) -> Linear:
    """Return the linear layer that computes a classifier's output.

    Args:
        model: the graph.
        output: name of the tensor with logits or probabilities.
        activation: what may follow the layer, one of `octospoon.domain.model_spec.ACTIVATIONS`.

    Raises:
        BadModel: the output does not come from a Gemm or MatMul with constant weights.
    """
    made, constants = onnx_graph.made_by(model.graph), Constants(model)
    node, rounded = made.get(output), False
    while node is not None and node.op_type in (*_LAST[activation], *_PASS_THROUGH, *_QUANTISERS, "Clip"):
        rounded = rounded or node.op_type in _QUANTISERS
        node = made.get(node.input[0])
    layer = None if node is None else _scaled(node, made, constants)
    if layer is None:
        raise BadModel(
            "the model's classes do not come from a linear layer (Gemm or MatMul) with constant weights: "
            "import it without --classes and name its last features with --output; then a head is trained"
        )
    return replace(layer, rounded=rounded)


def _scaled(node: onnx.NodeProto, made: dict[str, onnx.NodeProto], constants: Constants) -> Linear | None:
    """Return the layer, with constants that are added or multiplied afterwards, such as a bias, merged in."""
    if node.op_type in (*_PASS_THROUGH, *_QUANTISERS):
        before = made.get(node.input[0])
        return None if before is None else _scaled(before, made, constants)
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return _layer(node, constants)
    left, right = (constants.value(name) for name in node.input)
    before = made.get(node.input[1 if left is not None else 0])
    layer = None if before is None or (left is None) == (right is None) else _scaled(before, made, constants)
    return None if layer is None else _with(node.op_type, layer, left, right)


def _with(
    op: str, layer: Linear, left: npt.NDArray[Any] | None, right: npt.NDArray[Any] | None
) -> Linear | None:
    """Return the layer with one more constant merged in, or None if the result is not linear."""
    constant = left if right is None else right
    if constant is None or (op == "Div" and right is None):
        return None
    classes, values = layer.weights.shape[1], constant.astype(np.float64).reshape(-1)
    if values.size not in (1, classes):
        return None
    weights, bias = layer.weights.astype(np.float64), layer.bias.astype(np.float64)
    if op in ("Mul", "Div"):
        factor = values if op == "Mul" else 1 / values
        weights, bias = weights * factor, bias * factor
    elif op == "Sub" and right is None:
        weights, bias = -weights, values - bias
    else:
        bias = bias + (-values if op == "Sub" else values)
    return replace(layer, weights=weights.astype(np.float32), bias=bias.astype(np.float32))


def _layer(node: onnx.NodeProto, constants: Constants) -> Linear | None:
    if node.op_type not in ("Gemm", "MatMul"):
        return None
    matrix = constants.value(node.input[1])
    if matrix is None or matrix.ndim != 2:
        return None
    weights, bias = matrix.astype(np.float64), np.zeros(1)
    if node.op_type == "Gemm":
        if onnx_graph.attribute(node, "transA", 0):
            return None
        weights = weights.T if onnx_graph.attribute(node, "transB", 0) else weights
        weights = weights * onnx_graph.attribute(node, "alpha", 1.0)
        if len(node.input) > 2 and node.input[2]:
            offset = constants.value(node.input[2])
            if offset is None:
                return None
            bias = offset.astype(np.float64).reshape(-1) * onnx_graph.attribute(node, "beta", 1.0)
    if bias.size not in (1, weights.shape[1]):
        return None
    whole = np.broadcast_to(bias, weights.shape[1]).astype(np.float32)
    return Linear(node.input[0], weights.astype(np.float32), whole)
