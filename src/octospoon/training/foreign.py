"""Wraps an ONNX file that octospoon did not make: our pixels in front, an embedding and a head behind."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from octospoon.adapters.onnx_session import open_session, run_session
from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.training import model_file
from octospoon.training.linear import Linear, last_linear

if TYPE_CHECKING:
    import numpy.typing as npt

_OWN, _THEIRS = "octospoon_input/", "net/"
_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}
_IR_VERSION = 4
_OLDEST = 7
"""Opsets before this one spell broadcasting differently."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """How a model wants its pixels.

    Attributes:
        height: in pixels; 0 to take it from the file.
        width: in pixels; 0 to take it from the file.
        top: what white is before mean and std: 1 or 255.
        mean: of red, green and blue, subtracted; None for zero.
        std: of red, green and blue, divided by; None for one.
    """

    height: int = 0
    width: int = 0
    top: float = 1.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def factors(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return what pixels of 0 to 255 are multiplied by, and what is then added, float32 [3] each."""
        mean, std = (
            np.array(values or [default] * 3) for values, default in ((self.mean, 0.0), (self.std, 1.0))
        )
        if mean.shape != (3,) or std.shape != (3,) or not (std > 0).all():
            raise BadRequest("mean and std are three numbers each, for red, green and blue; std above zero")
        return (self.top / 255 / std).astype(np.float32), (-mean / std).astype(np.float32)


def wrap(model: onnx.ModelProto, pixels: Pixels, output: str, *, head: bool) -> tuple[bytes, Linear | None]:
    """Return a backbone that keeps the model contract, and the model's own last layer where one is wanted.

    Args:
        model: one image input, float or uint8, NCHW or NHWC.
        pixels: how it wants them.
        output: name of the tensor that is the embedding, or with a head the classes; empty for its only
            output. Feature maps [N, C, H, W] are averaged over H and W.
        head: the output is that of a classifier, whose last linear layer becomes the head.

    Raises:
        BadRequest: the options do not go together with the model.
        BadModel: the model cannot be wrapped; the message says what to export instead.
    """
    name = _output(model, output)
    theirs = _renamed(model)
    _put_pixels_first(theirs.graph, pixels)
    if not head and not output:
        _check_no_classes(theirs.graph)
    layer = last_linear(theirs.graph, _THEIRS + name) if head else None
    features = layer.features if layer else _THEIRS + name
    whole = _ending(theirs, features, averaged=False)
    shape = _probe(whole).shape
    if len(shape) == 4:
        whole = _ending(theirs, features, averaged=True)
        shape = _probe(whole).shape
    if len(shape) != 2:
        raise BadModel(
            f"the tensor {name!r} has shape {list(shape)}: an embedding is [N, D], or feature maps "
            "[N, C, H, W]; name another one with --output"
        )
    whole.graph.output[0].CopyFrom(_floats(EMBEDDING, ["N", shape[1]]))
    return model_file.canonical(whole.SerializeToString()), layer


def _output(model: onnx.ModelProto, wanted: str) -> str:
    names = [value.name for value in model.graph.output]
    if wanted:
        if wanted not in {*names, *(name for node in model.graph.node for name in node.output)}:
            raise BadRequest(f"the model has no tensor {wanted!r}; its outputs are {', '.join(names)}")
        return wanted
    if len(names) != 1:
        raise BadRequest(f"the model has the outputs {', '.join(names)}: name one with --output")
    return str(names[0])


def _check_no_classes(graph: onnx.GraphProto) -> None:
    """Refuse to take the probabilities of a classifier for an embedding."""
    ends = {value.name for value in graph.output}
    if any(node.op_type in ("Softmax", "LogSoftmax") and ends & set(node.output) for node in graph.node):
        raise BadRequest(
            "the model is a classifier: name its classes with --classes, or its last features with --output"
        )


