"""What a graph computes from its constants alone, so from no picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx

from octospoon.domain.errors import BadModel
from octospoon.training.graph import onnx_graph

if TYPE_CHECKING:
    import numpy.typing as npt

_DRAWN = (
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)
_TRAINED_ON = ("BatchNormalization", "Dropout")
"""May draw or count in training mode, and never make a constant."""


class Constants:
    """The constants of a model: its initializers, and whatever nodes make of these alone.

    Args:
        model: in which no input has the name of a constant.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._names = {tensor.name for tensor in model.graph.initializer}
        self._values: dict[str, npt.NDArray[Any] | None] = {}
        for node in model.graph.node:
            drawn = node.op_type in _DRAWN or node.op_type in _TRAINED_ON
            if not drawn and onnx_graph.read(node) <= self._names | _inside(node):
                self._names.update(name for name in node.output if name)

    def __contains__(self, name: str) -> bool:
        """Say whether a tensor is the same for every picture."""
        return name in self._names

    def value(self, name: str) -> npt.NDArray[Any] | None:
        """Return a constant; None where the tensor is none, or cannot be computed."""
        if name not in self._names:
            return None
        if name not in self._values:
            self._values[name] = self._computed(name)
        return self._values[name]

    def _computed(self, name: str) -> npt.NDArray[Any] | None:
        for tensor in self._model.graph.initializer:
            if tensor.name == name:
                value: npt.NDArray[Any] = onnx.numpy_helper.to_array(tensor)
                return value
        part = onnx.ModelProto()
        part.CopyFrom(self._model)
        del part.graph.input[:], part.graph.output[:]
        part.graph.output.append(onnx.ValueInfoProto(name=name))
        onnx_graph.prune(part.graph)
        try:
            return onnx_graph.run(part, {}, name)
        except BadModel:
            return None


def _inside(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node's branches and loops define themselves."""
    names: set[str] = set()
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            names |= {value.name for value in (*inner.input, *inner.initializer)}
            for step in inner.node:
                names |= set(step.output) | _inside(step)
    return names
