"""Weights of imported models, in all places where exporters put them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from unit.training.exports import (
    EXTRA,
    WEIGHTS,
    answers,
    headed,
    imported_outputs,
    linear,
    model,
    node,
    plain,
    trunk,
)

from octospoon.domain.errors import BadModel


def branch(name: str, inside: list[onnx.NodeProto], constants: tuple[onnx.TensorProto, ...] = ()) -> Any:
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return helper.make_graph(inside, f"{name}_graph", [], [output], list(constants))


def choice(yes: Any, no: Any) -> list[onnx.NodeProto]:
    return [
        *trunk(),
        node("Shape", "pooled", "shape"),
        node("Gather", "shape zero", "n"),
        node("Greater", "n zero", "some"),
        node("If", "some", "out", then_branch=yes, else_branch=no),
    ]


def test_weights_that_only_branches_use_are_kept(tmp_path):
    yes = branch("yes", [node("MatMul", "pooled w", "yes")])
    no = branch("no", [node("MatMul", "pooled other", "no")])
    made = model(choice(yes, no), other=-WEIGHTS, zero=np.array(0))
    assert np.allclose(imported_outputs(tmp_path, made), plain(made), atol=1e-4)


def test_weights_inside_branches_within_branches_are_kept(tmp_path):
    own = numpy_helper.from_array(WEIGHTS, "own")
    inner = node(
        "If",
        "some",
        "yes",
        then_branch=branch("a", [node("MatMul", "pooled own", "a")], (own,)),
        else_branch=branch("b", [node("MatMul", "pooled w", "b")]),
    )
    # the same names in both branches: each has its own
    no = branch("no", [node("Identity", "pooled", "a"), node("MatMul", "a w", "no")])
    made = model(choice(branch("yes", [inner]), no), zero=np.array(0))
    assert np.allclose(imported_outputs(tmp_path, made), plain(made), atol=1e-4)


@pytest.mark.parametrize("op", ["Loop", "Scan"])
def test_weights_that_only_a_loop_uses_are_kept(tmp_path, op):
    info = helper.make_tensor_value_info
    square = EXTRA["square"] / 4
    step = node("MatMul", "state square", "next")
    if op == "Loop":
        body = helper.make_graph(
            [step, node("Identity", "go", "on")],
            "body",
            [
                info("i", TensorProto.INT64, []),
                info("go", TensorProto.BOOL, []),
                info("state", TensorProto.FLOAT, None),
            ],
            [info("on", TensorProto.BOOL, []), info("next", TensorProto.FLOAT, None)],
        )
        loop = node("Loop", "three yes pooled", "out", body=body)
    else:
        body = helper.make_graph(
            [step, node("Identity", "x", "y")],
            "body",
            [info("state", TensorProto.FLOAT, None), info("x", TensorProto.FLOAT, None)],
            [info("next", TensorProto.FLOAT, None), info("y", TensorProto.FLOAT, None)],
        )
        loop = node("Scan", "pooled steps", "out ignored", body=body, num_scan_inputs=1)
    extra = {"three": np.array(3), "yes": np.array(True), "steps": np.zeros((3, 1), np.float32)}
    made = model([*trunk(), loop], square=square, **extra)
    assert np.allclose(imported_outputs(tmp_path, made), plain(made), atol=1e-4)


def test_functions_are_taken_with_their_weights(tmp_path):
    inner = helper.make_function(
        "local", "Inner", ["x", "k"], ["y"], [node("MatMul", "x k", "y")], [helper.make_opsetid("", 17)]
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    outer = helper.make_function(
        "local",
        "Outer",
        ["x", "k"],
        ["y"],
        [node("Inner", "x k", "m", domain="local"), node("Tanh", "m", "y")],
        opsets,
    )
    made = model([*trunk(), node("Outer", "pooled w", "out", domain="local")], functions=(inner, outer))
    assert np.allclose(imported_outputs(tmp_path, made), plain(made), atol=1e-4)


def sparse(array: np.ndarray, name: str, *, flat: bool) -> onnx.SparseTensorProto:
    positions = np.flatnonzero(array)
    values = numpy_helper.from_array(array.reshape(-1)[positions], name)
    index = positions if flat else np.stack(np.unravel_index(positions, array.shape), axis=1)
    return helper.make_sparse_tensor(
        values, numpy_helper.from_array(index.astype(np.int64)), list(array.shape)
    )


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_sparse_weights_are_taken(tmp_path, flat, listed):
    thin = np.where(np.abs(WEIGHTS) > 2, WEIGHTS, 0)
    made = model([*trunk(), node("MatMul", "pooled thin", "out")])
    made.graph.sparse_initializer.append(sparse(thin, "thin", flat=flat))
    if listed:
        made.graph.input.append(helper.make_tensor_value_info("thin", TensorProto.FLOAT, [8, 3]))
    expected = plain(model([*trunk(), node("MatMul", "pooled thin", "out")], thin=thin))
    assert np.allclose(imported_outputs(tmp_path, made), expected, atol=1e-4)
    assert np.allclose(imported_outputs(tmp_path, made, headed()), answers(expected), atol=1e-4)


def test_weights_in_constant_nodes_are_taken(tmp_path):
    thin = np.where(np.abs(WEIGHTS) > 2, WEIGHTS, 0)
    constant = helper.make_node("Constant", [], ["thin"], sparse_value=sparse(thin, "", flat=True))
    made = model([*trunk(), constant, node("MatMul", "pooled thin", "out")])
    expected = plain(model([*trunk(), node("MatMul", "pooled thin", "out")], thin=thin))
    assert np.allclose(imported_outputs(tmp_path, made, headed()), answers(expected), atol=1e-4)


QUANTISED = np.clip(np.round(WEIGHTS / 0.1), -127, 127).astype(np.int8)
BEHIND: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "Identity": ([node("Identity", "w", "v")], {}),
    "Cast": ([node("Cast", "h", "v", to=TensorProto.FLOAT)], {"h": WEIGHTS.astype(np.float16)}),
    "Transpose": ([node("Transpose", "t", "v")], {"t": np.ascontiguousarray(WEIGHTS.T)}),
    "DequantizeLinear": (
        [node("DequantizeLinear", "q step", "v", axis=1)],
        {"q": QUANTISED, "step": np.full(3, 0.1, np.float32)},
    ),
    "Reshape": ([node("Reshape", "flat size", "v")], {"flat": WEIGHTS.ravel(), "size": np.array([8, 3])}),
    "Squeeze": ([node("Squeeze", "u ax", "v")], {"u": WEIGHTS[None], "ax": np.array([0])}),
    "Mul": ([node("Mul", "half two", "v")], {"half": WEIGHTS / 2, "two": np.float32(2)}),
    "Concat": ([node("Concat", "p q", "v", axis=0)], {"p": WEIGHTS[:4], "q": WEIGHTS[4:]}),
    "several": (
        [
            node("Cast", "t", "c", to=TensorProto.FLOAT),
            node("Identity", "c", "d"),
            node("Transpose", "d", "v"),
        ],
        {"t": np.ascontiguousarray(WEIGHTS.T).astype(np.float16)},
    ),
    "Constant": ([helper.make_node("Constant", [], ["v"], value=numpy_helper.from_array(WEIGHTS))], {}),
}


@pytest.mark.parametrize("name", BEHIND)
@pytest.mark.parametrize("op", ["MatMul", "Gemm"])
def test_the_last_layers_weights_may_stand_behind_other_nodes(tmp_path, name, op):
    nodes, constants = BEHIND[name]
    made = model([*trunk(), *nodes, node(op, "pooled v", "out")], **constants)
    assert np.allclose(imported_outputs(tmp_path, made, headed()), answers(plain(made)), atol=1e-4)


LAYERS: dict[str, list[onnx.NodeProto]] = {
    "bias behind Unsqueeze": [
        node("Unsqueeze", "bias zeros", "row"),
        node("MatMul", "pooled w", "m"),
        node("Add", "row m", "out"),
    ],
    "bias subtracted": [node("MatMul", "pooled w", "m"), node("Sub", "m bias", "out")],
    "Gemm and another bias": [node("Gemm", "pooled w bias", "m"), node("Add", "m bias", "out")],
    "a temperature": [node("Gemm", "pooled w bias", "m"), node("Div", "m two", "out")],
    "a scale before the bias": [
        node("MatMul", "pooled w", "m"),
        node("Mul", "two m", "s"),
        node("Add", "s bias", "out"),
    ],
    "a scale for each class": [node("Gemm", "pooled w bias", "m"), node("Mul", "m each", "out")],
    "Reshape behind it": [node("Gemm", "pooled w bias", "m"), node("Reshape", "m size", "out")],
    "alpha and beta": [node("Gemm", "pooled w bias", "out", alpha=0.5, beta=2.0)],
    "no bias": [node("Gemm", "pooled w _", "out")],
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_last_layer_may_be_written_in_many_ways(tmp_path, name):
    extra = {
        "zeros": np.array([0]),
        "two": np.float32(2),
        "each": np.array([1, 2, 3], np.float32),
        "size": np.array([-1, 3]),
    }
    made = model([*trunk(), *LAYERS[name]], **extra)
    assert np.allclose(imported_outputs(tmp_path, made, headed()), answers(plain(made)), atol=1e-4)


def test_head_that_differs_from_the_models_answers_is_refused(tmp_path):
    made = model([*linear(), node("Clip", "z low high", "out")], low=np.float32(-0.1), high=np.float32(0.1))
    with pytest.raises(BadModel, match="not those of its last linear layer"):
        imported_outputs(tmp_path, made, headed())
