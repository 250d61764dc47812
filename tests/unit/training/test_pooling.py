"""Feature maps and tokens of imported models become the right embedding, or an option is required."""

from __future__ import annotations

import numpy as np
import pytest
from unit.training.exports import (
    ANY,
    EXTRA,
    SCALE,
    SHIFT,
    imported_outputs,
    maps,
    model,
    nhwc,
    node,
    plain,
    trunk,
)

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.training.model.check_import import Options
from octospoon.training.model.wrap_onnx import Pixels

MAPS = {
    "a Transpose at the end": [node("Transpose", "maps", "out", perm=[0, 2, 3, 1])],
    "a Transpose and ReLU behind it": [
        node("Transpose", "maps", "turned", perm=[0, 2, 3, 1]),
        node("Relu", "turned", "out"),
    ],
    "two Transposes": [
        node("Transpose", "maps", "once", perm=[0, 2, 3, 1]),
        node("Transpose", "once", "out", perm=[0, 2, 1, 3]),
    ],
    "LayerNormalization over the channels": [
        node("Transpose", "maps", "turned", perm=[0, 2, 3, 1]),
        node("LayerNormalization", "turned scale shift", "out", axis=-1),
    ],
    "windows put together again": [
        node("Transpose", "maps", "turned", perm=[0, 2, 3, 1]),
        node("Reshape", "turned tokens", "sequence"),
        node("Reshape", "sequence grid", "joined"),
        node("Mul", "joined scale", "scaled"),
        node("Add", "scaled shift", "out"),
    ],
    "a product with weights": [
        node("Transpose", "maps", "turned", perm=[0, 2, 3, 1]),
        node("Reshape", "turned grid", "joined"),
        node("MatMul", "joined square", "out"),
    ],
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("last", [False, True])
def test_maps_with_channels_last_are_averaged_over_height_and_width(tmp_path, name, last):
    nodes = [*(nhwc(maps("nchw")) if last else maps()), *MAPS[name]]
    made = model(nodes, shape=("b", 24, 24, 3) if last else ANY, **EXTRA)
    expected = plain(made, last=last).mean((1, 2))
    assert expected.shape == (4, 8)
    assert np.allclose(imported_outputs(tmp_path, made), expected, atol=1e-4)


@pytest.mark.parametrize(
    "end",
    [
        [],
        [node("Mul", "maps scale", "scaled"), node("Add", "scaled shift", "more")],
        [node("Concat", "maps maps", "more", axis=1)],
    ],
)
def test_maps_with_channels_first_are_averaged_over_height_and_width(tmp_path, end):
    column = {"scale": SCALE[:, None, None], "shift": SHIFT[None, :, None, None]}
    made = model([*maps(), *end, node("Identity", "more" if end else "maps", "out")], **column)
    assert np.allclose(imported_outputs(tmp_path, made), plain(made).mean((2, 3)), atol=1e-4)


def test_maps_whose_axes_nothing_tells_are_asked_about(tmp_path):
    nodes = [*maps(), node("Reshape", "maps same", "out")]
    made = model(nodes, same=np.array([0, 8, 11, 11]))
    with pytest.raises(BadRequest, match="--pool nchw or --pool nhwc"):
        imported_outputs(tmp_path, made)
    first = imported_outputs(tmp_path, made, Options(Pixels(), pool="nchw"))
    assert np.allclose(first, plain(made).mean((2, 3)), atol=1e-4)
    second = imported_outputs(tmp_path, made, Options(Pixels(), pool="nhwc"))
    assert np.allclose(second, plain(made).mean((1, 2)), atol=1e-4)
    with pytest.raises(BadRequest, match="--pool mean does not fit"):
        imported_outputs(tmp_path, made, Options(Pixels(), pool="mean"))


@pytest.mark.parametrize(
    "end",
    [
        [node("GlobalAveragePool", "maps", "out")],
        [node("GlobalAveragePool", "maps", "gap"), node("Transpose", "gap", "out", perm=[0, 2, 3, 1])],
        [
            node("ReduceMean", "maps", "mean", axes=[3]),
            node("ReduceMean", "mean", "out", axes=[2], keepdims=0),
        ],
        [
            node("Transpose", "maps", "turned", perm=[0, 2, 3, 1]),
            node("ReduceMean", "turned", "out", axes=[1, 2], keepdims=1),
        ],
    ],
)
def test_averages_that_keep_their_axes_are_taken_as_they_are(tmp_path, end):
    made = model([*maps(), *end])
    expected = plain(made, output="maps").mean((2, 3))
    assert np.allclose(imported_outputs(tmp_path, model([*maps(), *end])), expected, atol=1e-4)


def test_tokens_are_asked_about(tmp_path):
    nodes = [
        *maps(),
        node("Transpose", "maps", "turned", perm=[0, 2, 3, 1]),
        node("Reshape", "turned tokens", "out"),
    ]
    made = model(nodes, tokens=EXTRA["tokens"])
    with pytest.raises(BadRequest, match="--pool first or --pool mean"):
        imported_outputs(tmp_path, made)
    mean, first = (
        imported_outputs(tmp_path, made, Options(Pixels(), pool=pool)) for pool in ("mean", "first")
    )
    assert np.allclose(mean, plain(made).mean(1), atol=1e-4)
    assert np.allclose(first, plain(made)[:, 0], atol=1e-4)


def test_one_number_is_no_embedding(tmp_path):
    made = model([*trunk(), node("ReduceMean", "pooled", "out", axes=[1])])
    with pytest.raises(BadModel, match="one number"):
        imported_outputs(tmp_path, made)
