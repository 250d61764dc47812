"""Small networks with the outputs of other tools' detectors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper

from octospoon.training.graph.builder import Builder

SIDE, CLASSES, BOXES = 32, ("cat", "dog", "owl"), 40
CHANNELS = 16


@dataclass
class Network:
    """Nine convolutions, maps that are enlarged, and a linear layer that makes numbers between 0 and 1.

    Attributes:
        shape: of the input.
        opset: of the graph.
        pyramid: whether the maps are enlarged, as in a feature pyramid.
    """

    shape: tuple[int | str, ...] = (1, 3, SIDE, SIDE)
    opset: int = 17
    pyramid: bool = True
    graph: Builder = field(default_factory=Builder)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def numbers(self, name: str, *shape: int) -> str:
        """Add numbers between 0 and 1 that depend on the image, of a shape for one image."""
        flat, count = self._features(), int(np.prod(shape))
        weights = 0.3 * self.rng.normal(size=(CHANNELS * 16, count)).astype(np.float32)
        self.graph.add("MatMul", [flat, self.graph.constant(f"{name}_weights", weights)], f"{name}_layer")
        self.graph.add("Sigmoid", [f"{name}_layer"], f"{name}_flat")
        return self.graph.reshape(f"{name}_flat", [1, *shape], name)

    def scaled(self, tensor: str, factor: float) -> str:
        factors = self.graph.constant(f"{tensor}_factor", np.array(factor, np.float32))
        return self.graph.add("Mul", [tensor, factors], f"{tensor}_scaled")

    def file(self, **outputs: int) -> onnx.ModelProto:
        """Return the model with these outputs and their element types."""
        image = helper.make_tensor_value_info("images", TensorProto.FLOAT, self.shape)
        values = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()]
        body = helper.make_graph(self.graph.nodes, "detector", [image], values, self.graph.constants)
        return helper.make_model(body, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def _features(self) -> str:
        if not self.graph.nodes:
            image = "images"
            if len(self.shape) == 3:
                image = self.graph.reshape("images", [1, 3, SIDE, SIDE], "image")
            for i in range(9):
                image = self._convolution(image, i)
            if self.pyramid:
                scales = self.graph.constant("scales", np.array([1, 1, 2, 2], np.float32))
                roi = self.graph.constant("roi", np.array([], np.float32))
                self.graph.add("Resize", [image, roi, scales], "enlarged", mode="nearest")
                self.graph.add("MaxPool", ["enlarged"], "again", kernel_shape=[2, 2], strides=[2, 2])
                image = "again"
            self.graph.reshape(image, [1, CHANNELS * 16], "features")
        return "features"

    def _convolution(self, tensor: str, i: int) -> str:
        before = 3 if i == 0 else CHANNELS
        kernel = self.rng.normal(size=(CHANNELS, before, 3, 3)).astype(np.float32) * (2 / (9 * before)) ** 0.5
        weights = self.graph.constant(f"kernel{i}", kernel)
        step = 2 if i in (2, 4, 6) else 1
        self.graph.add("Conv", [tensor, weights], f"convolved{i}", pads=[1] * 4, strides=[step, step])
        return self.graph.add("Relu", [f"convolved{i}"], f"maps{i}")


def columns(**options: object) -> onnx.ModelProto:
    """Return a detector like Ultralytics' raw export: [1, 4 + C, M], centres in pixels."""
    net = Network(**options)
    boxes = net.scaled(net.numbers("boxes", 4, BOXES), SIDE)
    net.graph.add("Concat", [boxes, net.numbers("scores", len(CLASSES), BOXES)], "output0", axis=1)
    return net.file(output0=TensorProto.FLOAT)


def rows(labels: int = len(CLASSES)) -> onnx.ModelProto:
    """Return a detector like Ultralytics' end-to-end export: [1, M, 6], corners in pixels."""
    net = Network()
    start = net.scaled(net.numbers("start", BOXES, 2), SIDE / 2)
    size = net.scaled(net.numbers("size", BOXES, 2), SIDE / 2)
    end = net.graph.add("Add", [start, size], "end")
    label = net.graph.add("Floor", [net.scaled(net.numbers("label", BOXES, 1), labels)], "whole")
    net.graph.add("Concat", [start, end, net.numbers("score", BOXES, 1), label], "output0", axis=2)
    return net.file(output0=TensorProto.FLOAT)


def centred_rows() -> onnx.ModelProto:
    """Return a detector like Ultralytics' RT-DETR: [1, M, 6], centres as shares."""
    net = Network()
    label = net.graph.add("Floor", [net.scaled(net.numbers("label", BOXES, 1), len(CLASSES))], "whole")
    parts = [net.numbers("boxes", BOXES, 4), net.numbers("score", BOXES, 1), label]
    net.graph.add("Concat", parts, "output0", axis=2)
    return net.file(output0=TensorProto.FLOAT)


def queries(background: int = 0) -> onnx.ModelProto:
    """Return a detector like DETR (one background) or RT-DETR (none): logits, and centres as shares."""
    net = Network(pyramid=False)
    net.scaled(net.numbers("logits", BOXES, len(CLASSES) + background), 6)
    net.numbers("pred_boxes", BOXES, 4)
    return net.file(logits_scaled=TensorProto.FLOAT, pred_boxes=TensorProto.FLOAT)


def anchors(background: int = 1) -> onnx.ModelProto:
    """Return a detector like SSD: corners as shares, and probabilities with the background first."""
    net = Network()
    start, size = (net.scaled(net.numbers(name, BOXES, 2), 0.5) for name in ("start", "size"))
    net.graph.add("Concat", [start, net.graph.add("Add", [start, size], "end")], "boxes", axis=2)
    logits = net.scaled(net.numbers("logits", BOXES, len(CLASSES) + background), 5)
    if background:
        net.graph.add("Softmax", [logits], "scores", axis=2)
    else:
        net.graph.add("Sigmoid", [logits], "scores")
    return net.file(scores=TensorProto.FLOAT, boxes=TensorProto.FLOAT)


def lists(first: int = 1, classes: int = len(CLASSES), least: float = 0.4) -> onnx.ModelProto:
    """Return a detector like torchvision's: one image [3, H, W], and lists as long as it has boxes."""
    net = Network(shape=(3, SIDE, SIDE))
    start = net.scaled(net.numbers("start", BOXES, 2), SIDE / 2)
    end = net.graph.add("Add", [start, net.scaled(net.numbers("size", BOXES, 2), SIDE / 2)], "end")
    net.graph.reshape(net.graph.add("Concat", [start, end], "corners", axis=2), [-1, 4], "all_boxes")
    net.graph.reshape(net.numbers("certainty", BOXES), [-1], "all_scores")
    net.graph.reshape(net.scaled(net.numbers("kind", BOXES), classes), [-1], "kinds")
    net.graph.add("Cast", ["kinds"], "kinds_from_0", to=TensorProto.INT64)
    net.graph.add("Add", ["kinds_from_0", net.graph.constant("first", np.array(first))], "all_labels")
    net.graph.add("Greater", ["all_scores", net.graph.constant("least", np.array(least, np.float32))], "good")
    for name in ("boxes", "labels", "scores"):
        net.graph.add("Compress", [f"all_{name}", "good"], name, axis=0)
    return net.file(boxes=TensorProto.FLOAT, labels=TensorProto.INT64, scores=TensorProto.FLOAT)
