"""`octospoon backbone use`: what it shows first, what it changes, and what it does not change."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fakes.pool import FakeEntries
from unit.training.stack import World, starter
from unit.training.strided import strided

from octospoon.cli.datasets import digits
from octospoon.cli.main import main
from octospoon.cli.operations import change_backbone, prices, read_again, rescore, run_now
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.keys import SHARDS, shard
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.training.backbone_change import Stage
from octospoon.domain.training.jobs import TrainingState
from octospoon.training.model import model_file
from octospoon.training.model import starter as scattering
from octospoon.training.model.optimize import cold_start
from octospoon.usecases.change_backbone import ChangeBackbone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from octospoon.domain.task_types.task_type import TaskType

IMAGES = 30
LARGER = scattering.build(shrink=2)
MODEL = model_file.assemble(LARGER, None, model_file.backbone_spec(LARGER, "squash"))
NEW = model_file.read_spec(MODEL).backbone


@dataclass
class FakeQueues:
    """Runs `rescore` for each of its messages, and scores each queued image at once, as `score` does."""

    made: World
    queued: list[str] = field(default_factory=list)
    messages: list[tuple[str, Any]] = field(default_factory=list)
    down: bool = False

    def send_message(self, **message: str) -> None:
        body = json.loads(message["MessageBody"])
        self.messages.append((message["QueueUrl"], body))
        if not self.down:
            self.work(**body)

    def work(self, days: int, images: int) -> None:
        made = self.made
        serving = made.champions.current
        assert serving
        case = made.build_rescore(lambda: (serving, Head() if serving.head_key else None))
        case.champion_changed(days, images)
        while made.queue or made.later:
            if made.queue:
                case.segment(made.queue.pop(0), 1e12)
                continue
            due, body = made.later.pop(0)
            made.clock.time = max(made.clock.time, due)
            case.reading(body, 1e12)
            self.score(serving)

    def score(self, serving: ChampionPointer) -> None:
        for image in self.made.uploads.sent:
            row = self.made.pool.table[image.key]
            assert row.prediction
            row.prediction = replace(row.prediction, backbone=serving.backbone)
            self.queued.append(image.key)
        self.made.uploads.sent.clear()


class Head:
    """A head that finds all classes equally likely."""

    def run(self, embedding: np.ndarray) -> np.ndarray:
        return np.full((len(embedding), len(digits.CLASSES)), 0.1, np.float32)


class Deployed:
    """A deployment with images; with labels and a model with classes if `trained`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, *, trained: bool = False) -> None:
        self.made = made = World()
        made.clock.time = datetime(2026, 2, 1, tzinfo=UTC).timestamp()
        made.control.now_state = TrainingState()
        for index in range(IMAGES):
            if trained and index < 10:
                made.label(index, digits.CLASSES[digits.labels()[index]], audit=index < 4)
            else:
                made.drop(index).arrived = f"2026-01-{index + 1:02d}"
        made.serve(starter())
        if trained:
            spec = model_file.read_spec(starter())
            sha, head = made.champions.put_model(b"model", b"head")
            pointer = ChampionPointer.of(3, spec.backbone, sha, head, digits.CLASSES)
            made.champions.keep(pointer)
            made.champions.set(pointer)
        self.queues, self.folder = FakeQueues(made), folder
        (folder / "larger.onnx").write_bytes(MODEL)
        self.reconcile: Callable[[], None] = lambda: None
        self.task_type: TaskType = CLASSIFICATION
        self.patch(monkeypatch)

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: self.deployment())
        monkeypatch.setattr(read_again, "_PAUSE", 0.0)
        monkeypatch.setattr(change_backbone, "_PAUSE", 0.0)
        monkeypatch.setattr(run_now, "reconcile", lambda _: self.reconcile())

    def deployment(self) -> Any:
        made = self.made
        return SimpleNamespace(
            task_type=self.task_type,
            champions=made.champions,
            control=made.control,
            labels=made.labels,
            images=made.images,
            pool_report=made.pool,
            entries=FakeEntries(made.pool),
            reading=made.rereading,
            outputs={f"{name}QueueUrl": name for name in ("Uploads", "Rescore")},
            client=lambda _: self.queues,
            endpoint_url=None,
        )

    def run(self, *options: str) -> int:
        return main(["backbone", "use", *options])

    def use(self, *options: str) -> int:
        return self.run(str(self.folder / "larger.onnx"), *options)

    @property
    def stage(self) -> Stage | None:
        change = self.made.control.state().backbone_change
        return change.stage if change else None

    @property
    def serving(self) -> ChampionPointer:
        assert self.made.champions.current
        return self.made.champions.current


