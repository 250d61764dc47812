"""Imported models describe input layout, size and number of images in many forms."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from unit.training.exports import (
    IMAGES,
    KERNEL,
    ONE,
    SHAPES,
    answers,
    headed,
    imported_outputs,
    maps,
    model,
    nhwc,
    node,
    plain,
    trunk,
)

from octospoon.domain.errors import BadModel, BadRequest
from octospoon.training.model import check_import
from octospoon.training.model.check_import import Options
from octospoon.training.model.wrap_onnx import Pixels

BATCHES: dict[str, list[onnx.NodeProto]] = {
    "Reshape to [1, D]": [*trunk(), node("Reshape", "gap one", "out")],
    "Reshape to [1, -1]": [*trunk(), node("Reshape", "gap rest", "out")],
    "Reshape to [1, T, D]": [
        *maps(),
        node("Reshape", "maps rows", "flat"),
        node("ReduceMean", "flat", "out", axes=[2], keepdims=0),
    ],
    "a class token of one picture": [
        *maps(),
        node("Reshape", "maps rows", "rows_"),
        node("Concat", "rows_ token", "joined", axis=2),
        node("ReduceMax", "joined", "out", axes=[2], keepdims=0),
    ],
    "no batch behind Squeeze": [*trunk(), node("Squeeze", "gap", "out")],
    "all pictures in one row": [
        *maps(),
        node("Reshape", "maps row", "together"),
        node("ReduceMean", "together", "mean", axes=[1], keepdims=1),
        node("Sub", "gap mean4", "centred"),
        node("Flatten", "centred", "out"),
    ],
}
BATCHES["all pictures in one row"][4:4] = [
    node("Reshape", "mean four", "mean4"),
    node("GlobalAveragePool", "maps", "gap"),
]


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("opset", [8, 12])
def test_a_model_for_one_image_takes_any_number(tmp_path, name, opset):
    made = model(BATCHES[name], shape=ONE, opset=opset, **SHAPES)
    assert np.allclose(imported_outputs(tmp_path, made), plain(made).reshape(4, -1), atol=1e-4)


@pytest.mark.parametrize("opset", [8, 13, 18])
def test_a_classifier_for_one_image_keeps_its_answers(tmp_path, opset):
    nodes = [*trunk(), node("Reshape", "gap one", "row1"), node("Gemm", "row1 w bias", "out")]
    made = model(nodes, shape=ONE, opset=opset, **SHAPES)
    assert np.allclose(imported_outputs(tmp_path, made, headed()), answers(plain(made)), atol=1e-4)


def test_a_batch_of_another_size_is_opened_or_explained(tmp_path):
    four = (4, 3, 24, 24)
    made = model([*trunk(), node("Reshape", "gap all", "out")], shape=four, all=np.array([4, 8]))
    expected = plain(model(trunk(), "pooled"))
    assert np.allclose(imported_outputs(tmp_path, made), expected, atol=1e-4)
    token = np.full((4, 8, 1), 0.5, np.float32)
    nodes = [
        *maps(),
        node("Reshape", "maps rows", "flat"),
        node("Concat", "flat token", "joined", axis=2),
        node("ReduceMax", "joined", "out", axes=[2], keepdims=0),
    ]
    fixed = model(nodes, shape=four, rows=np.array([4, 8, 121]), token=token)
    with pytest.raises(BadModel, match=r"only with a batch size of 4: .* dynamic batch size"):
        imported_outputs(tmp_path, fixed)


def test_what_was_done_about_the_batch_is_told(tmp_path):
    onnx.save(model(BATCHES["a class token of one picture"], shape=ONE, **SHAPES), tmp_path / "m.onnx")
    notes = check_import.read(tmp_path / "m.onnx", Options(Pixels())).recognised
    assert any("one image at a time" in line for line in notes)


@pytest.mark.parametrize("unknown", [-1, 0, None, "", "unk__1", "height"])
def test_unknown_sizes_may_be_written_in_any_form(tmp_path, unknown):
    made = model(trunk(), "pooled", shape=(unknown, 3, unknown, unknown))
    if unknown == -1:
        made.graph.output[0].CopyFrom(helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [-1, 8]))
    embeddings = imported_outputs(tmp_path, made, Options(Pixels(24, 24)))
    assert np.allclose(embeddings, plain(model(trunk(), "pooled")), atol=1e-4)
    with pytest.raises(BadRequest, match="give --size"):
        imported_outputs(tmp_path, made)


@pytest.mark.parametrize("shape", [(-1, -1, -1, -1), None, ("b", 3, 3, 3)])
def test_the_graph_tells_where_the_colours_are(tmp_path, shape):
    sized = Options(Pixels() if shape and shape[2] == 3 else Pixels(24, 24))
    small = {"kernel": KERNEL[:, :, :1, :1]} if shape and shape[2] == 3 else {}
    first = model(trunk(), "pooled", shape=shape, **small)
    last = model(nhwc(trunk("nchw")), "pooled", shape=shape, **small)
    bias = [node("Sub", "input mean", "centred"), *nhwc(trunk("nchw"))]
    bias[1].input[0] = "centred"
    by_mean = model(bias, "pooled", shape=shape, mean=np.array([1, 2, 3], np.float32), **small)
    lines = []
    for made in (first, last, by_mean):
        onnx.save(made, tmp_path / "m.onnx")
        lines.append(check_import.read(tmp_path / "m.onnx", sized).recognised[0])
    assert "nchw" in lines[0]
    assert "nhwc" in lines[1]
    assert "nhwc" in lines[2]


def test_where_nothing_tells_the_layout_it_is_asked_for(tmp_path):
    nodes = [node("Reshape", "input flat", "long"), node("MatMul", "long big", "out")]
    big = np.random.default_rng(2).normal(size=(1728, 8)).astype(np.float32)
    made = model(nodes, shape=("b", -1, -1, -1), flat=np.array([0, -1]), big=big)
    with pytest.raises(BadRequest, match="give --layout"):
        imported_outputs(tmp_path, made, Options(Pixels(24, 24)))
    for layout in ("nchw", "nhwc"):
        embeddings = imported_outputs(tmp_path, made, Options(Pixels(24, 24, layout=layout)))
        assert np.allclose(embeddings, plain(made, last=layout == "nhwc"), atol=1e-3)
    with pytest.raises(BadRequest, match="which is not nhwc"):
        imported_outputs(tmp_path, model(trunk(), "pooled"), Options(Pixels(layout="nhwc")))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.UINT8])
def test_a_model_may_want_blue_green_red(tmp_path, kind):
    start = [node("Cast", "input", "floats", to=TensorProto.FLOAT)] if kind == TensorProto.UINT8 else []
    image = "floats" if start else "input"
    made = model([*start, *trunk(image)], "pooled", kind=kind)
    embeddings = imported_outputs(tmp_path, made, Options(Pixels(channels="bgr")))
    scale = 255 if kind == TensorProto.UINT8 else 1
    expected = plain(model(trunk(), "pooled"), bgr=True)
    assert np.allclose(embeddings, scale * expected, rtol=1e-4, atol=1e-4)
    assert not np.allclose(imported_outputs(tmp_path, made), embeddings, atol=1e-2)


def test_mean_and_std_follow_rgb_in_either_channel_order(tmp_path):
    mean, std = (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)
    embeddings = imported_outputs(
        tmp_path, model(trunk(), "pooled"), Options(Pixels(mean=mean, std=std, channels="bgr"))
    )
    values = (IMAGES.astype(np.float32) / 255 - np.float32(mean)) / np.float32(std)  # type: ignore[operator]
    session = ort.InferenceSession(model(trunk(), "pooled").SerializeToString())
    turned = np.ascontiguousarray(values[..., ::-1].transpose(0, 3, 1, 2))
    assert np.allclose(embeddings, session.run(None, {"input": turned})[0], atol=1e-3)


def test_a_model_that_normalises_bytes_itself_is_pointed_out(tmp_path):
    nodes = [node("Div", "input white", "unit"), *trunk("unit")]
    onnx.save(model(nodes, "pooled", white=np.float32(255)), tmp_path / "m.onnx")
    assert any(
        "--range 255" in line for line in check_import.read(tmp_path / "m.onnx", Options(Pixels())).recognised
    )
    assert not any(
        "note" in line for line in check_import.read(tmp_path / "m.onnx", Options(Pixels(top=255))).recognised
    )
