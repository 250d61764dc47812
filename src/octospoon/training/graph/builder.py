"""Collect nodes and constants for a graph of ONNX."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import onnx


@dataclass
class Builder:
    """Nodes and constants under construction.

    Attributes:
        nodes: in an order in which they can run.
        constants: the initializers that they read.
    """

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        """Add an initializer and return its name."""
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(
        self, op: str, inputs: Sequence[str], output: str, **attributes: float | Sequence[int] | str
    ) -> str:
        """Add a node with one output and return the output's name, which is the node's name too."""
        self.add_many(op, inputs, [output], **attributes)
        return output

    def add_many(
        self,
        op: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        **attributes: float | Sequence[int] | str,
    ) -> None:
        """Add a node with several outputs; the first names the node."""
        self.nodes.append(helper.make_node(op, inputs, outputs, outputs[0], **attributes))

    def reshape(self, value: str, shape: Sequence[int], output: str) -> str:
        """Add a Reshape to a constant shape and return its output's name."""
        return self.add(
            "Reshape", [value, self.constant(f"{output}_shape", np.array(shape, np.int64))], output
        )
