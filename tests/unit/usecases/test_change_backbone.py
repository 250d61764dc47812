"""Changing the backbone of a deployment that has images, and giving the old one back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.world import FakeWorld

from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.errors import Conflict, NotConfigured
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.training.backbone_change import BackboneChange, Stage
from octospoon.domain.training.jobs import JobStatus
from octospoon.domain.training.policy import TrainingRules
from octospoon.usecases.change_backbone import ChangeBackbone, job_runs, waits_for_a_start

OLD, NEW = "b" * 64, "c" * 64
CLASSES = ("cat", "dog")


class World(FakeWorld):
    """A deployment with labels, whose model has classes unless `head` is empty."""

    def __init__(self, *, head: bytes = b"head") -> None:
        super().__init__()
        for i in range(4):
            self.export(f"{i}.png", "e", task=i)
        shas = self.champions.put_model(b"model", head or None)
        version = 3 if head else 0
        pointer = ChampionPointer.of(version, OLD, *shas, CLASSES if head else ())
        self.champions.keep(pointer)
        self.champions.set(pointer)
        self.case = ChangeBackbone(self.champions, self.control, self.build_promote())
        self.collect = self.build_collect(CLASSES, TrainingRules(100), SingleChoice().read)

    def request(self, name: str = "lite0", backbone: str = NEW) -> BackboneChange:
        return self.case.request(name, name.encode(), backbone)

    def promoted(self) -> ChampionPointer:
        """Promote a model as a job does that passed the gate."""
        shas = self.champions.put_model(b"new", b"new head")
        pointer = ChampionPointer.of(4, NEW, *shas, CLASSES)
        self.champions.keep(pointer)
        self.champions.set(pointer.after(self.case.serving()))
        change = self.case.newest()
        assert change
        self.control.change_backbone(change.ended(NEW, promoted=True, reason="better"))
        return pointer

    def run_job(self) -> str:
        job = self.collect.launch_if_due()
        assert job
        self.control.start(job, self.clock.now() + 600)
        return job


def test_request_starts_one_job_that_names_the_backbone() -> None:
    world = World()
    change = world.request()
    assert change.is_open
    assert world.case.serving().backbone == OLD, "the old model serves until the gate has judged"
    assert waits_for_a_start(world.control.state())
    world.run_job()
    settings = world.control.state().settings
    assert settings
    assert settings.candidate == change.candidate
    assert world.champions.files[change.candidate.model] == b"lite0"
    assert world.collect.launch_if_due() is None
    assert world.request() == change, "the command that was interrupted goes on with the same change"


def test_ordinary_job_after_the_change_names_no_backbone() -> None:
    world = World()
    world.request()
    job = world.run_job()
    world.promoted()
    world.control.finish(job, "promoted: better")
    assert world.collect.launch_if_due() is None
    world.control.request("drift")
    world.control.change(1, 0)
    world.clock.time += 1e6
    world.run_job()
    settings = world.control.state().settings
    assert settings
    assert settings.candidate is None


def test_second_change_waits_for_the_first() -> None:
    world = World()
    world.request()
    with pytest.raises(Conflict, match=r"to lite0 is under way.*--revoke"):
        world.request("lite2", "d" * 64)
    world.case.revoke()
    assert world.request("lite2", "d" * 64).is_open


def test_model_without_classes_is_replaced_at_once() -> None:
    world = World(head=b"")
    change = world.request()
    assert change.stage is Stage.SERVING
    assert world.case.serving().backbone == NEW
    assert world.case.serving().generation == 1, "scores of the old model lose against the new"
    assert world.collect.launch_if_due() is None

    assert world.case.give_back(world.case.revoke()).backbone == OLD
    assert world.case.serving().backbone == OLD
    assert world.champions.version(0) == replace(world.case.serving(), previous=None, generation=0)


def test_model_trained_meanwhile_is_never_replaced_without_a_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(head=b"")
    monkeypatch.setattr(ChangeBackbone, "_serve_at_once", lambda _, change: change)
    assert not world.request().needs_training, "the command died before it could serve the backbone"
    monkeypatch.undo()
    shas = world.champions.put_model(b"trained", b"head")
    world.champions.set(ChampionPointer.of(1, OLD, *shas, CLASSES))

    change = world.request()

    assert change.is_open
    assert change.needs_training
    assert world.case.serving().version == 1
    assert world.run_job()


def test_detector_is_never_replaced_without_a_job() -> None:
    """A detector has classes, and no head file."""
    world = World()
    sha256, _ = world.champions.put_model(b"detector", None)
    pointer = ChampionPointer.of(3, OLD, sha256, classes=CLASSES)
    world.champions.set(pointer)

    change = world.request()

    assert change.is_open
    assert change.needs_training
    assert world.case.serving() == pointer


def test_change_is_revoked_before_its_job_starts() -> None:
    world = World()
    world.request()
    world.case.revoke()
    assert world.collect.launch_if_due() is None
    assert world.case.give_back(world.case.revoke()).version == 3


def test_revoking_waits_for_a_job_that_may_still_promote() -> None:
    world = World()
    world.request()
    job = world.run_job()
    change = world.case.revoke()
    now = world.clock.now()
    assert job_runs(world.control.state(), change, now)
    assert not job_runs(world.control.state(), change, now + 1000), "a lost job promotes nothing"
    world.control.finish(job, "refused: revoked")
    assert not job_runs(world.control.state(), change, now)
    assert world.control.state().status is JobStatus.IDLE


def test_change_in_service_is_given_back_as_often_as_asked() -> None:
    world = World()
    world.request()
    world.promoted()
    for _ in range(2):
        pointer = world.case.give_back(world.case.revoke())
        assert (pointer.version, pointer.backbone) == (3, OLD)
    newest = world.case.newest()
    assert newest
    assert newest.stage is Stage.REVOKED


def test_there_is_nothing_to_revoke_after_a_refusal() -> None:
    world = World()
    with pytest.raises(NotConfigured, match="no change"):
        world.case.revoke()
    change = world.request()
    world.control.change_backbone(change.ended(OLD, promoted=False, reason="worse"))
    with pytest.raises(NotConfigured, match="the old backbone serves"):
        world.case.revoke()


def test_later_backbone_is_rolled_back_by_its_own_command() -> None:
    world = World()
    world.request()
    tuned = replace(world.promoted(), version=5, backbone="d" * 64)
    world.champions.set(tuned)
    with pytest.raises(NotConfigured, match="model rollback --to 3 --new-backbone"):
        world.case.revoke()
