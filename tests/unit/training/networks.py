"""Small networks as other tools export them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    import onnx

CLASSES = 3
FEATURES = 8


def network(
    *,
    batch: int | str = "batch",
    size: int | str = 24,
    classes: int = CLASSES,
    first: str = "NCHW",
    kind: int = TensorProto.FLOAT,
    last: str = "gemm",
    softmax: bool = True,
) -> onnx.ModelProto:
    """Return convolution, ReLU, averages and, unless `last` says otherwise, a linear layer.

    Args:
        batch: of the input's shape.
        size: of the input's height and width.
        classes: of the linear layer.
        first: ``NCHW`` or ``NHWC``.
        kind: of the input and of all weights.
        last: ``maps``, ``pooled``, ``gemm``, ``gemm-transposed``, ``matmul``, ``matmul-add`` or
            ``convolution``.
        softmax: behind the linear layer.
    """
    rng = np.random.default_rng(3)
    values: dict[str, Any] = {
        "kernel": rng.normal(size=(FEATURES, 3, 3, 3)),
        "weights": rng.normal(size=(FEATURES, classes)) * 3,
        "transposed": np.zeros((classes, FEATURES)),
        "bias": rng.normal(size=classes),
    }
    values["transposed"] = values["weights"].T
    values["pointwise"] = values["weights"].T[:, :, None, None]
    dtype = helper.tensor_dtype_to_np_dtype(kind) if kind != TensorProto.UINT8 else np.float32
    floats = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes, image = [], "image"
    if kind == TensorProto.UINT8:
        nodes.append(helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT))
        image = "floats"
    if first == "NHWC":
        nodes.append(helper.make_node("Transpose", [image], ["turned"], perm=[0, 3, 1, 2]))
        image = "turned"
    nodes += [
        helper.make_node("Conv", [image, "kernel"], ["convolved"], strides=[2, 2]),
        helper.make_node("Relu", ["convolved"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["averages"]),
        helper.make_node("Flatten", ["averages"], ["pooled"]),
    ]
    ends = {
        "maps": [],
        "pooled": [],
        "gemm": [helper.make_node("Gemm", ["pooled", "weights", "bias"], ["logits"])],
        "gemm-transposed": [helper.make_node("Gemm", ["pooled", "transposed", "bias"], ["logits"], transB=1)],
        "matmul": [helper.make_node("MatMul", ["pooled", "weights"], ["logits"])],
        "matmul-add": [
            helper.make_node("MatMul", ["pooled", "weights"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["logits"]),
        ],
        "convolution": [
            helper.make_node("Conv", ["maps", "pointwise"], ["scores"]),
            helper.make_node("GlobalAveragePool", ["scores"], ["means"]),
            helper.make_node("Flatten", ["means"], ["logits"]),
        ],
    }
    nodes += ends[last]
    output = last if last in ("maps", "pooled") else "logits"
    if output == "logits" and softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["embedding"], axis=1))
        output = "embedding"  # a name that is also one of ours
    shape = [batch, 3, size, size] if first == "NCHW" else [batch, size, size, 3]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info(output, floats, None)],
        [numpy_helper.from_array(np.asarray(value, dtype), name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def convolutional(kind: Any = np.float32) -> onnx.ModelProto:
    """Return three blocks of random convolution, normalisation and ReLU, averaged to 64 features."""
    rng, channels, last = np.random.default_rng(5), (3, 16, 32, 64), "image"
    nodes, constants = [], []
    for i, (before, after) in enumerate(itertools.pairwise(channels)):
        values = {
            "kernel": rng.normal(size=(after, before, 3, 3)) * np.sqrt(2 / (9 * before)),
            "bias": np.zeros(after),
            "scale": np.ones(after),
            "offset": np.zeros(after),
            "mean": np.zeros(after),
            "variance": np.ones(after),
        }
        constants += [numpy_helper.from_array(v.astype(kind), f"{name}{i}") for name, v in values.items()]
        inputs = [f"convolved{i}", *(f"{name}{i}" for name in ("scale", "offset", "mean", "variance"))]
        nodes += [
            helper.make_node(
                "Conv",
                [last, f"kernel{i}", f"bias{i}"],
                [f"convolved{i}"],
                strides=[2, 2],
                pads=[1, 1, 1, 1],
            ),
            helper.make_node("BatchNormalization", inputs, [f"normal{i}"]),
            helper.make_node("Relu", [f"normal{i}"], [f"maps{i}"]),
        ]
        last = f"maps{i}"
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["averages"]),
        helper.make_node("Flatten", ["averages"], ["features"]),
    ]
    floats = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", floats, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("features", floats, None)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
