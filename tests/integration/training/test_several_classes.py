"""A training job whose images have any number of classes."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from unit.training.stack import JOB, World, starter

from octospoon.adapters.onnx.session import OnnxHead
from octospoon.adapters.s3.training_records import packed, unpacked
from octospoon.cli.datasets import digits
from octospoon.domain.errors import NotConfigured
from octospoon.domain.model_spec import SIGMOID, SOFTMAX
from octospoon.domain.task_types.multilabel import MULTILABEL, metrics
from octospoon.domain.training.backbone_change import BackboneChange, Candidate
from octospoon.training.finetune.trainer import FineTuner
from octospoon.training.head.fit import fit_head
from octospoon.training.head.requested_backbone import RequestedBackbone
from octospoon.training.head.trainer import train_head
from octospoon.training.job.run import Outcome, run
from octospoon.training.model import model_file
from octospoon.training.model import starter as scattering
from octospoon.usecases.live_evaluation import EvaluateLive

if TYPE_CHECKING:
    from octospoon.training.data.dataset import Dataset

CLASSES = ("even", "loop", "large")
SECOND = "train-000002"


def names(index: int) -> list[str]:
    """Return the classes of a digit: 1 and 3 have none, 8 has all."""
    digit = int(digits.labels()[index])
    there = {"even": digit % 2 == 0, "loop": digit in (0, 6, 8, 9), "large": digit >= 5}
    return sorted(name for name, held in there.items() if held)


def labelled(count: int = 150, audit: int = 60) -> World:
    made = World()
    made.ports = replace(made.ports, task_type=MULTILABEL, classes=CLASSES)
    for index in range(count):
        add(made, index, audit=index < audit)
    made.serve(starter())
    return made


def add(made: World, index: int, *, audit: bool = False) -> None:
    strategy = "random" if index % 3 == 0 else "margin_diverse"
    label = json.dumps(names(index), separators=(",", ":"))
    made.label(index, label, audit=audit, strategy=strategy, round_number=1 + index // 40)


@pytest.fixture(scope="module")
def trained() -> World:
    made = labelled()
    assert run(JOB, made.ports) is Outcome.PROMOTED, made.control.state().reason
    return made


def test_the_model_predicts_each_class_by_itself(trained, tmp_path):
    pointer = trained.champions.current
    spec = model_file.read_spec(trained.champions.files[pointer.sha256])
    assert (spec.activation, spec.classes) == (SIGMOID, CLASSES)
    scorer = trained.ports.open_model(trained.champions.fetch(pointer, tmp_path))
    images = [scorer.preprocess(digits.png_bytes(i)).pixels[None] for i in range(300, 400)]
    probabilities = np.stack([scorer.predict(image)[0].probabilities for image in images])
    truth = np.array([[name in names(i) for name in CLASSES] for i in range(300, 400)], np.int64)
    assert metrics.macro_f1(probabilities, truth) > 0.85


def test_fold_heads_have_sigmoids_after_storage(trained):
    stored = trained.training_records.get(trained.champions.current)
    assert stored.activation == SIGMOID
    read = unpacked(packed(stored))
    points = np.stack([trained.pool.table[f"{i:04d}.png"].prediction.embedding for i in range(60)])
    answers = read.run(int(read.heads[0]), points)
    assert np.array_equal(answers, stored.run(int(read.heads[0]), points))
    assert not np.allclose(answers.sum(axis=1), 1)


def test_a_softmax_record_has_the_bytes_of_earlier_releases(trained):
    record = replace(trained.training_records.get(trained.champions.current), activation=SOFTMAX)
    with np.load(io.BytesIO(packed(record))) as arrays:
        assert "activation" not in arrays
    assert unpacked(packed(record)).activation == SOFTMAX


def test_metrics_are_those_of_several_classes(trained):
    measured = trained.registry.metrics
    assert measured["macro_f1_low"] <= measured["macro_f1"] <= measured["macro_f1_high"]
    assert {"micro_f1", "subset_accuracy", "cross_validated_macro_f1"} <= measured.keys()
    assert measured["next_batch_gain_low"] <= measured["next_batch_gain_high"]
    assert 0 < measured["control_macro_f1"] <= 1
    assert measured["strategy_lead_low"] <= measured["strategy_lead_high"]
    assert not [name for name in measured if "accuracy" in name and name.split("_")[0] != "subset"]


def test_the_run_shows_classes_thresholds_and_mistakes(trained):
    files = trained.registry.logged[1]
    rows = list(csv.DictReader(io.StringIO(files["classes.csv"].decode())))
    assert [row["class"] for row in rows] == list(CLASSES)
    for row in rows:
        for name in ("recall", "precision"):
            assert float(row[f"{name}_low"]) <= float(row[name]) <= float(row[f"{name}_high"])
    thresholds = list(csv.DictReader(io.StringIO(files["thresholds.csv"].decode())))
    recalls = [float(row["micro_recall"]) for row in thresholds]
    assert recalls == sorted(recalls, reverse=True)
    assert float(thresholds[9]["macro_f1"]) == pytest.approx(trained.registry.metrics["macro_f1"], abs=1e-4)
    assert "confusion.json" not in files
    for name in ("mistakes.png", "evaluation.png"):
        with Image.open(io.BytesIO(files[name])) as sheet:
            assert sheet.format == "PNG"


def test_the_live_evaluation_is_that_of_the_job(trained, tmp_path):
    evaluate = EvaluateLive(trained.pool, trained.labels, trained.training_records, MULTILABEL)
    pointer = trained.champions.current
    live = evaluate(pointer, OnnxHead(trained.champions.fetch_head(pointer, tmp_path)))
    assert live.evaluation.accuracy.value == pytest.approx(trained.registry.metrics["macro_f1"], abs=1e-6)
    assert live.fold_heads == 60


def shuffled(backbone: bytes, dataset: Dataset, spec):
    mixed = np.random.default_rng(0).permutation(dataset.labels)
    return train_head(backbone, replace(dataset, labels=mixed), spec)


def lost_class(backbone: bytes, dataset: Dataset, spec):
    """Learn that no image has the second class."""
    labels = dataset.labels.copy()
    labels[:, 1] = 0
    return train_head(backbone, replace(dataset, labels=labels), spec)


@pytest.mark.parametrize(
    ("trainer", "outcome", "reason"),
    [
        (train_head, Outcome.PROMOTED, "macro F1 "),
        (shuffled, Outcome.REFUSED, "worse than the model in service: macro F1"),
        (lost_class, Outcome.REFUSED, "recall of loop fell"),
    ],
)
def test_a_successor_is_compared_by_macro_f1(trained, trainer, outcome, reason):
    made = trained.copied()
    for index in range(150, 220):
        add(made, index)
    made.launch(SECOND)

    assert run(SECOND, replace(made.ports, trainer=trainer)) is outcome
    assert reason in made.registry.tags[2]["octospoon.reasons"]


def test_a_requested_backbone_learns_several_classes(trained):
    made = trained.copied()
    backbone = scattering.build(shrink=2)
    model = model_file.assemble(backbone, None, model_file.backbone_spec(backbone, "squash"))
    candidate = Candidate("another", made.champions.put_model(model, None)[0], model_file.sha256(backbone))
    made.control.change_backbone(BackboneChange(candidate, made.champions.current))
    trainer = RequestedBackbone(made.images, made.champions, candidate, MULTILABEL)
    made.launch(SECOND)

    outcome = run(SECOND, replace(made.ports, trainer=trainer, candidate=candidate))

    assert outcome is Outcome.PROMOTED, made.control.state().reason
    spec = model_file.read_spec(made.champions.files[made.champions.current.sha256])
    assert (spec.activation, spec.backbone) == (SIGMOID, candidate.backbone)


def test_fine_tuning_refuses_several_classes_by_name():
    made = labelled(30, 10)
    with pytest.raises(NotConfigured, match="Trainer=finetune learns one class per image"):
        run(JOB, replace(made.ports, trainer=FineTuner(made.images)))
    assert "TaskType=multilabel" in made.control.state().reason


def test_balanced_weights_raise_the_recall_of_a_rare_class():
    rng = np.random.default_rng(0)
    targets = (rng.uniform(size=(600, 3)) < [0.5, 0.5, 0.05]).astype(np.int64)
    points = (targets @ rng.normal(size=(3, 12)) + rng.normal(0, 1.2, (600, 12))).astype(np.float32)
    recalls = []
    for balanced in (False, True):
        head = fit_head(points[:300], targets[:300], 3, activation=SIGMOID, balanced=balanced)
        there = targets[300:, 2] == 1
        recalls.append((head.probabilities(points[300:])[there, 2] >= 0.5).mean())
    assert recalls[1] > recalls[0]
