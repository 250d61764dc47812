"""Imported models give the same results as the original files for the same pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from unit.training.networks import FEATURES, network

from octospoon.cli.datasets import digits
from octospoon.domain.errors import BadImage, BadModel, BadRequest
from octospoon.domain.evaluation.gate import Rules
from octospoon.domain.model_spec import FLOOR
from octospoon.training.model import check_import, model_file
from octospoon.training.model.check_import import Imported, Options
from octospoon.training.model.wrap_onnx import Pixels

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("cat", "dog", "owl")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)


def import_model(
    tmp_path: Path, model: onnx.ModelProto, options: Options, classes: tuple[str, ...] = NAMES
) -> Imported:
    onnx.save(model, tmp_path / "theirs.onnx")
    return check_import.fitted(check_import.read(tmp_path / "theirs.onnx", options), classes)


def ours(model: Imported) -> list[np.ndarray]:
    return ort.InferenceSession(model.model).run(None, {"image": IMAGES})


def theirs(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    return ort.InferenceSession(model.SerializeToString()).run(None, {"image": values})[0]


def normalised() -> np.ndarray:
    values = (IMAGES.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)  # type: ignore[operator]
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("last", ["gemm", "gemm-transposed", "matmul", "matmul-add"])
@pytest.mark.parametrize("softmax", [True, False])
def test_a_classifier_keeps_its_answers(tmp_path, last, softmax):
    model = network(last=last, softmax=softmax)
    imported = import_model(tmp_path, model, Options(Pixels(mean=MEAN, std=STD), classes=NAMES))
    embedding, probabilities = ours(imported)
    expected = theirs(network(last=last), normalised())
    assert embedding.shape == (4, FEATURES)
    assert np.allclose(probabilities, (1 - FLOOR) * expected + FLOOR / 3, atol=1e-5)
    assert np.allclose(embedding, theirs(network(last="pooled"), normalised()), atol=1e-5)
    assert imported.spec.classes == NAMES
    assert model_file.sha256(model_file.extract_backbone(imported.model)) == imported.spec.backbone


def test_the_classes_are_put_into_the_order_of_the_project(tmp_path):
    model = network()
    straight = ours(import_model(tmp_path, model, Options(Pixels(), classes=NAMES)))[1]
    turned = import_model(tmp_path, model, Options(Pixels(), classes=NAMES), ("owl", "cat", "dog"))
    assert turned.spec.classes == ("owl", "cat", "dog")
    assert np.array_equal(ours(turned)[1], straight[:, [2, 0, 1]])


@pytest.mark.parametrize("last", ["maps", "pooled"])
def test_features_and_feature_maps_become_an_embedding(tmp_path, last):
    imported = import_model(tmp_path, network(last=last), Options(Pixels(mean=MEAN, std=STD)))
    assert imported.head is None
    assert imported.spec.classes == ()
    assert np.allclose(ours(imported)[0], theirs(network(last="pooled"), normalised()), atol=1e-5)


def test_any_tensor_can_be_the_embedding_and_ends_the_graph(tmp_path):
    imported = import_model(tmp_path, network(), Options(Pixels(mean=MEAN, std=STD), output="maps"))
    assert np.allclose(ours(imported)[0], theirs(network(last="pooled"), normalised()), atol=1e-5)
    assert b"weights" not in imported.model


def test_model_that_takes_raw_bytes_normalises_them_itself(tmp_path):
    model = network(first="NHWC", kind=TensorProto.UINT8, last="pooled")
    assert np.allclose(
        ours(import_model(tmp_path, model, Options(Pixels())))[0], theirs(model, IMAGES), rtol=1e-5
    )
    with pytest.raises(BadRequest, match="leave out --mean"):
        import_model(tmp_path, model, Options(Pixels(mean=MEAN)))


def test_a_model_of_half_floats_gives_floats(tmp_path):
    model = network(kind=TensorProto.FLOAT16, last="pooled")
    half = (IMAGES.astype(np.float32) / 255).transpose(0, 3, 1, 2).astype(np.float16)
    (embedding,) = ours(import_model(tmp_path, model, Options(Pixels())))
    assert embedding.dtype == np.float32
    assert np.allclose(embedding, theirs(model, half), atol=2e-2)


def test_channels_last_and_pixels_to_255(tmp_path):
    model = network(first="NHWC", last="pooled")
    (embedding,) = ours(import_model(tmp_path, model, Options(Pixels(top=255, mean=(1, 2, 3)))))
    values = IMAGES.astype(np.float32) - np.float32([1, 2, 3])  # type: ignore[operator]
    assert np.allclose(embedding, theirs(model, values), rtol=1e-4)


def test_old_file_that_lists_constants_as_inputs_is_accepted(tmp_path):
    model = network(last="pooled")
    model.ir_version = 3
    for constant in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims)
        )
    expected = ours(import_model(tmp_path, network(last="pooled"), Options(Pixels())))
    assert np.array_equal(ours(import_model(tmp_path, model, Options(Pixels()))), expected)


def test_weights_beside_the_file_are_taken_in(tmp_path):
    model = network(last="pooled")
    onnx.save(model, tmp_path / "beside.onnx", save_as_external_data=True, size_threshold=0)
    parts = check_import.read(tmp_path / "beside.onnx", Options(Pixels()))
    assert ours(check_import.fitted(parts, NAMES))[0].shape == (4, FEATURES)


def test_a_size_comes_from_the_file_or_from_the_options(tmp_path):
    free = network(size="side", last="pooled")
    assert import_model(tmp_path, free, Options(Pixels(32, 40))).spec.width == 40
    with pytest.raises(BadRequest, match="give --size"):
        import_model(tmp_path, free, Options(Pixels()))
    with pytest.raises(BadRequest, match="24x24: leave out --size"):
        import_model(tmp_path, network(), Options(Pixels(32, 32)))


def test_what_does_not_fit_is_said(tmp_path):
    with pytest.raises(BadRequest, match="tells 3 classes apart, --classes names 2"):
        import_model(tmp_path, network(), Options(Pixels(), classes=("cat", "dog")))
    with pytest.raises(BadRequest, match="the project's cat, dog"):
        import_model(tmp_path, network(), Options(Pixels(), classes=NAMES), ("cat", "dog"))
    with pytest.raises(BadModel, match="import it without --classes"):
        import_model(tmp_path, network(last="convolution"), Options(Pixels(), classes=NAMES))
    with pytest.raises(BadRequest, match="is a classifier: name its classes"):
        import_model(tmp_path, network(), Options(Pixels()))
    with pytest.raises(BadRequest, match="no tensor 'other'; its outputs are embedding"):
        import_model(tmp_path, network(), Options(Pixels(), output="other"))
    with pytest.raises(BadRequest, match="need three numbers each"):
        import_model(tmp_path, network(), Options(Pixels(mean=(1.0,))))
    with pytest.raises(BadRequest, match="std must be positive"):
        import_model(tmp_path, network(), Options(Pixels(std=(1, 0, 1))))
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(BadModel, match="cannot be read as ONNX"):
        check_import.read(tmp_path / "text.onnx", Options(Pixels()))


def test_a_model_without_one_image_is_refused(tmp_path):
    model = network()
    model.graph.input.append(helper.make_tensor_value_info("text", TensorProto.INT64, ["n"]))
    with pytest.raises(BadModel, match="inputs are image, text"):
        import_model(tmp_path, model, Options(Pixels()))
    model = network(first="NHWC")
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 4
    with pytest.raises(BadModel, match=r"\[N, 3, H, W\]"):
        import_model(tmp_path, model, Options(Pixels()))


def test_octospoons_own_file_is_taken_as_it_is(tmp_path):
    first = import_model(tmp_path, network(), Options(Pixels(mean=MEAN, std=STD), classes=NAMES))
    (tmp_path / "own.onnx").write_bytes(model_file.renumbered(first.model, 7))
    again = check_import.fitted(check_import.read(tmp_path / "own.onnx", Options(Pixels())), NAMES)
    assert again == first
    with pytest.raises(BadRequest, match="describes itself"):
        check_import.read(tmp_path / "own.onnx", Options(Pixels(), resize="squash"))


def test_a_changed_file_of_octospoons_becomes_a_backbone(tmp_path):
    first = import_model(tmp_path, network(), Options(Pixels(), classes=NAMES))
    model = onnx.load_from_string(first.model)
    model.doc_string = "changed"
    onnx.save(model, tmp_path / "changed.onnx")
    again = check_import.fitted(check_import.read(tmp_path / "changed.onnx", Options(Pixels())), NAMES)
    assert again.head is None
    assert np.array_equal(ours(again)[0], ours(first)[0])
    model_file.extract_backbone(again.model)


def test_a_model_is_tried_on_an_image(tmp_path):
    model = import_model(tmp_path, network(), Options(Pixels(mean=MEAN, std=STD), classes=NAMES))
    prediction, seconds = check_import.check(model, digits.png_bytes(0), Rules())
    assert prediction.probabilities.shape == (3,)
    assert 0 < seconds < 1
    with pytest.raises(BadImage):
        check_import.check(model, b"no picture", Rules())
    with pytest.raises(BadModel, match="a function has room for 10"):
        check_import.check(model, digits.png_bytes(0), replace(Rules(), most_bytes=10))
    with pytest.raises(BadModel, match="smaller --size"):
        check_import.check(model, digits.png_bytes(0), replace(Rules(), most_seconds=0))


def test_a_model_that_sees_nothing_is_refused(tmp_path):
    blind = import_model(tmp_path, network(last="pooled"), Options(Pixels(mean=(1e6,) * 3, std=(1e-9,) * 3)))
    with pytest.raises(BadModel, match="which the pool cannot store"):
        check_import.check(blind, digits.png_bytes(0), Rules())
    dark = import_model(tmp_path, network(last="pooled"), Options(Pixels(std=(1e9,) * 3, mean=(-5e8,) * 3)))
    with pytest.raises(BadModel, match="same embedding"):
        check_import.check(dark, digits.png_bytes(0), Rules())
