"""Put preprocessing in front of an imported graph: channel order, value range and layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import INPUT, LAYOUTS
from octospoon.training.graph import layout, onnx_graph
from octospoon.training.graph.batching import OURS
from octospoon.training.graph.constants import Constants
from octospoon.training.graph.onnx_graph import THEIRS

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx

_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}
_BYTES = 20.0
"""A model that subtracts, or divides by, more than this expects pixels from 0 to 255."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """The pixel format that a model expects.

    Attributes:
        height: in pixels; 0 to read it from the file.
        width: in pixels; 0 to read it from the file.
        top: maximum pixel value before normalisation: 1 or 255.
        mean: mean of red, green and blue, which is subtracted; None for zero.
        std: standard deviation of red, green and blue, which divides; None for 1.
        channels: channel order, ``rgb`` or ``bgr``.
        layout: input layout, ``nchw`` or ``nhwc``; empty to read it from the file.
    """

    height: int = 0
    width: int = 0
    top: float = 1.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: str = "rgb"
    layout: str = ""

    def factors(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the factors and offsets that normalise pixels from 0 to 255.

        Returns:
            Factors and offsets, float32 [3] each, in the model's channel order: pixel * factor + offset.

        Raises:
            BadRequest: mean or std does not have three values, or std is not positive.
        """
        mean, std = (
            np.array(values or [default] * 3) for values, default in ((self.mean, 0.0), (self.std, 1.0))
        )
        if mean.shape != (3,) or std.shape != (3,) or not (std > 0).all():
            raise BadRequest(
                "mean and std need three numbers each, for red, green and blue, and std must be positive"
            )
        if self.channels == "bgr":
            mean, std = mean[::-1], std[::-1]
        return (self.top / 255 / std).astype(np.float32), (-mean / std).astype(np.float32)


class Image(NamedTuple):
    """The model's input: name, layout, fixed batch size (0: any), height and width in pixels."""

    name: str
    layout: str
    batch: int
    height: int
    width: int


def put_pixels_first(theirs: onnx.ModelProto, pixels: Pixels) -> tuple[Image, list[str]]:
    """Replace the graph's input by INPUT, uint8 [N, H, W, 3], and add nodes that convert it.

    Args:
        theirs: the imported graph in plain form, which is changed.
        pixels: the pixel format that it expects.

    Returns:
        The original input, and notes for people.

    Raises:
        BadRequest: the options do not fit the model, or an option is missing.
        BadModel: the model's inputs are not one image.
    """
    graph, constants = theirs.graph, Constants(theirs)
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name.removeprefix(THEIRS) for value in inputs)
        raise BadModel(f"the model's inputs are {names or 'none'}: it must have exactly one input, the image")
    value = inputs[0]
    name, shape = value.name, _axes(value)
    order = _layout(graph, constants, name, shape, pixels.layout)
    height, width = _size(shape[2:] if order == "nchw" else shape[1:3], pixels)
    notes = _own_preprocessing(graph, constants, name, pixels)
    nodes = _normalising(graph, value.type.tensor_type.elem_type, pixels)
    last = f"{OURS}pixels"
    if order == "nchw":
        nodes.append(helper.make_node("Transpose", [last], [name], f"{OURS}nchw", perm=[0, 3, 1, 2]))
    else:
        nodes.append(helper.make_node("Identity", [last], [name], f"{OURS}nhwc"))
    onnx_graph.replace_nodes(graph, [*nodes, *graph.node])
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", height, width, 3]))
    return Image(name.removeprefix(THEIRS), order, shape[0], height, width), notes


def _axes(value: onnx.ValueInfoProto) -> list[int]:
    """Return the sizes of the input's four axes, 0 for any size."""
    shape = onnx_graph.shape(value)
    if shape is None:
        return [0, 0, 0, 0]
    if len(shape) != 4:
        raise BadModel(
            f"the model's input {value.name.removeprefix(THEIRS)} has shape {shape} (0: any): it must be "
            "[N, 3, H, W] or [N, H, W, 3]"
        )
    return shape