def promoted(deployed: Deployed) -> None:
    """Promote a model as a job does that passed the gate."""
    made = deployed.made
    change = made.control.state().backbone_change
    assert change
    sha, head = made.champions.put_model(b"new", b"new head")
    pointer = ChampionPointer.of(4, NEW, sha, head, digits.CLASSES)
    made.champions.set(pointer.after(made.champions.current))
    made.control.change_backbone(change.ended(NEW, promoted=True, reason="accuracy 0.9 against 0.8"))


def test_cost_is_shown_and_nothing_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed(monkeypatch, tmp_path, trained=True)
    before = deployed.serving

    assert deployed.use("--dry-run") == 0
    out = capsys.readouterr().out
    assert "40 images are read again" in out, "20 unlabelled images, and 10 labelled ones twice"
    assert "with 100 functions at once, less than a cent" in out
    assert "a model from 10 labels" in out
    assert "version 3 on 4 audit labels" in out
    assert "all 10 labels stay" in out

    assert deployed.use("--dry-run", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["plan"]["images"], document["plan"]["labelled"]) == (40, 10)
    assert document["dollars"] > 0

    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert deployed.use() == 1, "nobody can be asked"
    assert (deployed.stage, deployed.serving, deployed.queues.messages) == (None, before, [])


def test_model_without_classes_changes_at_once_and_newest_images_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed(monkeypatch, tmp_path)

    assert deployed.use("--yes", "--json") == 0

    document = json.loads(capsys.readouterr().out)
    assert (document["stage"], document["read"], document["left"]) == ("serving", IMAGES, 0)
    assert deployed.serving.backbone == NEW
    assert sorted(deployed.queues.queued) == sorted(deployed.made.pool.table)
    for number in range(SHARDS):
        read = [key for key in deployed.queues.queued if shard(key) == number]
        assert read == sorted(read, reverse=True), "the newest first"
    assert deployed.use("--yes") == 0, "it is done already"
    assert len(deployed.queues.queued) == IMAGES


