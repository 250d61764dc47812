"""Finds the last linear layer of a classifier: what octospoon calls the head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from octospoon.domain.errors import BadModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    import onnx

_THROUGH = ("Softmax", "LogSoftmax", "Identity", "Dropout", "Cast")
"""What may stand behind the layer without changing its meaning."""


@dataclass(frozen=True, slots=True)
class Linear:
    """logits = features @ weights + bias.

    Attributes:
        features: name of the tensor [N, D] before it.
        weights: float32 [D, C].
        bias: float32 [C].
    """

    features: str
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


def last_linear(graph: onnx.GraphProto, output: str) -> Linear:
    """Return the layer that a classifier's output comes from.

    Raises:
        BadModel: the output does not come from a Gemm or MatMul with constant weights.
    """
    made = {name: node for node in graph.node for name in node.output}
    constants = dict(_constants(graph))
    node = made.get(output)
    while node is not None and node.op_type in _THROUGH:
        node = made.get(node.input[0])
    bias: npt.NDArray[np.float32] | None = None
    if node is not None and node.op_type == "Add":
        known = [constants[name] for name in node.input if name in constants]
        others = [made.get(name) for name in node.input if name not in constants]
        if len(known) == 1 and len(others) == 1:
            bias, node = known[0].astype(np.float32).ravel(), others[0]
    found = None if node is None else _layer(node, constants, bias)
    if found is None:
        raise BadModel(
            "the model's classes do not come from a linear layer (Gemm or MatMul) with constant weights: "
            "import it without --classes, with --output naming its last features, and a head will be trained"
        )
    return found


def _layer(
    node: onnx.NodeProto,
    constants: dict[str, npt.NDArray[np.generic]],
    bias: npt.NDArray[np.float32] | None,
) -> Linear | None:
    if node.op_type not in ("Gemm", "MatMul") or node.input[1] not in constants:
        return None
    weights = constants[node.input[1]].astype(np.float32)
    if node.op_type == "Gemm":
        options = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        if options.get("transA", 0) or bias is not None:
            return None
        weights = (weights.T if options.get("transB", 0) else weights) * options.get("alpha", 1.0)
        if len(node.input) > 2:
            if node.input[2] not in constants:
                return None
            bias = constants[node.input[2]].astype(np.float32).ravel() * options.get("beta", 1.0)
    if weights.ndim != 2:
        return None
    classes = weights.shape[1]
    offset = np.zeros(classes) if bias is None else np.broadcast_to(bias, classes)
    return Linear(node.input[0], weights.astype(np.float32), offset.astype(np.float32))


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
    for one in graph.initializer:
        if one.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
            yield one.name, numpy_helper.to_array(one)
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    yield node.output[0], numpy_helper.to_array(attribute.t)
