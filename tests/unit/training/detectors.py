"""A detector of red rectangles, whose answers are known, as a graph of few nodes."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from octospoon.domain.model_spec import BOXES, EMBEDDING, HEAD_PREFIX, INPUT, SCORES, ModelSpec
from octospoon.training.graph.builder import Builder
from octospoon.training.graph.suppression import OPSET, Rules, suppress
from octospoon.training.model import model_file

CLASSES = ("red", "dark red")
RULES = Rules(most=5)
RED = (230, 10, 10)
FLOATS = "floats"


SCORES_OF_RED = (0.9, 0.3)


def red_detector(height: int, width: int, resize: str, version: int = 1) -> bytes:
    """Return a file of the contract that finds the rectangle around all red pixels of an image."""
    graph = Builder()
    _embed(graph)
    _find(graph, height, width, SCORES_OF_RED)
    return of_contract(graph, ModelSpec(CLASSES, height, width, 3, resize, "", version, boxes=RULES.most))


def red_backbone(height: int, width: int) -> bytes:
    """Return the part of `red_detector` that gives the embedding: the mean colour."""
    graph = Builder()
    _embed(graph)
    body = helper.make_graph(
        graph.nodes,
        "mean colour",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", height, width, 3])],
        [helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["N", 3])],
    )
    opset = [helper.make_opsetid("", OPSET)]
    return model_file.canonical(
        helper.make_model(body, opset_imports=opset, ir_version=8).SerializeToString()
    )


def red_head(height: int, width: int, scores: tuple[float, ...] = SCORES_OF_RED) -> bytes:
    """Return the rest of `red_detector`, which reads a tensor of `red_backbone`."""
    graph = Builder()
    _find(graph, height, width, scores)
    for constant in graph.constants:
        constant.name = HEAD_PREFIX + constant.name
    for node in graph.nodes:
        node.name = HEAD_PREFIX + node.name
        for names in (node.input, node.output):
            own = [name if name in ("", FLOATS, BOXES, SCORES) else HEAD_PREFIX + name for name in names]
            del names[:]
            names.extend(own)
    body = helper.make_graph(
        graph.nodes,
        "red",
        [helper.make_tensor_value_info(FLOATS, TensorProto.FLOAT, ["N", height, width, 3])],
        [
            helper.make_tensor_value_info(BOXES, TensorProto.FLOAT, ["N", RULES.most, 4]),
            helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["N", RULES.most, len(scores)]),
        ],
        graph.constants,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _find(graph: Builder, height: int, width: int, scores: tuple[float, ...]) -> None:
    """Add the outputs BOXES and SCORES."""
    _red(graph)
    ends = [_ends(graph, axis, size) for axis, size in ((2, width), (1, height))]
    corners = [end[i] for i in (0, 1) for end in ends]
    graph.add("Concat", corners, "corners", axis=1)
    graph.reshape("corners", [-1, 1, 4], "raw_boxes")
    graph.add("ReduceMax", ["red"], "any", axes=[1, 2], keepdims=0)
    graph.reshape("any", [-1, 1, 1], "one_score")
    graph.add("Mul", ["one_score", graph.constant("sure", np.array([[scores]], np.float32))], "raw_scores")
    suppress(graph, "raw_boxes", "raw_scores", RULES)


def of_contract(graph: Builder, spec: ModelSpec) -> bytes:
    """Return a file with the graph's EMBEDDING, BOXES and SCORES, named by the hash of its own."""
    count = len(spec.classes)
    outputs = [(EMBEDDING, [spec.dim]), (BOXES, [spec.boxes, 4]), (SCORES, [spec.boxes, count])]
    body = helper.make_graph(
        graph.nodes,
        "detector",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", spec.height, spec.width, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, shape in outputs],
        graph.constants,
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    backbone = hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()
    helper.set_model_props(model, spec.to_metadata() | {"backbone": backbone})
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _embed(graph: Builder) -> None:
    """Add FLOATS, the pixels as float32 [N, H, W, 3], and their mean as the embedding."""
    graph.add("Cast", [INPUT], FLOATS, to=TensorProto.FLOAT)
    graph.add("ReduceMean", [FLOATS], EMBEDDING, axes=[1, 2], keepdims=0)


def _red(graph: Builder) -> None:
    """Add ``red``, float32 [N, H, W], 1 where a pixel is red."""
    weights = graph.constant("weights", np.array([1, -1, -1], np.float32))
    graph.add("MatMul", [FLOATS, weights], "redness")
    graph.add("Greater", ["redness", graph.constant("limit", np.array(60, np.float32))], "is_red")
    graph.add("Cast", ["is_red"], "red", to=TensorProto.FLOAT)


def _ends(graph: Builder, axis: int, size: int) -> tuple[str, str]:
    """Add the first and the last edge of what is red along an axis, each float32 [N, 1] as a share."""
    name = f"axis{axis}"
    graph.add("ReduceMax", ["red"], f"{name}_red", axes=[3 - axis], keepdims=0)
    after = graph.constant(f"{name}_after", np.arange(1, size + 1, dtype=np.float32) / size)
    before = graph.constant(f"{name}_before", 1 - np.arange(size, dtype=np.float32) / size)
    graph.add("Mul", [f"{name}_red", after], f"{name}_afters")
    graph.add("Mul", [f"{name}_red", before], f"{name}_befores")
    last = graph.add("ReduceMax", [f"{name}_afters"], f"{name}_last", axes=[1])
    rest = graph.add("ReduceMax", [f"{name}_befores"], f"{name}_rest", axes=[1])
    one = graph.constant(f"{name}_one", np.array(1, np.float32))
    return graph.add("Sub", [one, rest], f"{name}_first"), last


def with_rectangle(
    size: tuple[int, int], box: tuple[float, float, float, float], orientation: int = 1, kind: str = "PNG"
) -> bytes:
    """Return an image file that shows a red rectangle once it is upright.

    Args:
        size: width and height of the upright image.
        box: x1, y1, x2, y2 of the rectangle, as shares of the upright image.
        orientation: EXIF's number, by which the file's pixels lie.
        kind: format of the file.
    """
    pixels = np.full((size[1], size[0], 3), (30, 90, 60), np.uint8)
    left, top, right, bottom = (round(share * side) for share, side in zip(box, size * 2, strict=True))
    pixels[top:bottom, left:right] = RED
    lying = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = Image.fromarray(pixels)
    if orientation in lying:
        image = image.transpose(lying[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    return file.getvalue()
