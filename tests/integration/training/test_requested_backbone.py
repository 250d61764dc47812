"""A training job for a backbone that a person requested."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from integration.training.kills import Killed, Steps, watched
from unit.training.networks import network
from unit.training.stack import JOB, World, starter

from octospoon.cli.datasets import digits
from octospoon.domain.errors import BadModel
from octospoon.domain.pool.images import State
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.training.backbone_change import BackboneChange, Candidate, Stage
from octospoon.domain.training.jobs import JobSettings, JobStatus
from octospoon.training.head.requested_backbone import RequestedBackbone
from octospoon.training.head.trainer import train_head
from octospoon.training.job.run import Outcome, run
from octospoon.training.model import check_import, model_file
from octospoon.training.model import starter as scattering
from octospoon.training.model.wrap_onnx import Pixels

if TYPE_CHECKING:
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.training.context import TrainingPorts

LABELS, AUDIT, UNLABELLED = 60, 20, 10
BEFORE = "train-000000"


@functools.cache
def larger() -> bytes:
    """Return scattering on images of twice the size: another backbone of equal quality."""
    return model_file.assemble(
        backbone := scattering.build(shrink=2), None, model_file.backbone_spec(backbone, "squash")
    )


@functools.cache
def poor() -> bytes:
    """Return a network with random weights, which separates digits badly."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "poor.onnx"
        onnx.save(network(last="pooled"), path)
        return check_import.fitted(check_import.read(path, check_import.Options(Pixels())), ()).model


def deployed() -> World:
    """Return a deployment with a trained model, labels and unlabelled images, before the change."""
    made = World()
    for index in range(LABELS):
        made.label(index, digits.CLASSES[digits.labels()[index]], audit=index < AUDIT)
    for index in range(LABELS, LABELS + UNLABELLED):
        made.drop(index)
    made.serve(starter())
    made.launch(BEFORE)
    assert run(BEFORE, made.ports) is Outcome.PROMOTED
    return made


@functools.cache
def before() -> World:
    return deployed()


def requested(model: bytes) -> World:
    """Return the deployment with a launched job for another backbone."""
    made = before().copied()
    sha256, _ = made.champions.put_model(model, None)
    candidate = Candidate("another", sha256, model_file.read_spec(model).backbone)
    serving = made.champions.current
    assert serving is not None
    assert made.control.change_backbone(BackboneChange(candidate, serving))
    launch(made, candidate)
    return made


def launch(made: World, candidate: Candidate) -> None:
    state = made.control.now_state
    settings = JobSettings(digits.CLASSES, candidate=candidate)
    made.control.now_state = replace(state, status=JobStatus.LAUNCHING, job_id=JOB, settings=settings)
    trainer = RequestedBackbone(made.images, made.champions, candidate, CLASSIFICATION)
    made.ports = replace(made.ports, trainer=trainer, candidate=candidate)


def with_trainer(made: World, trainer: Any) -> TrainingPorts:
    return replace(made.ports, trainer=trainer)


def labels(made: World) -> dict[str, str | None]:
    return {key: row.label for key, row in made.pool.table.items()}


def change(made: World) -> BackboneChange:
    stored = made.control.state().backbone_change
    assert stored is not None
    return stored


def backbones(made: World, state: State) -> set[str]:
    return {row.prediction.backbone for row in made.pool.table.values() if row.state is state}


def served(made: World) -> ChampionPointer:
    assert made.champions.current is not None
    return made.champions.current


def assert_changed(made: World) -> None:
    """Check that backbone and head are the candidate's, and that no label is lost."""
    new = model_file.read_spec(larger()).backbone
    assert served(made).backbone == new
    assert change(made).stage is Stage.SERVING
    assert labels(made) == labels(before())
    assert backbones(made, State.LABELLED) == {new}
    assert backbones(made, State.SCORED) == {served(before()).backbone}, "their images must be read"
    model = made.champions.files[served(made).sha256]
    assert model_file.read_spec(model).backbone == new
    weights, _ = model_file.extract_head(model)
    assert len(weights) == model_file.read_spec(larger()).dim == len(row(made).prediction.embedding)


def row(made: World) -> Any:
    return made.pool.table["0000.png"]