def _layout(graph: onnx.GraphProto, constants: Constants, name: str, shape: list[int], wanted: str) -> str:
    """Return ``nchw`` or ``nhwc``: as requested, or inferred from the graph."""
    shown = f"the model's input {name.removeprefix(THEIRS)} has shape {shape} (0: any)"
    possible = [order for order, axis in zip(LAYOUTS, (1, 3), strict=True) if shape[axis] in (0, 3)]
    fixed = [order for order, axis in zip(LAYOUTS, (1, 3), strict=True) if shape[axis] == 3]
    if not possible:
        raise BadModel(f"{shown}: it must be [N, 3, H, W] or [N, H, W, 3]")
    if wanted:
        if wanted not in possible:
            raise BadRequest(f"{shown}, which is not {wanted}: leave out --layout")
        return wanted
    if len(fixed) == 1:
        return fixed[0]
    layout_name = {1: "nchw", 3: "nhwc"}.get(layout.channels_of_input(graph, constants, name) or 0, "")
    if layout_name in possible:
        return layout_name
    if len(possible) == 1:
        return possible[0]
    raise BadRequest(
        f"{shown}, and the graph does not show which axis holds the colours: give --layout nchw or nhwc"
    )


def _normalising(graph: onnx.GraphProto, kind: int, pixels: Pixels) -> list[onnx.NodeProto]:
    """Return the nodes that convert INPUT to the tensor ``pixels``, in the element type of the model."""
    nodes, image = [], INPUT
    if pixels.channels == "bgr":
        image = f"{OURS}bgr"
        graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), f"{OURS}order"))
        nodes.append(helper.make_node("Gather", [INPUT, f"{OURS}order"], [image], image, axis=3))
    if kind == TensorProto.UINT8:
        if pixels.mean or pixels.std or pixels.top != 1:
            raise BadRequest(
                "the model takes uint8, so it normalises itself: leave out --mean, --std and --range"
            )
        return [*nodes, helper.make_node("Identity", [image], [f"{OURS}pixels"], f"{OURS}pixels")]
    if kind not in _FLOATS:
        raise BadModel(f"the model takes {TensorProto.DataType.Name(kind)}: it must take float or uint8")
    for name, value in zip(("factor", "offset"), pixels.factors(), strict=True):
        graph.initializer.append(numpy_helper.from_array(value, OURS + name))
    steps = [
        ("Cast", [image], "floats", {"to": TensorProto.FLOAT}),
        ("Mul", [f"{OURS}floats", f"{OURS}factor"], "scaled", {}),
        ("Add", [f"{OURS}scaled", f"{OURS}offset"], "moved", {}),
        ("Cast", [f"{OURS}moved"], "pixels", {"to": kind}),
    ]
    return nodes + [
        helper.make_node(op, inputs, [OURS + name], OURS + name, **attributes)
        for op, inputs, name, attributes in steps
    ]


def _own_preprocessing(graph: onnx.GraphProto, constants: Constants, name: str, pixels: Pixels) -> list[str]:
    """Return a note if the model itself normalises pixels from 0 to 255 but would receive 0 to 1."""
    if pixels.top != 1:
        return []
    waiting = [name]
    for tensor in waiting:
        for node in graph.node:
            if tensor not in node.input:
                continue
            if node.op_type in ("Identity", "Cast", "Transpose"):
                waiting.append(node.output[0])
            elif node.op_type in ("Sub", "Add", "Div", "Mul"):
                values = [constants.value(other) for other in node.input if other in constants]
                waiting.append(node.output[0])
                if values and values[0] is not None and _for_bytes(node.op_type, values[0]):
                    return [
                        "note: the model itself normalises pixels from 0 to 255 but would receive 0 to 1: it "
                        "seems to need --range 255"
                    ]
    return []


def _for_bytes(op: str, values: npt.NDArray[np.generic]) -> bool:
    size = np.abs(values.astype(np.float64))
    return bool(size.min() > _BYTES if op != "Mul" else 0 < size.max() < 1 / _BYTES)


def _size(fixed: list[int], pixels: Pixels) -> tuple[int, int]:
    height, width = fixed[0] or pixels.height, fixed[1] or pixels.width
    if not height or not width:
        raise BadRequest("the model takes images of any size: give --size, such as 224 or 192x256")
    if pixels.height and (pixels.height, pixels.width) != (height, width):
        raise BadRequest(f"the model takes images of {height}x{width}: leave out --size")
    return height, width