def test_the_gates_promotion_is_followed_by_reading_the_pool(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed(monkeypatch, tmp_path, trained=True)
    deployed.reconcile = lambda: promoted(deployed)

    assert deployed.use("--yes") == 0

    out = capsys.readouterr().out
    assert "version 4 is in service with larger.onnx" in out
    assert "accuracy 0.9 against 0.8" in out
    assert sorted(deployed.queues.queued) == [f"{i:04d}.png" for i in range(10, IMAGES)]
    assert deployed.queues.messages == [("Rescore", {"days": 0, "images": -1})]
    assert deployed.made.rescoring.progress() == (4, SHARDS)


def test_interrupted_command_goes_on_without_asking_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deployed = Deployed(monkeypatch, tmp_path, trained=True)

    def killed() -> None:
        raise KeyboardInterrupt

    deployed.reconcile = killed
    assert deployed.use("--yes") != 0
    assert deployed.stage is Stage.REQUESTED
    assert deployed.serving.version == 3

    deployed.reconcile = lambda: promoted(deployed)
    deployed.queues.down = True  # the command dies while images are read
    monkeypatch.setattr("time.sleep", lambda _: killed())
    assert deployed.use() != 0
    assert deployed.serving.version == 4
    monkeypatch.undo()
    deployed.patch(monkeypatch)

    deployed.queues.down = False
    assert deployed.use() == 0
    assert not rescore.stale_images(deployed.deployment())


def test_refused_backbone_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed(monkeypatch, tmp_path, trained=True)

    def refused() -> None:
        change = deployed.made.control.state().backbone_change
        assert change
        ended = change.ended(change.before.backbone, promoted=False, reason="worse than the model in service")
        deployed.made.control.change_backbone(ended)

    deployed.reconcile = refused
    assert deployed.use("--yes") == 1
    out = capsys.readouterr().out
    assert "larger.onnx is not used (refused): worse than the model in service" in out
    assert "version 3 stays in service" in out
    assert deployed.queues.messages == []


def test_without_audit_labels_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed(monkeypatch, tmp_path, trained=True)
    for row in deployed.made.pool.table.values():
        row.pick = replace(row.pick, audit=False) if row.pick else None
    assert deployed.use("--yes") == 1
    assert "label some images of the audit share" in capsys.readouterr().err
    assert deployed.stage is None


def test_revoked_change_has_images_read_with_the_old_backbone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed(monkeypatch, tmp_path)
    old = deployed.serving.backbone
    assert deployed.use("--yes") == 0
    capsys.readouterr()

    assert deployed.run("--revoke", "--yes") == 0

    assert deployed.serving.backbone == old
    assert deployed.stage is Stage.REVOKED
    assert not rescore.stale_images(deployed.deployment())
    assert f"{IMAGES} images were read again" in capsys.readouterr().out


def test_open_change_is_revoked_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed(monkeypatch, tmp_path)
    sha, head = deployed.made.champions.put_model(starter(), b"head")
    deployed.made.champions.set(ChampionPointer.of(3, deployed.serving.backbone, sha, head, digits.CLASSES))
    deployed.made.champions.keep(deployed.serving)
    ChangeBackbone(deployed.made.champions, deployed.made.control, deployed.made.build_promote()).request(
        "larger", MODEL, NEW
    )

    assert deployed.run("--revoke", "--dry-run") == 0
    assert "larger is given up, and the backbone of version 3 serves" in capsys.readouterr().out
    stages = [deployed.stage]

    assert deployed.run("--revoke", "--yes") == 0
    assert [*stages, deployed.stage] == [Stage.REQUESTED, Stage.REVOKED]
    assert deployed.serving.version == 3
    assert deployed.queues.queued == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "name a backbone"),
        (("scattering", "--revoke"), "name a backbone"),
        (("scattering", "--size", "64"), "only an ONNX file has options"),
        (("absent.onnx",), "there is no file"),
        (("resnet",), "there is no backbone 'resnet'"),
        (("--revoke",), "no change of the backbone to revoke"),
        (("--revoke", "--dry-run"), "no change of the backbone to revoke"),
    ],
)
def test_wrong_use_is_explained(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    reason: str,
) -> None:
    deployed = Deployed(monkeypatch, tmp_path)
    assert deployed.run(*options) == 1
    assert reason in " ".join(capsys.readouterr().err.split())


def test_larger_embeddings_cost_more_write_units() -> None:
    assert prices.write_units(512) == 5
    assert prices.write_units(1792) == 8


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("larger.onnx", "no feature map of 2×2 cells, a 32th of its input: a detector needs a convolutional"),
        ("old.onnx", "opset 12, and a detector needs 13 or newer"),
        ("small.onnx", "64×80 pixels: a detector needs sides that are multiples of 32"),
    ],
)
def test_backbones_without_maps_are_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    reason: str,
) -> None:
    deployed = Deployed(monkeypatch, tmp_path, trained=True)
    deployed.task_type = DETECTION
    for file, backbone in (("old", strided(64, 96, opset=12)), ("small", strided(80, 64))):
        (tmp_path / f"{file}.onnx").write_bytes(cold_start(backbone, "squash"))

    assert deployed.run(str(tmp_path / name), "--yes") == 1

    assert reason in capsys.readouterr().err
    assert deployed.made.control.state().backbone_change is None


def test_backbone_with_maps_is_planned_for_boxes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed(monkeypatch, tmp_path, trained=True)
    deployed.task_type = DETECTION
    (tmp_path / "maps.onnx").write_bytes(cold_start(strided(64, 96), "squash"))
    assert deployed.run(str(tmp_path / "maps.onnx"), "--dry-run") == 0
    assert "a training job makes a model from 10 labels" in capsys.readouterr().out