def test_backbone_and_head_change_together_and_labels_stay() -> None:
    made = requested(larger())
    assert run(JOB, made.ports) is Outcome.PROMOTED
    assert_changed(made)
    assert "against" in change(made).reason, "the gate compared it with the model in service"
    assert "`octospoon backbone use` reads their images again" in change(made).reason
    assert made.registry.params["requested_backbone"] == "another"
    assert made.registry.params["embedding"] == str(model_file.read_spec(larger()).dim)


def test_worse_backbone_is_refused_and_the_old_stays() -> None:
    made = requested(poor())
    assert run(JOB, made.ports) is Outcome.REFUSED
    assert served(made) == served(before())
    assert change(made).stage is Stage.REFUSED
    assert "worse than the model in service" in change(made).reason
    assert labels(made) == labels(before())
    assert backbones(made, State.LABELLED) == {served(before()).backbone}


def test_change_revoked_during_training_never_goes_into_service() -> None:
    made = requested(larger())
    train: Any = made.ports.trainer

    def revoked(*arguments: Any) -> Any:
        made.control.change_backbone(change(made).at(Stage.REVOKED, "revoked by a person"))
        return train(*arguments)

    assert run(JOB, with_trainer(made, revoked)) is Outcome.REFUSED
    assert served(made) == served(before())
    assert change(made).stage is Stage.REVOKED
    assert "was revoked" in made.control.state().reason


def test_missing_model_file_ends_the_change_not_all_training() -> None:
    made = requested(larger())

    def missing(*_: Any) -> Any:
        raise BadModel("there is no object models/sha256/…")

    with pytest.raises(BadModel):
        run(JOB, with_trainer(made, missing))
    assert change(made).stage is Stage.FAILED
    assert "there is no object" in change(made).reason
    assert made.control.state().status is JobStatus.FAILED


def test_unreadable_image_is_left_out_and_the_rest_is_trained() -> None:
    made = requested(larger())
    for index in (30, 5):  # one for training, one of the audit share
        del made.images.objects[f"{index:04d}.png"]
    assert run(JOB, made.ports) is Outcome.PROMOTED
    assert labels(made) == labels(before())
    assert made.registry.metrics["labels"] == LABELS - 2


WRITES = {"put_model", "keep", "record", "promote", "keep_alias", "reembed", "change_backbone", "finish"}


def attempt(made: World, steps: Steps) -> None:
    ports = made.ports
    names = ("control", "champions", "history", "pool")
    run(JOB, watched(ports, names, WRITES, steps))


def cheap(_: bytes, dataset: Any, spec: Any, *, candidate: Candidate, champions: Any) -> Any:
    """Train as `RequestedBackbone` does, but from embeddings that were computed once."""
    model = champions.files[candidate.model]
    if spec.backbone == candidate.backbone:
        return train_head(model_file.extract_backbone(model), dataset, spec)
    own = replace(model_file.read_spec(model), classes=spec.classes, version=spec.version)
    embedded = replace(dataset, embeddings=larger_embeddings()[[int(i.key[:4]) for i in dataset.images]])
    return train_head(model_file.extract_backbone(model), embedded, own)


@functools.cache
def larger_embeddings() -> Any:
    made = requested(larger())
    run(JOB, made.ports)
    return np.stack([made.pool.table[f"{index:04d}.png"].prediction.embedding for index in range(LABELS)])


def test_a_job_killed_between_any_two_steps_changes_once() -> None:
    whole = Steps(-1)
    attempt(fast(), whole)
    assert set(whole.names) == WRITES
    for kill_after in range(len(whole.names) + 1):
        made = fast()
        with pytest.raises(Killed):
            attempt(made, Steps(kill_after))
        assert change(made).is_open or served(made).backbone == change(made).candidate.backbone
        made.clock.time = made.control.state().lease_until + 1
        assert run(JOB, made.ports) is (
            Outcome.PROMOTED if kill_after < len(whole.names) else Outcome.NOT_OURS
        )
        assert_changed(made)
        assert made.control.state().status is JobStatus.IDLE


def fast() -> World:
    made = requested(larger())
    assert made.ports.candidate is not None
    trainer = functools.partial(cheap, candidate=made.ports.candidate, champions=made.champions)
    made.ports = replace(made.ports, trainer=trainer)
    return made
