"""`octospoon rescore`: the messages that it queues, and its output before that."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from unit.training.detectors import CLASSES, RULES, red_detector
from unit.training.stack import World, starter

from octospoon.cli.main import main
from octospoon.cli.operations import prices, rescore
from octospoon.domain.errors import BadRequest, NotConfigured
from octospoon.domain.model_spec import ChampionPointer
from octospoon.training.model.model_file import read_spec

IMAGES = 30


@dataclass
class FakeSqs:
    """Keeps the messages that are sent."""

    sent: list[tuple[str, Any]] = field(default_factory=list)

    def send_message(self, **message: str) -> None:
        self.sent.append((message["QueueUrl"], json.loads(message["MessageBody"])))


@dataclass
class Deployed:
    """A pool whose first half has the embeddings of another backbone."""

    made: World = field(default_factory=World)
    sqs: FakeSqs = field(default_factory=FakeSqs)

    def __post_init__(self) -> None:
        for index in range(IMAGES):
            self.made.drop(index)
        self.made.serve(starter())
        for row in list(self.made.pool.table.values())[: IMAGES // 2]:
            row.prediction, row.size = replace(row.prediction, backbone="c" * 64), 1_000_000

    def deployment(self) -> Any:
        made, urls = self.made, {f"{name}QueueUrl": name for name in ("Uploads", "Rescore")}
        return SimpleNamespace(
            champions=made.champions,
            images=made.images,
            pool_report=made.pool,
            outputs=urls,
            client=lambda _: self.sqs,
        )

    def run(self, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
        monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: self.deployment())
        return main(["rescore", *options])


def test_the_cost_is_said_first_and_nothing_queued(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed()

    assert deployed.run(monkeypatch, "--full") == 0

    output = capsys.readouterr().out
    assert f"{IMAGES // 2} images, {IMAGES // 2} MB" in output
    assert f"of {IMAGES // 2} measured here" in output
    assert "no image is read: add --yes" in output
    assert deployed.sqs.sent == []


def test_all_images_are_read_by_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed()

    assert deployed.run(monkeypatch, "--full", "--yes") == 0

    assert deployed.sqs.sent == [("Rescore", {"days": 0, "images": -1})]
    output = capsys.readouterr().out
    assert f"version 0 reads {IMAGES // 2} images again" in output
    assert output.index(" dollars (") < output.index("version 0 reads")


def test_json_holds_the_estimate_and_what_is_queued(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed()

    assert deployed.run(monkeypatch, "--full", "--json") == 0

    document = json.loads(capsys.readouterr().out)
    estimate = document["estimate"]
    assert (estimate["images"], estimate["measured"], document["begun"]) == (15, 15, False)
    assert document["dollars"] > 0
    assert deployed.run(monkeypatch, "--full", "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out)["begun"]
    deployed.made.champions.current = replace(deployed.made.champions.current, head_key="h")
    assert deployed.run(monkeypatch, "--days", "7", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"model_version": 0, "days": 7}


def test_where_every_embedding_fits_there_is_nothing_to_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = Deployed()
    for row in deployed.made.pool.table.values():
        row.prediction = replace(row.prediction, backbone=deployed.made.champions.current.backbone)

    assert deployed.run(monkeypatch, "--full", "--yes") == 0

    assert "no image must be read" in capsys.readouterr().out
    assert deployed.sqs.sent == []


def test_rescoring_from_embeddings_is_given_its_earliest_date(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deployed = Deployed()
    with pytest.raises(BadRequest, match="has no classes yet"):
        rescore.shards(deployed.deployment())
    deployed.made.champions.current = replace(deployed.made.champions.current, head_key="h")

    assert deployed.run(monkeypatch) == 0
    assert deployed.run(monkeypatch, "--days", "7") == 0
    assert deployed.run(monkeypatch, "--yes") == 1, "--yes alone means nothing"
    assert deployed.run(monkeypatch, "--full", "--days", "7") == 1
    assert deployed.run(monkeypatch, "--days", "-7") == 1

    assert deployed.sqs.sent == [("Rescore", {"days": 0}), ("Rescore", {"days": 7})]


def test_missing_model_or_unreadable_image_gives_advice() -> None:
    deployed = Deployed()
    deployed.made.images.objects.clear()
    deployment = deployed.deployment()
    with pytest.raises(BadRequest, match="octospoon reconcile --full"):
        rescore.estimate(deployment, rescore.stale_images(deployment))
    deployed.made.champions.current = None
    with pytest.raises(NotConfigured, match="octospoon init-model"):
        rescore.stale_images(deployment)


def test_price_includes_the_function_and_its_surroundings() -> None:
    estimate = rescore.Estimate(images=1_000_000, megabytes=1.0, seconds=0.016, measured=20)

    compute = 16_000 * 1769 / 1024 * prices.LAMBDA_GB_SECOND["x86_64"] + 0.02
    assert estimate.dollars() == pytest.approx(compute + 0.4 + 0.4 * 1.2 + 5 * 0.625)
    assert "4.44 hours of one core" in str(estimate)


def test_boxes_need_the_images_and_cost_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed, file = Deployed(), red_detector(32, 32, "letterbox")
    sha256, _ = deployed.made.champions.put_model(file, None)
    pointer = ChampionPointer.of(1, read_spec(file).backbone, sha256, classes=CLASSES)
    deployed.made.champions.current = pointer

    assert deployed.run(monkeypatch) == 1
    assert "`octospoon rescore --full` reads the images again" in capsys.readouterr().err
    assert deployed.sqs.sent == []
    assert deployed.run(monkeypatch, "--full", "--json") == 0
    estimate = json.loads(capsys.readouterr().out)["estimate"]
    assert (estimate["images"], estimate["measured"], estimate["boxes"]) == (IMAGES, IMAGES, RULES.most)
    for row in list(deployed.made.pool.table.values())[: IMAGES // 3]:
        assert row.prediction
        row.prediction = replace(row.prediction, backbone=pointer.backbone, generation=2)
    deployed.made.champions.current = replace(pointer, generation=2)
    assert deployed.run(monkeypatch, "--full", "--json") == 0
    estimate = json.loads(capsys.readouterr().out)["estimate"]
    assert estimate["images"] == IMAGES - IMAGES // 3, "boxes of the detector in service stay"
    assert prices.write_units(512, 100) == prices.write_units(512) + 2