def _renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which no name can be one of ours, and whose batch may have any size."""
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    if opset < _OLDEST:
        raise BadModel(f"the model is of opset {opset}: export it with {_OLDEST} or a newer one")
    renamed = compose.add_prefix(model, _THEIRS)
    del renamed.graph.value_info[:]
    # before this version every constant had to be an input too
    renamed.ir_version = max(renamed.ir_version, _IR_VERSION)
    return renamed


def _put_pixels_first(graph: onnx.GraphProto, pixels: Pixels) -> None:
    """Replace the graph's input by our own, with what turns the one into the other."""
    constants = {constant.name for constant in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name.removeprefix(_THEIRS) for value in inputs)
        raise BadModel(f"the model's inputs are {names or 'none'}: it must have one, the image")
    theirs = inputs[0]
    shape, kind = _shape(theirs), theirs.type.tensor_type.elem_type
    channels_first = _channels_first(theirs.name, shape)
    height, width = _size(shape[2:] if channels_first else shape[1:3], pixels)
    nodes, last = _normalising(graph, kind, pixels), f"{_OWN}pixels"
    if channels_first:
        nodes.append(helper.make_node("Transpose", [last], [theirs.name], f"{_OWN}nchw", perm=[0, 3, 1, 2]))
    else:
        nodes.append(helper.make_node("Identity", [last], [theirs.name], f"{_OWN}nhwc"))
    nodes.extend(graph.node)
    del graph.input[:], graph.node[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", height, width, 3]))


def _normalising(graph: onnx.GraphProto, kind: int, pixels: Pixels) -> list[onnx.NodeProto]:
    """Return nodes from our input to the tensor ``pixels`` of the kind that the model takes."""
    if kind == TensorProto.UINT8:
        if pixels.mean or pixels.std or pixels.top != 1:
            raise BadRequest("the model takes uint8, so it normalises: leave out --mean, --std, --range")
        return [helper.make_node("Identity", [INPUT], [f"{_OWN}pixels"], f"{_OWN}pixels")]
    if kind not in _FLOATS:
        raise BadModel(f"the model takes {TensorProto.DataType.Name(kind)}: it must take float or uint8")
    for name, value in zip(("factor", "offset"), pixels.factors(), strict=True):
        graph.initializer.append(numpy_helper.from_array(value, _OWN + name))
    steps = [
        ("Cast", [INPUT], "floats", {"to": TensorProto.FLOAT}),
        ("Mul", [f"{_OWN}floats", f"{_OWN}factor"], "scaled", {}),
        ("Add", [f"{_OWN}scaled", f"{_OWN}offset"], "moved", {}),
        ("Cast", [f"{_OWN}moved"], "pixels", {"to": kind}),
    ]
    return [
        helper.make_node(op, inputs, [_OWN + name], _OWN + name, **attributes)
        for op, inputs, name, attributes in steps
    ]


def _channels_first(name: str, shape: list[int]) -> bool:
    if len(shape) != 4 or (shape[1] not in (0, 3) and shape[3] != 3):
        raise BadModel(
            f"the model's input {name.removeprefix(_THEIRS)} has shape {shape} (0: any): it must be "
            "[N, 3, H, W] or [N, H, W, 3]"
        )
    return shape[1] == 3 or shape[3] != 3


def _size(fixed: list[int], pixels: Pixels) -> tuple[int, int]:
    height, width = fixed[0] or pixels.height, fixed[1] or pixels.width
    if not height or not width:
        raise BadRequest("the model takes images of any size: give --size, such as 224 or 192x256")
    if pixels.height and (pixels.height, pixels.width) != (height, width):
        raise BadRequest(f"the model takes images of {height}x{width}: leave out --size")
    return height, width


def _ending(model: onnx.ModelProto, features: str, *, averaged: bool) -> onnx.ModelProto:
    """Return the model with one output, the embedding, and only what leads to it."""
    ended = onnx.ModelProto()
    ended.CopyFrom(model)
    graph, last = ended.graph, features
    for op in ("GlobalAveragePool", "Flatten") if averaged else ():
        graph.node.append(helper.make_node(op, [last], [_OWN + op], _OWN + op))
        last = _OWN + op
    graph.node.append(helper.make_node("Cast", [last], [EMBEDDING], _OWN + EMBEDDING, to=TensorProto.FLOAT))
    del graph.output[:]
    graph.output.append(_floats(EMBEDDING, None))
    _prune(graph)
    return ended


def _prune(graph: onnx.GraphProto) -> None:
    """Take out every node and constant that the output does not need."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_read(node))
    constants = [one for one in graph.initializer if one.name in needed]
    del graph.node[:], graph.initializer[:], graph.sparse_initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


def _read(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node reads, those inside its branches and loops included."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            for step in inner.node:
                names |= _read(step)
            names |= {value.name for value in inner.output}
    return names


def _probe(model: onnx.ModelProto) -> npt.NDArray[np.float32]:
    """Return the model's output for two grey images; raises BadModel where it takes no two at once."""
    _, height, width, _ = _shape(model.graph.input[0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        session = open_session(path)
        output: npt.NDArray[np.float32] = run_session(
            session, [EMBEDDING], {INPUT: np.full((2, height, width, 3), 127, np.uint8)}
        )[0]
    if output.ndim == 0 or len(output) != 2:
        raise BadModel(
            f"the model gives {list(output.shape)} for two images: export it with a batch of any size"
        )
    return output


def _floats(name: str, shape: list[str | int] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]
