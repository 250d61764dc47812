"""The example program for boxes, as the trainer of real jobs: PyTorch trains it, octospoon judges it."""

from __future__ import annotations

import hashlib
import shlex
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from fakes.pool import Row
from unit.training.rectangles import CLASSES, drawn
from unit.training.stack import JOB, World
from unit.training.strided import strided

from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation, Pick
from octospoon.domain.pool.images import Prediction, State
from octospoon.domain.task_types.detection import DETECTION
from octospoon.training.command.champion import InService
from octospoon.training.command.command_line import CommandLine
from octospoon.training.command.trainer import CommandTrainer
from octospoon.training.job.run import Outcome, run
from octospoon.training.model import model_file
from octospoon.training.model.optimize import cold_start

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".octospoon/envs/finetune/bin/python"
PROGRAM = ROOT / "examples/trainers/small_detector.py"
IMAGES, AUDIT = 100, 25


@pytest.fixture(name="made")
def labelled() -> World:
    """A project with boxes around rectangles, before its first detector."""
    if not PYTHON.exists():
        pytest.skip("THE EXAMPLE FOR BOXES IS NOT RUN: `make trainer-command` installs PyTorch and runs this")
    made, rng = World(), np.random.default_rng(5)
    made.ports = replace(made.ports, task_type=DETECTION, classes=CLASSES)
    backbone = strided(64, 96)
    spec = model_file.backbone_spec(backbone, "squash")
    for number in range(IMAGES):
        data, label = drawn(rng, (120, 80))
        key, etag, audit = f"{number:03d}.png", hashlib.md5(data).hexdigest(), number < AUDIT
        made.images.objects[key] = (data, etag)
        prediction = Prediction(0, spec.backbone, np.zeros(spec.dim, np.float16), None)
        row = made.pool.table[key] = Row(etag, "1", State.EXPORTED, prediction)
        row.round_number, row.pick = 1, Pick(key, etag, audit, "margin", None, 0, None)
        made.labels.upsert(Annotation(key, etag, key, number, "2025-01-01T00:00:00Z", "1", label))
        made.resolve(key, Consensus(label, 1.0, 1))
    made.serve(cold_start(backbone, "squash"))
    return made


def job(made: World, job_id: str, epochs: int) -> Outcome:
    """Run a job whose trainer is the example, on small images."""
    options = f"-W ignore {PROGRAM} --width 96 --height 64 --epochs {epochs}"
    trainer = CommandTrainer(
        made.images,
        CommandLine.read(f"{shlex.quote(str(PYTHON))} {options}"),
        DETECTION,
        time.monotonic() + 1200,
        InService(made.champions, made.training_records),
        partial(made.registry.follow, job_id),
    )
    return run(job_id, replace(made.ports, trainer=trainer))


@pytest.mark.timeout(1500)
def test_example_goes_into_service_and_learns_on(made: World) -> None:
    assert job(made, JOB, 20) is Outcome.PROMOTED, made.control.state().reason
    first = made.champions.current
    assert first is not None
    assert (first.version, first.classes, first.head_key) == (1, CLASSES, "")
    ap50 = made.registry.metrics["audit_ap50"]
    losses = [epoch["epoch_held_out_loss"] for epoch in made.registry.epochs]
    print(f"AP50 {ap50:.3f} on {AUDIT} images; losses {losses[0]:.2f} to {min(losses):.2f}")
    assert ap50 > 0.6
    assert len(losses) == 20
    assert made.registry.metrics["held_out_ap50"] > 0.5

    made.launch("train-000002")
    job(made, "train-000002", 2)

    again = [epoch["epoch_held_out_loss"] for epoch in made.registry.epochs]
    assert again[0] < (losses[0] + min(losses)) / 2, "it begins with the weights of the model in service"
    assert made.registry.metrics["audit_ap50"] > 0.5
