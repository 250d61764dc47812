"""The loop with octospoon's own detector: test_boxes.py runs this in the environment that has PyTorch."""

from __future__ import annotations

import pytest
from integration.training.box_loop import BoxLoop
from unit.training.strided import strided

from octospoon.training.detector.options import DetectorOptions
from octospoon.training.detector.trainer import DetectorTrainer
from octospoon.training.job.run import Outcome
from octospoon.training.model import model_file

CLASSES = ("red", "dark red")
OPTIONS = DetectorOptions(epochs=1, least_steps=150, batch_size=4, views=2, learning_rate=0.004)


@pytest.fixture(scope="module", name="trained")
def first_detector() -> BoxLoop:
    made = BoxLoop(CLASSES, strided(64, 96), batch=60)
    made.drop_images(range(150))
    made.next_batch()
    (job,) = made.answer_all()
    outcome = made.train(job, DetectorTrainer(made.images, OPTIONS, "cpu", threads=1))
    assert outcome is Outcome.PROMOTED, made.control.state().reason
    return made


def test_first_detector_is_trained_and_serves(trained: BoxLoop):
    print("AP50 on the audit share:", trained.registry.metrics["audit_ap50"])
    assert trained.registry.metrics["audit_ap50"] > 0.6
    assert trained.champions.current is not None
    spec = model_file.read_spec(trained.champions.files[trained.champions.current.sha256])
    assert spec.backbone == model_file.sha256(strided(64, 96))
    assert spec.boxes > 0


def test_second_batch_is_by_doubt_and_trains_a_successor(trained: BoxLoop):
    made = trained.copied()
    made.drop_images(range(200, 320))
    made.read_again()
    picks = made.next_batch()
    assert {pick.strategy for pick in picks if not pick.audit} == {"margin_diverse"}
    (job,) = made.answer_all()

    outcome = made.train(job, DetectorTrainer(made.images, OPTIONS, "cpu", threads=1))

    assert outcome is Outcome.PROMOTED, made.control.state().reason
    assert made.registry.metrics["champion_audit_ap50"] > 0.6
