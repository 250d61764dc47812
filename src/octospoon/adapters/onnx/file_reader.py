"""Read octospoon's own model files without onnxruntime, which a plain installation lacks.

An ONNX file is one message of Protocol Buffers. Only a few fields are read here. Sources:
the wire format, https://protobuf.dev/programming-guides/encoding, and the field numbers,
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.onnx.outputs import check_probabilities
from octospoon.domain.errors import BadModel
from octospoon.domain.evaluation.activation import activated
from octospoon.domain.model_spec import HEAD_PREFIX, SIGMOID, SOFTMAX, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

_GRAPH, _METADATA = 7, 14  # of ModelProto
_NODE, _INITIALIZER = 1, 5  # of GraphProto
_OP_TYPE = 4  # of NodeProto
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9  # of TensorProto
_FLOAT = 1  # of TensorProto.DataType
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}  # bytes of the wire types with a fixed size
_HEADS = {
    SOFTMAX: ["Gemm", "Softmax", "Mul", "Add"],
    SIGMOID: ["Gemm", "Sigmoid", "Mul", "Add"],
}
"""The operators of a head, by its activation."""


class LinearHead:
    """A head computed with numpy: embeddings to calibrated probabilities.

    The result equals that of `OnnxHead` up to float32 rounding: the activation of a linear layer, mixed with
    a small share of the uniform distribution.

    Args:
        path: of a head file that octospoon wrote.

    Raises:
        BadModel: the file is not such a head.
    """

    def __init__(self, path: Path) -> None:
        graph = _message(path.read_bytes(), _GRAPH)
        operators = [_text(node, _OP_TYPE) for node in _messages(graph, _NODE)]
        if operators not in _HEADS.values():
            raise BadModel(f"{path.name} computes {', '.join(operators)}: it is not a head of octospoon")
        self._activation = SIGMOID if operators == _HEADS[SIGMOID] else SOFTMAX
        constants = dict(_tensor(tensor) for tensor in _messages(graph, _INITIALIZER))
        try:
            self._weights, self._bias, self._kept, self._spread = (
                constants[HEAD_PREFIX + name] for name in ("weights", "bias", "kept", "spread")
            )
        except KeyError as error:
            raise BadModel(f"{path.name} has no constant {error}: it is not a head of octospoon") from error

    def run(self, embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return probabilities float32 [N, C] for embeddings float32 [N, D]; raises BadModel."""
        try:
            logits = embedding @ self._weights + self._bias
        except ValueError as error:
            raise BadModel(f"the model failed on its input: {error}") from error
        mixed = activated(logits, self._activation) * self._kept + self._spread
        return check_probabilities(mixed, len(embedding), logits.shape[1], self._activation)


def read_spec(path: Path) -> ModelSpec:
    """Return the description that a model file contains.

    Raises:
        BadModel: the file is not ONNX, or its description is missing or wrong.
    """
    entries = _messages(path.read_bytes(), _METADATA)
    return ModelSpec.from_metadata({_text(entry, _KEY): _text(entry, _VALUE) for entry in entries})


def _tensor(tensor: memoryview) -> tuple[str, npt.NDArray[np.float32]]:
    """Return the name and the values of a constant, float32 in the constant's own shape."""
    fields = list(_fields(tensor))
    name = _text(tensor, _NAME)
    if (_DATA_TYPE, _FLOAT) not in fields:
        raise BadModel(f"the constant {name} is not float32")
    shape = [value for number, value in fields if number == _DIMS and isinstance(value, int)]
    try:
        return name, np.frombuffer(_message(tensor, _RAW_DATA), "<f4").reshape(shape)
    except ValueError as error:
        raise BadModel(f"the constant {name} is damaged: {error}") from error


def _text(data: memoryview, number: int) -> str:
    return bytes(_message(data, number)).decode(errors="replace")


def _message(data: bytes | memoryview, number: int) -> memoryview:
    """Return the last field of this number, which overrides earlier ones; raises BadModel without one."""
    messages = _messages(data, number)
    if not messages:
        raise BadModel(f"the file is not a model in ONNX: field {number} is missing")
    return messages[-1]


def _messages(data: bytes | memoryview, number: int) -> list[memoryview]:
    return [value for field, value in _fields(data) if field == number and isinstance(value, memoryview)]


def _fields(data: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number and value: an integer, or the bytes of a string, an array or a message.

    Raises:
        BadModel: the bytes are not a message of Protocol Buffers.
    """
    view, at = memoryview(data), 0
    while at < len(view):
        tag, at = _varint(view, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, at = _varint(view, at)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, at = _varint(view, at)
        elif wire_type in _FIXED:
            size = _FIXED[wire_type]
        else:
            raise BadModel(f"the file is not a model in ONNX: wire type {wire_type} is unknown")
        if at + size > len(view):
            raise BadModel("the file is not a model in ONNX, or it was cut off")
        yield number, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return the integer at a position, seven bits per byte, and the position after it."""
    value = shift = 0
    while at < len(view) and shift < 64:
        byte = view[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise BadModel("the file is not a model in ONNX, or it was cut off")
