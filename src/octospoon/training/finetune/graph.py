"""Run a backbone's ONNX graph in PyTorch with trainable weights, and write the graph back."""

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
"""The inputs of each operator that are trained. Running statistics and preprocessing constants are not."""
_BETWEEN = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that may stand between a weight and the operator that uses it."""
_NUMBERS = ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16", "INT8", "UINT8")
"""Element types of constants that count as weights, trainable or not."""
LEAST_SHARE = 0.1
"""Smallest trainable share of a backbone's weights. Below it, fine-tuning would change almost nothing."""


class TorchGraph:
    """A backbone in PyTorch: uint8 [N, H, W, 3] -> float32 [N, D], with trainable weights.

    Args:
        backbone: the ONNX file.
        device: what computes.

    Attributes:
        weights: the trainable weights, float32, by the name of their initializer.
        learning: the number of trainable parameters.
        total: the number of all parameters.
        device: what computes.

    Raises:
        BadRequest: the graph has unsupported operators, which the message lists, or too few trainable
            weights.
    """

    def __init__(self, backbone: bytes, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self._proto = onnx.load_from_string(backbone)
        _check(self._proto.graph)
        opset = next(entry.version for entry in self._proto.opset_import if entry.domain in ("", "ai.onnx"))
        self._steps = [_step(node, opset) for node in self._proto.graph.node]
        _check_outputs(self._steps)
        values = {entry.name: numpy_helper.to_array(entry) for entry in self._proto.graph.initializer}
        learning = set(_learning(self._steps, values))
        self._constants = {
            name: self._placed(torch.from_numpy(value.copy())) for name, value in values.items()
        }
        self.weights: dict[str, Any] = {
            name: self._constants[name].requires_grad_() for name in values if name in learning
        }
        self.learning = sum(value.numel() for value in self.weights.values())
        self.total = sum(values[name].size for name in _counted(self._proto.graph))
        if self.learning < LEAST_SHARE * max(1, self.total):
            raise BadRequest(
                f"only {self.learning:,} of the backbone's {self.total:,} weights can be trained, less than "
                f"{LEAST_SHARE:.0%}: the others are not float32, or their layers are not supported. Use "
                "Trainer=head, or import a float32 export"
            )

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return embeddings float32 [N, D], on the device, for uint8 [N, H, W, 3] on any device."""
        known: dict[str, Any] = {**self._constants, INPUT: images.to(self.device), "": None}
        for step in self._steps:
            made = OPERATORS[step.op](step, [known[name] for name in step.inputs])
            results = map(self._placed, made if isinstance(made, tuple) else (made,))
            known.update(zip(step.outputs, results, strict=False))
        return known[EMBEDDING]

    def _placed(self, value: torch.Tensor) -> torch.Tensor:
        """Return a tensor where the next operators need it.

        What is computed with goes to the device. Shapes and positions stay on the processor, which reads them
        to know what to compute, and so do scalars, which PyTorch takes from there.
        """
        return value.to(self.device) if value.is_floating_point() and value.ndim else value

    def embed(
        self, pixels: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], batch: int = 32
    ) -> npt.NDArray[np.float32]:
        """Return the embeddings of some images, without gradients.

        Args:
            pixels: uint8 [N, H, W, 3].
            rows: int64 [M], which images.
            batch: images at a time, which limits memory.

        Returns:
            float32 [M, D].
        """
        with torch.no_grad():
            parts = [
                self(torch.from_numpy(np.array(pixels[rows[start : start + batch]]))).cpu().numpy()
                for start in range(0, len(rows), batch)
            ]
        return np.concatenate(parts)

    def restore(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Set trainable weights to the given values, by name."""
        with torch.no_grad():
            for name, value in weights.items():
                self.weights[name].copy_(value)

    def written(self) -> bytes:
        """Return the ONNX file of the same graph with the current weights and nothing else changed."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        for tensor in proto.graph.initializer:
            if tensor.name in self.weights:
                tensor.CopyFrom(
                    numpy_helper.from_array(self.weights[tensor.name].detach().cpu().numpy(), tensor.name)
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
    """Refuse a graph that uses training outputs: dropout masks, batch means, positions of maxima."""
    read = {name for step in steps for name in step.inputs if name}
    for step in steps:
        if step.op != "Split" and read.intersection(step.outputs[1:]):
            raise step.refuse("with more than its first output")


def _step(node: onnx.NodeProto, opset: int) -> Step:
    attributes = {attribute.name: _value(attribute) for attribute in node.attribute}
    name = node.name or node.output[0]
    return Step(node.op_type, name, tuple(node.input), tuple(node.output), attributes, opset)


def _value(attribute: onnx.AttributeProto) -> Any:  # noqa: ANN401  any ONNX type
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def _counted(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the names of all constants whose element type and size make them weights."""
    for tensor in graph.initializer:
        kind = TensorProto.DataType.Name(tensor.data_type)
        if kind in _NUMBERS and not tensor.name.startswith(OURS) and int(np.prod(tensor.dims)) > 1:
            yield tensor.name


def _learning(steps: list[Step], values: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Yield the names of trainable initializers: weights of layers, and biases added after a MatMul."""
    made = {name: step for step in steps for name in step.outputs}
    products = {step.outputs[0] for step in steps if step.op == "MatMul"}
    for step in steps:
        wanted = _WEIGHTS.get(step.op, ())
        if step.op == "Add" and products.intersection(step.inputs):
            wanted = (0, 1)
        for position in wanted:
            name = step.inputs[position] if position < len(step.inputs) else ""
            while name not in values and name in made and made[name].op in _BETWEEN:
                name = made[name].inputs[0]
            value = values.get(name)
            if value is not None and value.dtype == np.float32 and value.size > 1:
                yield name
