"""Heads with one sigmoid per class: fitting, the file, and both readers of the file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from unit.training.stack import starter

from octospoon.adapters.onnx.file_reader import LinearHead
from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.onnx.session import OnnxHead
from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.model_spec import FLOOR, SIGMOID, ModelSpec
from octospoon.domain.task_types.multilabel import metrics
from octospoon.training.head.fit import Head, fit_head
from octospoon.training.model import model_file

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("cat", "dog", "owl")


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings and targets: each class moves an image in a direction of its own."""
    rng = np.random.default_rng(seed)
    targets = (rng.uniform(size=(count, 3)) < [0.5, 0.3, 0.1]).astype(np.int64)
    towards = np.random.default_rng(99).normal(size=(3, 20))
    return (targets @ towards + rng.normal(0, 1.2, (count, 20))).astype(np.float32), targets


def fit_sigmoid_head(embeddings: np.ndarray, targets: np.ndarray) -> Head:
    return fit_head(embeddings, targets, 3, activation=SIGMOID, parts=(8, 12))


def test_a_head_finds_classes_and_is_calibrated() -> None:
    embeddings, targets = drawn(300)
    others, truth = drawn(4000, seed=1)

    fitted = fit_sigmoid_head(embeddings, targets)
    probabilities = 1 / (1 + np.exp(-fitted.logits(others)))

    assert metrics.macro_f1(probabilities, truth) > 0.8
    assert metrics.calibration_error(probabilities, truth) < 0.03
    assert metrics.log_loss(fitted.out_of_fold, targets) == pytest.approx(
        metrics.log_loss(probabilities, truth), abs=0.06
    )
    again = fit_sigmoid_head(embeddings, targets)
    assert np.array_equal(again.weights, fitted.weights)


def test_a_row_hardly_moves_its_own_prediction() -> None:
    embeddings, targets = drawn(40)

    whole = fit_sigmoid_head(embeddings, targets)
    pulled = targets.copy()
    pulled[0] = 1 - pulled[0]
    other = fit_sigmoid_head(embeddings, pulled)

    same = np.abs(whole.out_of_fold[0] - other.out_of_fold[0]).max()
    assert same < 0.15, "the row's own label hardly moves its own prediction, by the calibration alone"


def test_few_labels_of_one_kind_give_finite_probabilities() -> None:
    embeddings, _ = drawn(3)
    for targets in (np.zeros((3, 3), np.int64), np.ones((3, 3), np.int64)):
        fitted = fit_sigmoid_head(embeddings, targets)
        assert np.isfinite(fitted.weights).all()
        assert np.isfinite(fitted.bias).all()
    with pytest.raises(BadRequest, match="no label"):
        fit_sigmoid_head(embeddings[:0], np.zeros((0, 3), np.int64))


def test_file_parts_and_numpy_agree(tmp_path: Path) -> None:
    backbone = model_file.extract_backbone(starter())
    spec = replace(model_file.read_spec(starter()), classes=CLASSES, version=3, activation=SIGMOID)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(spec.dim, 3)).astype(np.float32)
    head = model_file.head_file(weights, np.array([0.0, 40.0, -40.0], np.float32), spec)
    whole = tmp_path / "model.onnx"
    whole.write_bytes(model_file.assemble(backbone, head, spec))
    (tmp_path / "head.onnx").write_bytes(head)
    scorer = OnnxScorer(whole)
    assert scorer.spec == spec
    image = rng.integers(0, 255, (4, spec.height, spec.width, 3), np.uint8)

    embedding, probabilities = scorer.run(image)
    assert probabilities is not None
    for reader in (OnnxHead, LinearHead):
        assert np.allclose(reader(tmp_path / "head.onnx").run(embedding), probabilities, atol=1e-5)
    assert probabilities.min() >= FLOOR / 2 * 0.99
    assert not np.allclose(probabilities.sum(axis=1), 1)
    assert model_file.read_spec(model_file.renumbered(whole.read_bytes(), 4)).activation == SIGMOID


def test_a_softmax_file_is_as_before() -> None:
    spec = ModelSpec(CLASSES, 8, 8, 4, "squash", "b" * 64, 1)

    assert "activation" not in spec.to_metadata()
    assert ModelSpec.from_metadata(spec.to_metadata()) == spec
    with pytest.raises(BadModel, match="activation 'tanh'"):
        ModelSpec.from_metadata(spec.to_metadata() | {"activation": "tanh"})
