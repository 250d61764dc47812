"""Each handler with its event, its use case's answer and failures; test_predict.py has `predict`."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from unit.functions.handlers import FUNCTIONS, failed, invoked, messages, published, uploaded

from octospoon.domain.errors import BadRequest, ServiceUnavailable, Unauthorized
from octospoon.domain.labelling.tasks import TaskCounts
from octospoon.domain.monitoring.drift import DriftResult
from octospoon.domain.pool.images import ImageRef
from octospoon.domain.pool.keys import image_id
from octospoon.domain.task_types.classification.estimates import evaluate
from octospoon.runtime import aws
from octospoon.usecases.rank import RankReport
from octospoon.usecases.reconcile_report import ReconcileReport
from octospoon.usecases.scoring.outcomes import Outcome
from octospoon.usecases.watch import WatchReport

# the handlers ignore it too; pytest begins each test with filters of its own
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish")


def test_every_function_is_tested_here_or_beside() -> None:
    tested = {"score", "rank", "webhook", "collect", "reconcile", "rescore", "watch", "predict"}

    assert {path.parent.name for path in FUNCTIONS.glob("*/app.py")} == tested


# -- score ------------------------------------------------------------------------------------------


class Score:
    """Returns the test's outcome for each key, and reads every image with another etag."""

    def __init__(self, **answers: Outcome | Exception) -> None:
        self.answers, self.uploads, self.left = answers, list[ImageRef](), 0.0

    def __call__(self, uploads: Any, remaining: Any, identified: Any) -> list[Outcome | Exception]:
        self.uploads, self.left = list(uploads), remaining()
        for upload in uploads:
            identified(ImageRef(upload.key, "read", upload.sequencer, upload.size))
        return [self.answers[upload.key] for upload in uploads]


def test_score_counts_outcomes_and_returns_failed_messages(capsys: pytest.CaptureFixture[str]) -> None:
    score = Score(a=Outcome.SCORED, b=ServiceUnavailable("S3 does not answer"), c=Outcome.QUARANTINED)
    with invoked("score", score) as invoke:
        answer = invoke(messages(uploaded("a", "b"), uploaded("c"), uploaded("a")), left=5_000)

    assert [upload.key for upload in score.uploads] == ["a", "b", "c", "a"], "duplicates are for the use case"
    assert score.left == 5
    assert answer == failed("m0"), "one upload of two failed; the use case knows that the other has a score"
    counted = published(capsys.readouterr().out)
    assert {name: np.sum(value) for name, value in counted.items()} == {"scored": 2, "quarantined": 1}
    (error,) = [line for line in invoke.lines if line["level"] == "ERROR"]
    assert (error["image"], error["key"], error["message_id"]) == (image_id("b", "read"), "b", "m0")
    (outcomes,) = [line["images"] for line in invoke.lines if "images" in line]
    assert outcomes == {image_id("a", "read"): "scored", image_id("c", "read"): "quarantined"}


def test_score_returns_an_unreadable_message_alone() -> None:
    score = Score(**{"a b": Outcome.SCORED})
    with invoked("score", score) as invoke:
        answer = invoke(messages("no JSON", uploaded("a+b"), {"Event": "s3:TestEvent"}, {"Records": [{}]}))

    assert [upload.key for upload in score.uploads] == ["a b"]
    assert answer == failed("m0", "m3")


# -- rank and reconcile -----------------------------------------------------------------------------


def test_rank_answers_with_its_report_and_publishes_it(capsys: pytest.CaptureFixture[str]) -> None:
    report = RankReport(3, 20, 18, "", 2, TaskCounts(7, 1, 2, 3, 4), ["why"])
    with invoked("rank", lambda: report) as invoke:
        answer = invoke({"source": "aws.events"})

    assert answer == asdict(report)
    assert published(capsys.readouterr().out) == {"exported": 18, "refreshed": 2} | asdict(report.tasks)
    assert invoke.lines[-1]["report"] == asdict(report)


def test_rank_publishes_no_task_counts_when_none_were_read(capsys: pytest.CaptureFixture[str]) -> None:
    with invoked("rank", lambda: RankReport(reason="no image is selectable")) as invoke:
        assert invoke({})["reason"] == "no image is selectable"

    assert published(capsys.readouterr().out) == {"exported": 0, "refreshed": 0}


@pytest.mark.parametrize(
    ("event", "full", "accepted"),
    [
        ({}, False, ""),
        ({"full": True}, True, ""),
        ({"full": "yes"}, False, ""),
        ({"accept_removals": "r1"}, False, "r1"),
        ({"accept_removals": None}, False, ""),
    ],
)
def test_reconcile_reads_its_event(event: dict[str, Any], *, full: bool, accepted: str) -> None:
    calls = []

    def reconcile(*, full: bool, accept: str) -> ReconcileReport:
        calls.append((full, accept))
        return ReconcileReport()

    with invoked("reconcile", reconcile) as invoke:
        invoke(event)

    assert calls == [(full, accepted)]


def test_reconcile_answers_with_its_report_and_publishes_it(capsys: pytest.CaptureFixture[str]) -> None:
    report = ReconcileReport(tasks=5, labels=2, finished=True, refused="too old", job="train-000001")
    with invoked("reconcile", lambda **_: report) as invoke:
        answer = invoke({})

    assert answer == asdict(report)
    counted = published(capsys.readouterr().out)
    assert counted == {
        name: int(value) for name, value in asdict(report).items() if name not in ("job", "refused")
    } | {"launched": 1}


