from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from octospoon.adapters.onnx.session import OnnxHead
from octospoon.domain.evaluation.training_record import EVERY_HEAD
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.training.backbone.side_by_side import Part, side_by_side
from octospoon.training.data.dataset import Dataset
from octospoon.training.head import fit
from octospoon.training.head.cross_fit import cross_fit
from octospoon.training.head.fit import fit_head
from octospoon.training.head.trainer import train_head
from octospoon.training.model import model_file, starter

CLASSES, DIM = 3, 12


def dataset(count: int = 90, audit: int = 30, seed: int = 0, spread: float = 1.0) -> Dataset:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    centres = np.random.default_rng(99).standard_normal((CLASSES, DIM))
    points = (centres[labels] + spread * rng.standard_normal((count, DIM))).astype(np.float32)
    images = tuple(
        LabelledImage(f"{i:04d}", "e", str(labels[i]), 1.0, 1, i < audit, "margin", None, 1)
        for i in range(count)
    )
    return Dataset(images, points, labels, {}).deal(None, CLASSIFICATION.evaluator)


def random_labels(count: int, audit: int) -> Dataset:
    made = dataset(count, audit)
    rng = np.random.default_rng(7)
    points = rng.standard_normal((count, 300)).astype(np.float32)
    return replace(made, embeddings=points, labels=rng.integers(0, CLASSES, count)).deal(
        None, CLASSIFICATION.evaluator
    )


def test_no_fold_head_depends_on_the_labels_of_its_fold():
    made = dataset()
    before = cross_fit(made, CLASSES)
    for at, fold in enumerate(before.record.heads.tolist()):
        own = made.fold_numbers() == fold
        labels = np.where(own, (made.labels + 1) % CLASSES, made.labels)
        points = made.embeddings.copy()
        points[own] += 100
        after = cross_fit(replace(made, labels=labels, embeddings=points), CLASSES)
        assert after.record.weights[at].tobytes() == before.record.weights[at].tobytes()
        assert after.record.bias[at].tobytes() == before.record.bias[at].tobytes()
        assert after.served.weights.tobytes() != before.served.weights.tobytes()


def test_random_labels_are_memorised_by_the_served_head_alone(monkeypatch):
    monkeypatch.setattr(fit, "STRENGTHS", np.array([1e-3]))
    made = random_labels(count=200, audit=100)
    fitted = cross_fit(made, CLASSES)
    audit = np.array([image.audit for image in made.images])
    served = fitted.served.logits(made.embeddings).argmax(axis=1) == made.labels
    held_out = fitted.held_out.argmax(axis=1) == made.labels
    assert served[audit].mean() > 0.95
    assert held_out[audit].mean() < 1 / CLASSES + 0.15
    assert held_out[~audit].mean() < 1 / CLASSES + 0.15


def test_served_head_is_fitted_on_every_label():
    made = dataset()
    fitted = cross_fit(made, CLASSES)
    every = fit_head(made.embeddings, made.labels, CLASSES)
    assert fitted.served.weights.tobytes() == every.weights.tobytes()
    assert len(fitted.record.images) == len(made)


def test_a_fold_head_sees_all_labels_outside_its_fold():
    made = dataset()
    fitted = cross_fit(made, CLASSES)
    rows = made.fold_numbers() != 2
    alone = fit_head(made.embeddings[rows], made.labels[rows], CLASSES)
    at = fitted.record.heads.tolist().index(2)
    assert fitted.record.weights[at].tobytes() == alone.weights.tobytes()


@pytest.mark.parametrize(("count", "audit"), [(1, 1), (1, 0), (3, 3), (6, 2)])
def test_few_labels_are_enough(count, audit):
    fitted = cross_fit(dataset(count, audit), CLASSES)
    assert len(fitted.record.heads) == audit
    assert np.isfinite(fitted.record.weights).all()
    assert np.isfinite(fitted.held_out[:audit]).all()


def test_without_dealt_folds_nothing_can_judge_an_image():
    fitted = cross_fit(replace(dataset(), dealt=None), CLASSES)
    assert (fitted.record.folds == EVERY_HEAD).all()
    assert not len(fitted.record.heads)


def test_the_same_labels_give_the_same_heads():
    first, second = (cross_fit(dataset(), CLASSES) for _ in range(2))
    assert first.record.weights.tobytes() == second.record.weights.tobytes()


def test_fold_heads_answer_as_a_head_file_does(tmp_path):
    made = dataset()
    record = cross_fit(made, CLASSES).record
    spec = replace(
        model_file.read_spec(model_file.starter_model()), classes=("a", "b", "c"), dim=DIM, version=1
    )
    file = tmp_path / "head.onnx"
    file.write_bytes(model_file.head_file(record.weights[1], record.bias[1], spec))
    theirs = OnnxHead(file).run(made.embeddings)
    assert np.allclose(record.run(int(record.heads[1]), made.embeddings), theirs, atol=1e-6)


def test_every_head_knows_the_parts_of_its_backbone():
    parts = [Part("left", starter.build(dim=5), 1.0), Part("right", starter.build(dim=7), 2.0)]
    backbone = side_by_side(parts)
    spec = replace(
        model_file.read_spec(model_file.starter_model()),
        classes=("a", "b", "c"),
        dim=DIM,
        version=1,
        backbone=model_file.sha256(backbone),
    )
    made = dataset()
    trained = train_head(backbone, made, spec)
    expected = cross_fit(made, CLASSES, parts=(5, 7))
    assert len(trained.params["part_shares"].split(", ")) == 2
    assert trained.record.weights.tobytes() == expected.record.weights.tobytes()
    weights, bias = model_file.extract_head(trained.model)
    assert np.array_equal(weights, expected.served.weights)
    assert np.array_equal(bias, expected.served.bias)
