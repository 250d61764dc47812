"""A backbone's ONNX graph as a function in PyTorch whose weights learn, and back into the same graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from octospoon.domain.errors import BadRequest
from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.training.finetune import operators, shapes
from octospoon.training.finetune.operators import Step
from octospoon.training.graph.batching import OURS
from octospoon.training.model import model_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

OPERATORS = operators.OPERATORS | shapes.OPERATORS
_WEIGHTS = {
    "BatchNormalization": (1, 2),
    "Conv": (1, 2),
    "Gemm": (1, 2),
    "LayerNormalization": (1, 2),
    "MatMul": (0, 1),
    "PRelu": (1,),
}
"""Which inputs of an operator learn. Means and variances do not, nor do the pixels' factors and offsets."""
_BEHIND = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""What may stand between a weight and the operator that uses it."""
_NUMBERS = ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16", "INT8", "UINT8")
"""Kinds of constants that count as weights, whether or not they can learn."""
LEAST_SHARE = 0.1
"""Of a backbone's weights that must learn: with fewer, fine-tuning would change next to nothing of it."""


class TorchGraph:
    """A backbone: uint8 [N, H, W, 3] -> float32 [N, D], with the graph's own weights as leaves.

    Args:
        backbone: the ONNX file.

    Attributes:
        weights: those that learn, float32, by the initializer's name.
        learning: how many numbers they hold.
        total: how many numbers all weights hold.

    Raises:
        BadRequest: it has an operator that is not known here (all are named), or too few weights that can
            learn.
    """

    def __init__(self, backbone: bytes) -> None:
        self._proto = onnx.load_from_string(backbone)
        _check(self._proto.graph)
        opset = next(entry.version for entry in self._proto.opset_import if entry.domain in ("", "ai.onnx"))
        self._steps = [_step(node, opset) for node in self._proto.graph.node]
        _check_outputs(self._steps)
        values = {entry.name: numpy_helper.to_array(entry) for entry in self._proto.graph.initializer}
        learning = set(_learning(self._steps, values))
        self._constants = {name: torch.from_numpy(value.copy()) for name, value in values.items()}
        self.weights: dict[str, Any] = {
            name: self._constants[name].requires_grad_() for name in values if name in learning
        }
        self.learning = sum(value.numel() for value in self.weights.values())
        self.total = sum(values[name].size for name in _counted(self._proto.graph))
        if self.learning < LEAST_SHARE * max(1, self.total):
            raise BadRequest(
                f"{self.learning:,} of the backbone's {self.total:,} weights could learn, less than "
                f"{LEAST_SHARE:.0%}: the others are no float32 or belong to no layer that is known. Use "
                "Trainer=head, or import a float32 export"
            )

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return embeddings float32 [N, D] for uint8 [N, H, W, 3]."""
        known: dict[str, Any] = {**self._constants, INPUT: images, "": None}
        for step in self._steps:
            made = OPERATORS[step.op](step, [known[name] for name in step.inputs])
            known.update(zip(step.outputs, made if isinstance(made, tuple) else (made,), strict=False))
        return known[EMBEDDING]

    def embed(
        self, pixels: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], batch: int = 32
    ) -> npt.NDArray[np.float32]:
        """Return embeddings float32 [M, D] of M rows of uint8 [N, H, W, 3], so many at once."""
        with torch.no_grad():
            parts = [
                self(torch.from_numpy(np.array(pixels[rows[start : start + batch]]))).numpy()
                for start in range(0, len(rows), batch)
            ]
        return np.concatenate(parts)

    def restore(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Set weights, by name, to these values."""
        with torch.no_grad():
            for name, value in weights.items():
                self.weights[name].copy_(value)

    def written(self) -> bytes:
        """Return the same graph with the weights as they are now, and nothing else changed."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        for tensor in proto.graph.initializer:
            if tensor.name in self.weights:
                tensor.CopyFrom(
                    numpy_helper.from_array(self.weights[tensor.name].detach().numpy(), tensor.name)
                )
        return model_file.canonical(proto.SerializeToString())


def _check(graph: onnx.GraphProto) -> None:
    unknown = {
        f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        for node in graph.node
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS
    }
    if unknown:
        raise BadRequest(
            f"fine-tuning does not support the backbone's operators {', '.join(sorted(unknown))}: "
            "use Trainer=head, or import a float32 export without them"
        )


def _check_outputs(steps: list[Step]) -> None:
    """Refuse a graph that reads what only training needs: masks, means, positions of maxima."""
    read = {name for step in steps for name in step.inputs if name}
    for step in steps:
        if step.op != "Split" and read.intersection(step.outputs[1:]):
            raise step.refuse("with more than its first output")


def _step(node: onnx.NodeProto, opset: int) -> Step:
    attributes = {attribute.name: _value(attribute) for attribute in node.attribute}
    name = node.name or node.output[0]
    return Step(node.op_type, name, tuple(node.input), tuple(node.output), attributes, opset)


def _value(attribute: onnx.AttributeProto) -> Any:  # noqa: ANN401  whatever ONNX holds
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def _counted(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the names of all constants that are weights by their kind."""
    for tensor in graph.initializer:
        kind = TensorProto.DataType.Name(tensor.data_type)
        if kind in _NUMBERS and not tensor.name.startswith(OURS) and int(np.prod(tensor.dims)) > 1:
            yield tensor.name


def _learning(steps: list[Step], values: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Yield the names of the initializers that are weights: of layers, and biases added behind a MatMul."""
    made = {name: step for step in steps for name in step.outputs}
    products = {step.outputs[0] for step in steps if step.op == "MatMul"}
    for step in steps:
        wanted = _WEIGHTS.get(step.op, ())
        if step.op == "Add" and products.intersection(step.inputs):
            wanted = (0, 1)
        for position in wanted:
            name = step.inputs[position] if position < len(step.inputs) else ""
            while name not in values and name in made and made[name].op in _BEHIND:
                name = made[name].inputs[0]
            value = values.get(name)
            if value is not None and value.dtype == np.float32 and value.size > 1:
                yield name
