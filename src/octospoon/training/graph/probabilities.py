"""Recognise tensors that hold a classifier's predictions, which must not serve as an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.training.graph import onnx_graph

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

    from octospoon.training.graph.constants import Constants

_PREDICTING = (
    "ArgMax",
    "ArgMin",
    "BiasSoftmax",
    "HardSigmoid",
    "Hardmax",
    "LogSoftmax",
    "QLinearSigmoid",
    "QLinearSoftmax",
    "Sigmoid",
    "Softmax",
    "TopK",
)
_UNARY = (
    "AveragePool",
    "Cast",
    "CastLike",
    "Clip",
    "DequantizeLinear",
    "Dropout",
    "Exp",
    "Expand",
    "Flatten",
    "Gather",
    "GlobalAveragePool",
    "Identity",
    "Log",
    "Neg",
    "Pad",
    "QuantizeLinear",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Reshape",
    "Round",
    "Slice",
    "Split",
    "Squeeze",
    "Sqrt",
    "Tile",
    "Transpose",
    "Unsqueeze",
)
"""Operators on one tensor; applied to predictions, their output still counts as predictions."""
_COMBINING = ("Add", "Concat", "Div", "Max", "Mean", "Min", "Mul", "Pow", "Sub", "Sum", "Where")
"""Operators on several tensors; predictions combined with predictions or constants stay predictions."""
_RESHAPING = ("Cast", "Clip", "Expand", "Identity", "Reshape", "Squeeze", "Unsqueeze")
_LAYERS = ("Conv", "Gemm", "MatMul", "QGemm", "QLinearConv", "QLinearMatMul", "MatMulInteger")
_NAMES = ("logit", "classif", "class_", "classes", "predict", "prob", "score", "softmax")
_CLASSES = (1000, 1001, 21841, 21843)
"""Numbers of outputs of ImageNet classifiers."""
_SUM_TOLERANCE = 1e-3


class Answers:
    """Search a graph for a classifier's predictions."""

    def __init__(self, graph: onnx.GraphProto, constants: Constants) -> None:
        self._made, self._constants = onnx_graph.made_by(graph), constants

    def operator(self, tensor: str) -> str:
        """Return the operator that makes a tensor a prediction, such as Softmax; empty if there is none."""
        node = self._made.get(tensor)
        if node is None or tensor in self._constants:
            return ""
        if node.op_type in _PREDICTING:
            return str(node.op_type)
        if written := self._written_out(node):
            return written
        if node.op_type in _UNARY:
            return self.operator(node.input[0])
        if node.op_type in _COMBINING:
            parts = [self.operator(name) for name in node.input if name and name not in self._constants]
            return parts[0] if parts and all(parts) else ""
        return ""

    def features(self, tensor: str) -> str:
        """Return the input of the last layer before a tensor; empty if there is none."""
        node = self._made.get(tensor)
        while node is not None and node.op_type not in _LAYERS:
            inputs = [name for name in node.input if name and name not in self._constants]
            node = self._made.get(inputs[0]) if inputs else None
        while node is not None and node.input[0] in self._made:
            before = self._made[node.input[0]]
            if before.op_type not in ("Identity", "Cast", "Dropout"):
                return str(node.input[0])
            node = before
        return ""

    def _written_out(self, node: onnx.NodeProto) -> str:
        """Recognise softmax and the logistic function if an exporter wrote them as basic operators."""
        if node.op_type == "Reciprocal" or (node.op_type == "Div" and node.input[0] in self._constants):
            return "Sigmoid" if self._adds_exponential(node.input[-1]) else ""
        if node.op_type == "Div":
            return "Softmax" if self._sum_of_exponentials(node.input[1], self._base(node.input[0])) else ""
        if node.op_type == "Mul":
            for factor, divisor in (node.input, node.input[::-1]):
                inverse = self._node(divisor)
                if inverse is not None and inverse.op_type == "Reciprocal":
                    return (
                        "Softmax" if self._sum_of_exponentials(inverse.input[0], self._base(factor)) else ""
                    )
        if node.op_type == "Sub":
            taken = self._node(node.input[1])
            if taken is not None and taken.op_type == "ReduceLogSumExp":
                return "LogSoftmax"
            if taken is not None and taken.op_type == "Log" and self._sum_of_exponentials(taken.input[0]):
                return "LogSoftmax"
        return ""

    def _sum_of_exponentials(self, tensor: str, of: str = "") -> bool:
        node = self._node(tensor)
        while node is not None and node.op_type in ("Add", "Max"):  # guards against a division by zero
            moving = [name for name in node.input if name not in self._constants]
            node = self._node(moving[0]) if len(moving) == 1 else None
        if node is None or node.op_type not in ("ReduceSum", "ReduceL1"):
            return False
        base = self._base(node.input[0])
        exponential = self._made.get(base)
        return exponential is not None and exponential.op_type == "Exp" and of in ("", base)

    def _adds_exponential(self, tensor: str) -> bool:
        node = self._node(tensor)
        if node is None or node.op_type != "Add":
            return False
        moving = [name for name in node.input if name not in self._constants]
        exponential = self._node(moving[0]) if len(moving) == 1 else None
        return exponential is not None and exponential.op_type == "Exp"

    def _base(self, tensor: str) -> str:
        """Return the tensor before operators that change only shape, type or limits."""
        node = self._made.get(tensor)
        while node is not None and node.op_type in _RESHAPING:
            tensor = node.input[0]
            node = self._made.get(tensor)
        return tensor

    def _node(self, tensor: str) -> onnx.NodeProto | None:
        return self._made.get(self._base(tensor))


def named_as_answers(name: str, size: int) -> bool:
    """Return True if an output's name or its number of values suggests a classifier's predictions."""
    return any(part in name.lower() for part in _NAMES) or size in _CLASSES


def are_probabilities(values: npt.NDArray[np.float32]) -> bool:
    """Return True if each row of float32 [N, D] is a probability distribution, or the logarithm of one."""
    if values.shape[1] < 2 or not np.isfinite(values).all():
        return False
    rows = values.astype(np.float64)
    if rows.min() >= 0:
        return bool((np.abs(rows.sum(axis=1) - 1) < _SUM_TOLERANCE).all())
    return rows.max() <= 0 and bool((np.abs(np.exp(rows).sum(axis=1) - 1) < _SUM_TOLERANCE).all())
