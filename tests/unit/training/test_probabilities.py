"""The probabilities of a classifier are never used as an embedding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from unit.training.exports import (
    ONE,
    SHAPES,
    imported_outputs,
    linear,
    maps,
    model,
    node,
    plain,
    trunk,
)

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.training.model import check_import
from octospoon.training.model.check_import import Options
from octospoon.training.model.wrap_onnx import Pixels

FIRST = {
    "Softmax": [node("Softmax", "z", "p", axis=1)],
    "LogSoftmax": [node("LogSoftmax", "z", "p", axis=1)],
    "Sigmoid": [node("Sigmoid", "z", "p")],
    "Hardmax": [node("Hardmax", "z", "p", axis=1)],
    "softmax written out": [
        node("Exp", "z", "e"),
        node("ReduceSum", "e ones", "s", keepdims=1),
        node("Div", "e s", "p"),
    ],
    "softmax by a reciprocal": [
        node("ReduceMax", "z", "m", axes=[1]),
        node("Sub", "z m", "less"),
        node("Exp", "less", "e"),
        node("ReduceSum", "e ones", "s", keepdims=1),
        node("Reciprocal", "s", "r"),
        node("Mul", "r e", "p"),
    ],
    "logarithm written out": [node("ReduceLogSumExp", "z", "s", axes=[1]), node("Sub", "z s", "p")],
    "sigmoid written out": [
        node("Neg", "z", "n"),
        node("Exp", "n", "e"),
        node("Add", "e unit", "s"),
        node("Reciprocal", "s", "p"),
    ],
    "two models averaged": [
        node("Softmax", "z", "p1", axis=1),
        node("Neg", "z", "n"),
        node("Softmax", "n", "p2", axis=1),
        node("Add", "p1 p2", "p12"),
        node("Mul", "p12 half", "p"),
    ],
}
THEN = {
    "": [],
    "Identity": [node("Identity", "p", "o")],
    "Cast": [node("Cast", "p", "o", to=TensorProto.DOUBLE)],
    "Reshape": [node("Reshape", "p size", "o")],
    "Squeeze": [node("Unsqueeze", "p ones", "u"), node("Squeeze", "u ones", "o")],
    "Flatten": [node("Flatten", "p", "o")],
    "Dropout": [node("Dropout", "p", "o")],
    "Div": [node("Div", "p half", "o")],
    "Clip": [node("Clip", "p", "o")],
    "Add and Log": [node("Add", "p half", "a"), node("Log", "a", "o")],
    "Concat": [node("Sub", "unit p", "q"), node("Concat", "p q", "o", axis=1)],
    "Transposes": [node("Transpose", "p", "t"), node("Transpose", "t", "o")],
}
NUMBERS = {
    "ones": np.array([1]),
    "unit": np.float32(1),
    "half": np.float32(0.5),
    "size": np.array([-1, 3]),
}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        *((first, "") for first in FIRST),
        *(("Softmax", then) for then in THEN),
        ("softmax written out", "Flatten"),
    ],
)
def test_probabilities_are_never_taken_for_an_embedding(tmp_path, first, then):
    nodes = [*linear(), *FIRST[first], *THEN[then]]
    made = model([*nodes, node("Identity", nodes[-1].output[0], "result")], "result", **NUMBERS)
    for options in (Options(Pixels()), Options(Pixels(), output="result")):
        with pytest.raises(BadRequest, match=r"is a classifier: name its classes .*--output 'pooled'"):
            imported_outputs(tmp_path, made, options)
    assert np.allclose(
        imported_outputs(tmp_path, made, Options(Pixels(), output="pooled")),
        plain(model(trunk(), "pooled")),
        atol=1e-4,
    )


def test_rows_that_are_distributions_are_probabilities_however_they_were_made(tmp_path):
    nodes = [*linear(), node("Abs", "z", "a"), node("LpNormalization", "a", "out", axis=1, p=1)]
    with pytest.raises(BadRequest, match="are probabilities"):
        imported_outputs(tmp_path, model(nodes))


@pytest.mark.parametrize(
    "gate",
    [
        [node("Sigmoid", "pooled", "g"), node("Mul", "pooled g", "out")],
        [node("Softmax", "pooled", "g", axis=1), node("Mul", "pooled g", "out")],
        [node("Sigmoid", "pooled", "g"), node("Concat", "pooled g", "out", axis=1)],
        [node("ReduceL2", "pooled", "n", axes=[1]), node("Div", "pooled n", "out")],
    ],
)
def test_features_weighted_by_a_gate_or_length_are_an_embedding(tmp_path, gate):
    made = model([*trunk(), *gate])
    assert np.allclose(imported_outputs(tmp_path, made), plain(made), atol=1e-4)


def test_logits_are_not_taken_unless_they_are_asked_for(tmp_path):
    made = model([*trunk(), node("Gemm", "pooled w bias", "logits")], "logits")
    with pytest.raises(BadRequest, match=r"such as --output 'pooled'.*--output 'logits'"):
        imported_outputs(tmp_path, made)
    assert np.allclose(
        imported_outputs(tmp_path, made, Options(Pixels(), output="logits")), plain(made), atol=1e-4
    )
    wide = np.random.default_rng(4).normal(size=(8, 1000)).astype(np.float32)
    with pytest.raises(BadRequest, match="--output 'pooled'"):
        imported_outputs(tmp_path, model([*trunk(), node("MatMul", "pooled wide", "out")], wide=wide))
    # a projection by another name is an embedding
    assert imported_outputs(tmp_path, model([*trunk(), node("Gemm", "pooled w bias", "out")])).shape == (4, 3)


def test_a_constant_is_no_embedding(tmp_path):
    made = model([*trunk(), node("Identity", "w", "same")], "pooled")
    with pytest.raises(BadRequest, match="the same for every image"):
        imported_outputs(tmp_path, made, Options(Pixels(), output="same"))


def test_a_file_without_a_graph_is_refused(tmp_path):
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(BadModel, match="holds no ONNX graph"):
        check_import.read(tmp_path / "empty.onnx", Options(Pixels()))


def test_halves_keep_maps_and_batches(tmp_path):
    kind = TensorProto.FLOAT16
    nodes = [*maps(), node("Transpose", "maps", "out", perm=[0, 2, 3, 1])]
    expected = plain(model(nodes)).mean((1, 2))
    assert np.allclose(imported_outputs(tmp_path, model(nodes, kind=kind)), expected, atol=2e-2)
    single = model([*trunk(), node("Reshape", "gap one", "out")], shape=ONE, kind=kind, **SHAPES)
    assert np.allclose(imported_outputs(tmp_path, single), plain(model(trunk(), "pooled")), atol=2e-2)


def test_the_options_of_a_file_that_describes_itself_are_refused(tmp_path):
    onnx.save(model(trunk(), "pooled"), tmp_path / "m.onnx")
    parts = check_import.read(tmp_path / "m.onnx", Options(Pixels()))
    (tmp_path / "own.onnx").write_bytes(check_import.fitted(parts, ()).model)
    plainly = Options(Pixels())
    for options in (
        replace(plainly, pool="mean"),
        Options(Pixels(channels="bgr")),
        Options(Pixels(layout="nchw")),
    ):
        with pytest.raises(BadRequest, match="describes itself"):
            check_import.read(tmp_path / "own.onnx", options)
