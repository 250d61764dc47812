"""Build models of three sizes and a detector that follow the model contract, with random weights.

The default backbone of a new stack is another model, which is downloaded.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from octospoon.cli.operations.backbones import download_bar, pull
from octospoon.domain.model_spec import (
    BOXES,
    CHAMPION_KEY,
    EMBEDDING,
    INPUT,
    PROBABILITIES,
    SCORES,
    ChampionPointer,
    ModelSpec,
    model_key,
)
from octospoon.training.backbone import catalogue
from octospoon.training.graph.builder import Builder
from octospoon.training.graph.suppression import Rules, suppress
from octospoon.training.model.model_file import read_spec

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

CLASSES = 10
NAMES = tuple(str(i) for i in range(CLASSES))
BACKBONE = "0" * 64
DETECTOR = "detector"
"""The medium model with a light head for 8,400 boxes of 80 classes, which are suppressed in the graph."""
ANCHORS, OBJECTS = 8400, 80
DEFAULT = "default"
"""The backbone of a new stack, as it serves before the first training job."""

# (kernel, channels, stride); kernel 0 is a depthwise 3×3 followed by a pointwise convolution
Layers = list[tuple[int, int, int]]


def _separable(width: float) -> Layers:
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    return [(3, int(32 * width), 2), *((0, int(channels * width), stride) for channels, stride in plan)]


def _plain() -> Layers:
    stages = [(64, 2), (128, 2), (256, 2), (512, 2)]
    return [
        (7, 64, 2),
        *((3, channels, stride if i == 0 else 1) for channels, stride in stages for i in range(4)),
    ]


STACKS: dict[str, Layers] = {
    "small": _separable(0.25),  # about MobileNetV3-small
    "medium": _separable(0.75),  # about MobileNetV2
    "large": _plain(),  # about ResNet18
}


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes: object) -> str:
        name = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, array: npt.NDArray[np.float32]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, values: list[int]) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def random(self, *shape: int, fan_in: int) -> str:
        weights = self._random.standard_normal(shape, np.float32) * np.float32((2 / fan_in) ** 0.5)
        return self.constant(weights)

    def conv(self, x: str, shape: tuple[int, int, int], *, stride: int = 1, group: int = 1) -> str:
        out, into, kernel = shape
        weights = self.random(out, into, kernel, kernel, fan_in=into * kernel * kernel)
        pads = [kernel // 2] * 4
        return self.add(
            "Relu", [self.add("Conv", [x, weights], strides=[stride, stride], pads=pads, group=group)]
        )


def _pixels(graph: _Graph) -> str:
    floats = graph.add("Cast", [INPUT], to=TensorProto.FLOAT)
    shares = graph.add("Div", [floats, graph.constant(np.array([255], np.float32))])
    return graph.add("Transpose", [shares], perm=[0, 3, 1, 2])


def build(name: str, side: int) -> bytes:
    """Return a model file of one of STACKS, for images of side×side pixels."""
    graph, channels = _Graph(), 3
    x = _pixels(graph)
    for kernel, out, stride in STACKS[name]:
        if kernel == 0:
            x = graph.conv(x, (channels, 1, 3), stride=stride, group=channels)
        x = graph.conv(x, (out, channels, kernel or 1), stride=stride if kernel else 1)
        channels = out
    graph.add("Flatten", [graph.add("GlobalAveragePool", [x])], EMBEDDING)
    graph.add(
        "Softmax",
        [graph.add("MatMul", [EMBEDDING, graph.random(channels, CLASSES, fan_in=channels)])],
        PROBABILITIES,
    )
    outputs = {EMBEDDING: [channels], PROBABILITIES: [CLASSES]}
    return _file(graph, outputs, ModelSpec(NAMES, side, side, channels, "cover", BACKBONE, 1))


def detector(side: int) -> bytes:
    """Return a detector with the layers of the medium model, and as many boxes as YOLO gives for 640×640.

    Its boxes are constants moved by the image, so that the suppression has work: they overlap by chance, and
    some hundred scores of an image are above the floor.
    """
    graph, channels = _Graph(), 3
    x = _pixels(graph)
    for kernel, out, stride in STACKS["medium"]:
        if kernel == 0:
            x = graph.conv(x, (channels, 1, 3), stride=stride, group=channels)
        x = graph.conv(x, (out, channels, kernel or 1), stride=stride if kernel else 1)
        channels = out
    graph.add("Flatten", [graph.add("GlobalAveragePool", [x])], EMBEDDING)
    rng = np.random.default_rng(0)
    corner = rng.random((1, ANCHORS, 2), np.float32) * np.float32(0.8)
    ends = corner + np.float32(0.02) + np.float32(0.18) * rng.random((1, ANCHORS, 2), np.float32)
    places = graph.constant(np.concatenate([corner, ends], axis=2))
    moved = graph.add("MatMul", [EMBEDDING, graph.random(channels, ANCHORS, fan_in=channels)])
    column = graph.add("Reshape", [moved, graph.integers([-1, ANCHORS, 1])])
    small = graph.add("Mul", [column, graph.constant(np.array(0.001, np.float32))])
    boxes = graph.add("Add", [small, places])
    levels = graph.constant(rng.normal(-9, 2.2, (1, ANCHORS, OBJECTS)).astype(np.float32))
    scores = graph.add("Sigmoid", [graph.add("Add", [column, levels])])
    built = Builder(graph.nodes, graph.weights)
    rules = Rules()
    suppress(built, boxes, scores, rules)
    outputs = {EMBEDDING: [channels], BOXES: [rules.most, 4], SCORES: [rules.most, OBJECTS]}
    names = tuple(str(i) for i in range(OBJECTS))
    spec = ModelSpec(names, side, side, channels, "letterbox", BACKBONE, 1, boxes=rules.most)
    return _file(graph, outputs, spec)


def _file(graph: _Graph, outputs: dict[str, list[int]], spec: ModelSpec) -> bytes:
    image = ["N", spec.height, spec.width, 3]
    made = helper.make_graph(
        graph.nodes,
        "stack",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, image)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
            for name, shape in outputs.items()
        ],
        graph.weights,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, spec.to_metadata())
    return bytes(model.SerializeToString())


def pointer_to(model: bytes, version: int) -> ChampionPointer:
    """Return the pointer by which a model of `build` serves."""
    sha = hashlib.sha256(model).hexdigest()
    return ChampionPointer(version, sha, model_key(sha), BACKBONE, "", "", read_spec(model).classes)


def publish(folder: Path, name: str, side: int) -> Path:
    """Write a model as `model.onnx` and as a champion; those of STACKS also as arrays for frameworks.

    Args:
        folder: to create.
        name: of STACKS, or DEFAULT.
        side: of the input in pixels; the default backbone has its own.

    Returns:
        The path of `model.onnx`; its folder holds the artifacts bucket's ``models/`` too.
    """
    folder.mkdir()
    if name == DEFAULT:
        model = _default()
        pointer = ChampionPointer.of(0, read_spec(model).backbone, hashlib.sha256(model).hexdigest())
    elif name == DETECTOR:
        model = detector(side)
        pointer = pointer_to(model, 1)
    else:
        model = build(name, side)
        pointer = pointer_to(model, 1)
        np.savez(folder / "model.npz", **_arrays(model))  # type: ignore[arg-type]
    (folder / "model.onnx").write_bytes(model)
    for key, body in {CHAMPION_KEY: msgspec.json.encode(pointer), pointer.key: model}.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(body)
    return folder / "model.onnx"


def _default() -> bytes:
    with download_bar() as watch:
        return pull(catalogue.PHOTOS, print, watch).model


def _arrays(model: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Return each convolution's weights, stride and groups, and the head's weights."""
    graph = onnx.load_from_string(model).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    network: dict[str, npt.NDArray[np.generic]] = {}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    for i, node in enumerate(convolutions):
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        network |= {f"w{i}": values[node.input[1]], f"s{i}": np.array(attributes["strides"][0])}
        network[f"g{i}"] = np.array(attributes["group"])
    (head,) = [values[node.input[1]] for node in graph.node if node.op_type == "MatMul"]
    return network | {"n": np.array(len(convolutions)), "head": head}
