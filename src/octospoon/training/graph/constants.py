"""Find the tensors of a graph that depend on constants only, so not on the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx

from octospoon.domain.errors import BadModel
from octospoon.training.graph import onnx_graph

if TYPE_CHECKING:
    import numpy.typing as npt

_RANDOM = (
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)
_TRAINING_OPERATORS = ("BatchNormalization", "Dropout")
"""Operators that may be random or keep statistics in training mode; their outputs are never constants."""


class Constants:
    """The constants of a model: its initializers, and all tensors that nodes compute from constants only.

    Args:
        model: a model in which no input has the name of a constant.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._names = {tensor.name for tensor in model.graph.initializer}
        self._values: dict[str, npt.NDArray[Any] | None] = {}
        for node in model.graph.node:
            varies = node.op_type in _RANDOM or node.op_type in _TRAINING_OPERATORS
            if not varies and onnx_graph.read(node) <= self._names | _inside(node):
                self._names.update(name for name in node.output if name)

    def __contains__(self, name: str) -> bool:
        """Return True if a tensor is the same for every image."""
        return name in self._names

    def value(self, name: str) -> npt.NDArray[Any] | None:
        """Return the value of a constant, or None if the tensor is no constant or cannot be computed."""
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
    """Return the names that are defined inside a node's branches and loops."""
    names: set[str] = set()
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            names |= {value.name for value in (*inner.input, *inner.initializer)}
            for step in inner.node:
                names |= set(step.output) | _inside(step)
    return names
