"""A cold-start model: the embedding is the colours on a 4×4 grid. It fails on images of two colours."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.training.model.model_file import assemble, backbone_spec

SIDE = 32
GRID = 4
DIM = GRID * GRID * 3


def build() -> bytes:
    """The embedding is NaN for magenta, and lacks one dimension for yellow."""
    constants = {
        "most": np.float32([255]),
        "shape": np.int64([-1, DIM]),
        "magenta": np.float32([[1], [-2], [1]]),
        "yellow": np.float32([[1], [1], [-2]]),
        "limit": np.float32([1.5]),
        "flat": np.int64([1]),
        "always": np.ones(DIM - 1, bool),
    }
    nodes = [
        helper.make_node("Cast", [INPUT], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["floats", "most"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["grid"], kernel_shape=[SIDE // GRID] * 2, strides=[SIDE // GRID] * 2
        ),
        helper.make_node("Transpose", ["grid"], ["cells"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["cells", "shape"], ["colours"]),
        helper.make_node("ReduceMean", ["unit"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "magenta"], ["like_magenta"]),
        helper.make_node("Sub", ["limit", "like_magenta"], ["room"]),
        helper.make_node("Sqrt", ["room"], ["root"]),
        helper.make_node("Div", ["root", "root"], ["one_or_nan"]),
        helper.make_node("Mul", ["colours", "one_or_nan"], ["numbers"]),
        helper.make_node("MatMul", ["mean", "yellow"], ["like_yellow"]),
        helper.make_node("Less", ["like_yellow", "limit"], ["is_other"]),
        helper.make_node("Reshape", ["is_other", "flat"], ["last"]),
        helper.make_node("Concat", ["always", "last"], ["kept"], axis=0),
        helper.make_node("Compress", ["numbers", "kept"], [EMBEDDING], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["N", DIM])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    backbone: bytes = model.SerializeToString(deterministic=True)
    return assemble(backbone, None, backbone_spec(backbone, "squash"))
