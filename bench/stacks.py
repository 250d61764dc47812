"""Build models of three sizes that follow the model contract, with random weights and without downloads.

The default backbone of a new stack is a fourth model, which is downloaded.
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
    CHAMPION_KEY,
    EMBEDDING,
    INPUT,
    PROBABILITIES,
    ChampionPointer,
    ModelSpec,
    model_key,
)
from octospoon.training.backbone import catalogue
from octospoon.training.model.model_file import read_spec

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

CLASSES = 10
NAMES = tuple(str(i) for i in range(CLASSES))
BACKBONE = "0" * 64
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


def build(name: str, side: int) -> bytes:
    """Return a model file of one of STACKS, for images of side×side pixels."""
    graph, channels = _Graph(), 3
    x = graph.add("Cast", [INPUT], to=TensorProto.FLOAT)
    x = graph.add(
        "Transpose", [graph.add("Div", [x, graph.constant(np.array([255], np.float32))])], perm=[0, 3, 1, 2]
    )
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
    return _file(graph, channels, side)


def _file(graph: _Graph, dim: int, side: int) -> bytes:
    made = helper.make_graph(
        graph.nodes,
        "stack",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", side, side, 3])],
        [
            helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["N", dim]),
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["N", CLASSES]),
        ],
        graph.weights,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    spec = ModelSpec(NAMES, side, side, dim, "cover", BACKBONE, 1)
    helper.set_model_props(model, spec.to_metadata())
    return bytes(model.SerializeToString())


def pointer_to(model: bytes, version: int) -> ChampionPointer:
    """Return the pointer by which a model of `build` serves."""
    sha = hashlib.sha256(model).hexdigest()
    return ChampionPointer(version, sha, model_key(sha), BACKBONE, "", "", NAMES)


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
