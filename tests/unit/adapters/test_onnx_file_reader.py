from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from octospoon.adapters.onnx.file_reader import LinearHead, read_spec
from octospoon.adapters.onnx.session import OnnxHead
from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import ModelSpec
from octospoon.training.model import model_file, starter

DIM, CLASSES = 7, ("cat", "dog", "日本")
SPEC = ModelSpec(CLASSES, 32, 32, DIM, "cover", "a" * 64, 12)


def head(seed: int = 0, scale: float = 1.0) -> bytes:
    random = np.random.default_rng(seed)
    weights, bias = random.normal(size=(DIM, len(CLASSES))), random.normal(size=len(CLASSES))
    return model_file.head_file((scale * weights).astype(np.float32), bias.astype(np.float32), SPEC)


def stored(folder: Path, data: bytes) -> Path:
    path = folder / "head.onnx"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("scale", [1.0, 50.0, 1e4])
def test_numpy_and_onnxruntime_agree_on_a_head(tmp_path: Path, scale: float) -> None:
    path = stored(tmp_path, head(scale=scale))
    embeddings = np.random.default_rng(1).normal(size=(500, DIM)).astype(np.float32)
    ours, theirs = LinearHead(path).run(embeddings), OnnxHead(path).run(embeddings)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_no_embedding_has_no_probabilities(tmp_path: Path) -> None:
    assert LinearHead(stored(tmp_path, head())).run(np.empty((0, DIM), np.float32)).shape == (0, 3)


def test_wrong_length_of_embedding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="failed on its input"):
        LinearHead(stored(tmp_path, head())).run(np.zeros((2, DIM + 1), np.float32))


def test_spec_is_read_from_every_kind_of_file(tmp_path: Path) -> None:
    starter_model = model_file.starter_model()
    backbone = starter.build()
    spec = model_file.backbone_spec(backbone, starter.RESIZE)
    whole = model_file.assemble(backbone, None, spec)
    for data in (head(), starter_model, whole):
        assert read_spec(stored(tmp_path, data)) == model_file.read_spec(data)


def test_file_that_is_no_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="not a head of octospoon"):
        LinearHead(stored(tmp_path, model_file.starter_model()))


@given(cut=st.integers(0, len(head()) - 1))
def test_head_that_was_cut_off_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path, embedding = stored(tmp_path_factory.mktemp("cut"), head()[:cut]), np.ones((1, DIM), np.float32)
    try:
        probabilities = LinearHead(path).run(embedding)
    except BadModel:
        return
    # only what follows the graph, the metadata, may be missing unnoticed
    assert np.array_equal(probabilities, LinearHead(stored(path.parent, head())).run(embedding))


@given(data=st.binary(max_size=200))
def test_bytes_that_are_no_model_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = stored(tmp_path_factory.mktemp("noise"), data)
    for read in (LinearHead, read_spec):
        with pytest.raises(BadModel):
            read(path)
