"""Infer which axis of a tensor holds the channels, from the operators and constants around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.training.graph import onnx_graph

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

    from octospoon.training.graph.constants import Constants

_RANK = 4
_CHANNELS_SECOND = (
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DepthToSpace",
    "FusedConv",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GroupNormalization",
    "InstanceNormalization",
    "LpPool",
    "LRN",
    "MaxPool",
    "QLinearAveragePool",
    "QLinearConv",
    "QLinearGlobalAveragePool",
    "SpaceToDepth",
)
"""Operators that ONNX defines only for [N, C, H, W]."""
_CHANNELS_LAST = ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")
_ARITHMETIC = ("Add", "Div", "Max", "Mean", "Min", "Mul", "Pow", "PRelu", "Sub", "Sum", "Where")
_KEEP_AXES = (
    "Abs",
    "Cast",
    "CastLike",
    "Celu",
    "Clip",
    "Concat",
    "DequantizeLinear",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Pad",
    "QuantizeLinear",
    "Reciprocal",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Resize",
    "Selu",
    "Sigmoid",
    "Slice",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
    "Upsample",
)
"""Operators that keep the axes of their inputs, in the same order."""
Order = tuple[int, ...]
"""For each axis of the tensor in question, the matching axis of another tensor of the graph."""


def channels_of_maps(graph: onnx.GraphProto, constants: Constants, tensor: str) -> int | None:
    """Return the channel axis of a tensor with four axes, from the nodes that compute it.

    The search goes backwards along every path, as far as the order of the axes can be followed.

    Returns:
        The axis, or None if the graph gives no evidence or contradictory evidence.
    """
    made = onnx_graph.made_by(graph)
    axes: set[int] = set()
    waiting: list[tuple[str, Order]] = [(tensor, tuple(range(_RANK)))]
    seen: set[tuple[str, Order]] = set()
    while waiting:
        name, order = waiting.pop()
        node = made.get(name)
        if node is None or (name, order) in seen:
            continue
        seen.add((name, order))
        axis = _axis(node, constants, behind=True)
        if axis is not None:
            axes.add(order.index(axis))
        elif node.op_type == "Transpose":
            perm = _permutation(node)
            if len(perm) == _RANK:
                waiting.append((node.input[0], tuple(perm[axis] for axis in order)))
        elif _keeps_axes(node):
            waiting.extend((before, order) for before in node.input if before and before not in constants)
    return axes.pop() if len(axes) == 1 else None


def channels_of_input(graph: onnx.GraphProto, constants: Constants, tensor: str) -> int | None:
    """Return the channel axis of an image tensor [N, ., ., .], from the nodes that read it, or None."""
    axes: set[int] = set()
    waiting: list[tuple[str, Order]] = [(tensor, tuple(range(_RANK)))]
    for name, order in waiting:
        for node in graph.node:
            if name not in node.input:
                continue
            axis = _axis(node, constants, behind=False)
            if axis is not None:
                axes.add(order[axis])
            elif node.op_type == "Transpose" and len(_permutation(node)) == _RANK:
                moved = tuple(order[axis] for axis in _permutation(node))
                waiting.append((node.output[0], moved))
            elif _keeps_axes(node):
                waiting.append((node.output[0], order))
    return axes.pop() if len(axes) == 1 else None


def _permutation(node: onnx.NodeProto) -> list[int]:
    return list(onnx_graph.attribute(node, "perm", range(_RANK)[::-1]))


def _keeps_axes(node: onnx.NodeProto) -> bool:
    if node.op_type.startswith("Reduce") and not onnx_graph.attribute(node, "keepdims", 1):
        return False
    return node.op_type in (*_KEEP_AXES, *_ARITHMETIC)


def _axis(node: onnx.NodeProto, constants: Constants, *, behind: bool) -> int | None:
    """Return the channel axis of a node's output if `behind`, else of its input; None if unknown."""
    if node.op_type in _CHANNELS_SECOND:
        return 1
    if node.op_type in _CHANNELS_LAST:
        return _RANK - 1 if onnx_graph.attribute(node, "axis", -1) in (-1, _RANK - 1) else None
    if node.op_type == "MatMul" and behind:
        weights = constants.value(node.input[1])
        return _RANK - 1 if weights is not None and weights.ndim == 2 else None
    if node.op_type in _ARITHMETIC:
        return next(_axes_of_constants(node, constants), None)
    return None


def _axes_of_constants(node: onnx.NodeProto, constants: Constants) -> Iterator[int]:
    """Yield the axis along which each constant vector varies, such as 1 for a bias [C, 1, 1]."""
    for name in node.input:
        value = constants.value(name)
        if value is None or value.ndim > _RANK:
            continue
        sizes = [1] * (_RANK - value.ndim) + list(value.shape)
        wide = np.flatnonzero(np.array(sizes) > 1)
        if len(wide) == 1 and wide[0] > 0:
            yield int(wide[0])
