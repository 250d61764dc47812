from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.onnx.session import OnnxHead
from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import FLOOR
from octospoon.training.model import model_file, starter
from octospoon.training.model.model_file import (
    assemble,
    backbone_spec,
    extract_backbone,
    head_file,
    read_spec,
)

CLASSES = ("cat", "dög", "cow, brown")


@pytest.fixture(name="backbone", scope="module")
def built() -> bytes:
    return starter.build(32, 64)


@pytest.fixture(name="parts")
def layer(backbone):
    rng = np.random.default_rng(0)
    spec = replace(backbone_spec(backbone, "squash"), classes=CLASSES, version=7)
    weights = rng.standard_normal((64, 3)).astype(np.float32)
    return spec, head_file(weights, np.zeros(3, np.float32), spec), weights


def noise(n: int = 4, size: int = 32) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def scorer(tmp_path, data: bytes) -> OnnxScorer:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    return OnnxScorer(path)


def test_the_backbone_is_the_same_bytes_every_time(backbone):
    assert starter.build(32, 64) == backbone
    assert starter.build(48, 64) != backbone


def test_backbone_answers_are_the_same_in_any_batch_size(tmp_path, backbone):
    model = scorer(tmp_path, assemble(backbone, None, backbone_spec(backbone, "squash")))
    together, none = model.run(noise())
    assert none is None
    assert together.shape == (4, 64)
    assert np.allclose(together[2], model.run(noise()[2:3])[0][0], atol=1e-4)


def test_what_scattering_is_for(tmp_path, backbone):
    """A shift by a pixel moves the embedding less than another image does."""
    model = scorer(tmp_path, assemble(backbone, None, backbone_spec(backbone, "squash")))
    y, x = np.mgrid[:32, :32]
    bars = [
        np.repeat((127 + 120 * np.sin(wave))[..., None], 3, -1).astype(np.uint8) for wave in (x / 2, y / 2)
    ]
    shifted = np.roll(bars[0], 1, axis=1)
    embeddings, _ = model.run(np.stack([*bars, shifted, np.full((32, 32, 3), 128, np.uint8)]))
    near = np.linalg.norm(embeddings[0] - embeddings[2])
    assert near < 0.3 * np.linalg.norm(embeddings[0] - embeddings[1])
    assert np.isfinite(embeddings.astype(np.float16)).all()


def test_wavelets_have_zero_mean_and_their_own_direction():
    for scale in range(starter.SCALES):
        for angle in range(starter.ANGLES):
            assert abs(starter.morlet(scale, angle).sum()) < 1e-12
    x = np.exp(1j * 0.75 * np.pi * np.arange(-4, 5))[np.newaxis, :]
    answers = [abs((starter.morlet(0, angle) * x.conj()).sum()) for angle in range(8)]
    assert int(np.argmax(answers)) == 0


def test_a_size_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        starter.build(30)


def test_whole_file_describes_itself_and_computes_as_its_parts(tmp_path, backbone, parts):
    spec, head, weights = parts
    model = scorer(tmp_path, assemble(backbone, head, spec))
    assert model.spec == spec
    embedding, probabilities = model.run(noise())
    (tmp_path / "head.onnx").write_bytes(head)
    assert np.allclose(OnnxHead(tmp_path / "head.onnx").run(embedding), probabilities, atol=1e-6)
    logits = embedding @ weights
    softmax = np.exp(logits - logits.max(1, keepdims=True))
    softmax /= softmax.sum(1, keepdims=True)
    assert np.allclose(probabilities, softmax, atol=1.1e-4)
    assert probabilities.min() >= 0.99 * FLOOR / 3
    assert probabilities.astype(np.float16).min() > 0


def test_the_stored_float16_embedding_serves_the_head_as_well(tmp_path, backbone, parts):
    spec, head, _ = parts
    model = scorer(tmp_path, assemble(backbone, head, spec))
    embedding, probabilities = model.run(noise())
    (tmp_path / "head.onnx").write_bytes(head)
    rounded = embedding.astype(np.float16).astype(np.float32)
    assert np.allclose(OnnxHead(tmp_path / "head.onnx").run(rounded), probabilities, atol=0.02)


def test_the_backbone_comes_back_byte_for_byte(backbone, parts):
    spec, head, _ = parts
    assert extract_backbone(assemble(backbone, head, spec)) == backbone
    assert extract_backbone(model_file.starter_model()) == starter.build()


def test_assembling_gives_the_same_bytes_every_time(backbone, parts):
    spec, head, _ = parts
    assert assemble(backbone, head, spec) == assemble(backbone, head, spec)


def test_a_model_that_names_another_backbone_is_refused(backbone, parts):
    spec, head, _ = parts
    with pytest.raises(BadModel, match="import it again"):
        extract_backbone(assemble(backbone, head, replace(spec, backbone="0" * 64)))


def test_classes_without_a_head_are_refused(backbone, parts):
    spec, _, _ = parts
    with pytest.raises(BadModel, match="if and only if"):
        assemble(backbone, None, spec)


def test_the_starter_model_is_a_cold_start_model():
    spec = read_spec(model_file.starter_model())
    assert (spec.version, spec.has_head, spec.height, spec.width, spec.dim) == (0, False, 32, 32, 512)


def test_an_imported_backbone_survives_the_round_trip():
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 4, 4, 3])
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 48])
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 48])
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "shape"], ["embedding"]),
    ]
    graph = helper.make_graph(nodes, "flat", [image], [out], [shape])
    imported = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7)
    helper.set_model_props(imported, {"author": "somebody"})
    backbone = model_file.canonical(imported.SerializeToString())
    spec = replace(backbone_spec(backbone, "cover"), classes=("a", "b"), version=1)
    head = head_file(np.ones((48, 2), np.float32), np.zeros(2, np.float32), spec)
    assert extract_backbone(assemble(backbone, head, spec)) == backbone


def test_a_backbone_of_the_wrong_shape_is_named():
    image = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, 4, 4])
    graph = helper.make_graph([helper.make_node("Identity", ["pixels"], ["o"])], "g", [image], [])
    graph.output.append(helper.make_tensor_value_info("o", TensorProto.FLOAT, ["N", 3, 4, 4]))
    with pytest.raises(BadModel, match="pixels"):
        backbone_spec(onnx.helper.make_model(graph).SerializeToString(), "squash")