@pytest.mark.parametrize("name", ["rank", "reconcile", "watch"])
def test_a_scheduled_function_fails_with_its_use_case(name: str) -> None:
    def broken(**_: object) -> None:
        raise ServiceUnavailable("Label Studio does not answer")

    with invoked(name, broken) as invoke, pytest.raises(ServiceUnavailable):
        invoke({})


# -- collect ----------------------------------------------------------------------------------------


def test_collect_counts_each_message_and_returns_failed_ones(capsys: pytest.CaptureFixture[str]) -> None:
    counted = []

    def collect(body: str) -> str:
        if body == "bad":
            raise BadRequest("no message of ours")
        if body == "broken":
            raise ZeroDivisionError
        counted.append(body)
        return "train-000001" if body == "last" else ""

    with invoked("collect", collect) as invoke:
        answer = invoke(messages("first", "bad", "first", "broken", "last"))

    assert counted == ["first", "first", "last"], "a duplicate is for the use case, which counts it once"
    assert answer == failed("m1", "m3")
    sums = {name: np.sum(value) for name, value in published(capsys.readouterr().out).items()}
    assert sums == {"counted": 3, "launched": 1}
    assert any("train-000001" in str(line["message"]) for line in invoke.lines)


# -- rescore ----------------------------------------------------------------------------------------


class Rescore:
    def __init__(self) -> None:
        self.calls: list[object] = []

    def segment(self, body: str, deadline: float) -> int:
        if json.loads(body)["shard"] == 13:
            raise ServiceUnavailable("DynamoDB does not answer")
        self.calls.append(("segment", json.loads(body)["shard"], deadline))
        return 250

    def reading(self, body: str, deadline: float) -> int:
        self.calls.append(("reading", json.loads(body)["reading"], deadline))
        return 20

    def champion_changed(self, *limits: int) -> None:
        self.calls.append(("changed", *limits))


def test_rescore_tells_its_messages_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(type(aws.CLOCK), "now", lambda _: 1000.0)
    rescore = Rescore()
    with invoked("rescore", rescore) as invoke:
        answer = invoke(
            messages(
                {"shard": 3},
                {"days": "7"},
                uploaded("champion.json"),
                {"shard": 13},
                {"Event": "s3:TestEvent"},
                "x",
                {"reading": 4, "at": {"shard": 3}},
                {"days": 0, "images": -1},
            ),
            left=60_000,
        )

    deadline = 1000 + 60 - 15
    assert rescore.calls == [
        ("segment", 3, deadline),
        ("changed", 7, 0),
        ("changed",),
        ("reading", 4, deadline),
        ("changed", 0, -1),
    ]
    assert answer == failed("m3", "m5")
    assert published(capsys.readouterr().out) == {"rescored": 250, "read_again": 20}


# -- watch ------------------------------------------------------------------------------------------


def test_watch_publishes_accuracy_and_drift(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(2), 60).astype(np.float32)
    evaluation = evaluate(shares[:40], rng.integers(2, size=40), shares.max(axis=1))
    report = WatchReport(4, evaluation, DriftResult("confirmed", 500, 0.01, 0.02, 0.03, 0.04), asked="drift")
    with invoked("watch", lambda: report) as invoke:
        answer = invoke({})

    assert answer == {"version": 4, "drift": "confirmed", "asked": "drift"}
    metrics = published(capsys.readouterr().out)
    assert metrics == evaluation.metrics() | {
        "drift": 2,
        "drift_components_p": 0.01,
        "drift_probabilities_p": 0.02,
        "drift_classes_p": 0.03,
        "drift_discrepancy_p": 0.04,
    }


def test_watch_says_why_it_measured_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with invoked("watch", lambda: WatchReport(reason="no model with classes")) as invoke:
        answer = invoke({})

    assert answer == {"version": -1, "drift": "no model with classes", "asked": ""}
    assert "_aws" not in capsys.readouterr().out


# -- webhook ----------------------------------------------------------------------------------------


def test_webhook_passes_body_and_secret_on() -> None:
    calls = []
    with invoked("webhook", lambda body, secret: calls.append((body, secret)) or True) as invoke:
        headers = {"X-Octospoon-Secret": "s"}
        invoke({"headers": headers, "body": "ö"})
        encoded = base64.b64encode(b"\xff").decode()
        invoke({"headers": headers, "body": encoded, "isBase64Encoded": True})
        invoke({"headers": None, "body": None})

    assert calls == [("ö".encode(), "s"), (b"\xff", "s"), (b"", "")]


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (True, 200, "queued"),
        (False, 200, "ignored"),
        (Unauthorized("the secret is wrong"), 401, "the secret is wrong"),
        (BadRequest("no webhook"), 400, "no webhook"),
    ],
)
def test_webhook_answers_label_studio(answer: bool | Exception, status: int, text: str) -> None:
    def receive(body: bytes, secret: str) -> bool:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with invoked("webhook", receive) as invoke:
        answered = invoke({"headers": {}, "body": "{}"})

    assert answered == {"statusCode": status, "headers": {"Content-Type": "text/plain"}, "body": text}


def test_webhook_refuses_a_body_that_is_no_base64() -> None:
    with invoked("webhook", lambda *_: True) as invoke:
        answered = invoke({"headers": {}, "body": "a", "isBase64Encoded": True})

    assert answered["statusCode"] == 400


def test_webhook_does_not_hide_an_outage() -> None:
    def receive(*_: object) -> bool:
        raise ServiceUnavailable("the queue does not answer")

    with invoked("webhook", receive) as invoke, pytest.raises(ServiceUnavailable):
        invoke({"headers": {}, "body": "{}"})
