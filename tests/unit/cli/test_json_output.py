"""`--json` prints one document for programs, and nothing else, on standard output."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from botocore.exceptions import ClientError
from fakes.labelling import FakeProposals
from fakes.models import FakeObservations, FakeReadingProgress, FakeRescoring
from unit.training.stack import JOB, World, starter

from octospoon.cli.datasets import digits
from octospoon.cli.main import main
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import TaskCounts
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.observations import Observation
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.training.backbone_change import BackboneChange, Candidate
from octospoon.training.job.run import Outcome, run
from octospoon.usecases.rank import RankReport
from octospoon.usecases.reconcile_report import ReconcileReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

QUEUES = ("Uploads", "Annotations", "Training", "Rescore")
BODY = '{"bad": true}'


class FakeAws:
    """Answers as SQS, Lambda, CloudWatch Logs and S3 do."""

    exceptions = SimpleNamespace(ResourceNotFoundException=KeyError)

    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.objects: dict[str, bytes] = {}

    def invoke(self, **_: object) -> Mapping[str, object]:
        return {"Payload": io.BytesIO(msgspec.json.encode(self.answer))}

    def get_queue_attributes(self, **request: Any) -> object:
        count = "1" if request["QueueUrl"] == "UploadsDead" else "0"
        return {"Attributes": {**dict.fromkeys(request["AttributeNames"], count), "QueueArn": "arn"}}

    def receive_message(self, **_: object) -> object:
        attributes = {"SentTimestamp": "1700000000000", "ApproximateReceiveCount": "5"}
        return {"Messages": [{"Body": BODY, "MessageId": "m-1", "Attributes": attributes}]}

    def start_message_move_task(self, **_: str) -> None:
        pass

    def list_message_move_tasks(self, **_: object) -> object:
        return {"Results": [{"Status": "COMPLETED", "ApproximateNumberOfMessagesMoved": 1}]}

    def get_paginator(self, _: str) -> FakeAws:
        return self

    def paginate(self, **_: object) -> list[object]:
        line = json.dumps({"level": "ERROR", "message": "m-1: no model"})
        return [{"events": [{"timestamp": 1_700_000_000_500, "message": f"{line}\n"}]}]

    def head_object(self, **_: str) -> object:
        raise ClientError({"Error": {"Code": "404"}}, "HeadObject")

    def put_object(self, **request: Any) -> None:
        self.objects[request["Key"]] = request["Body"].read()


@pytest.fixture(name="made", scope="module")
def trained() -> World:
    """A world with a promoted model, a labelled audit share and a pool."""
    made = World()
    for index in range(160):
        made.label(index, digits.CLASSES[digits.labels()[index]], audit=index < 40)
    for index in range(160, 200):
        made.drop(index)
    made.serve(starter())
    assert run(JOB, made.ports) is Outcome.PROMOTED
    return made


@pytest.fixture
def typed(
    made: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Return a function that runs a command on a deployment of fakes, and parses what it prints."""

    def no_label_studio() -> None:
        raise ServiceUnavailable("Label Studio does not answer")

    observations = FakeObservations()
    version = made.champions.current.version
    result = DriftResult(Level.NONE, 200, 0.5, 0.6, 0.7)
    observations.save(Observation(version, 1.0, None, "2026-01-31", result))
    names = ("Rank", "Reconcile", "Watch", "Score", "Collect", "Rescore")
    outputs = {
        "ImagesBucket": "images",
        "TrainingThreshold": "20",
        "OpenTaskDays": "14",
        **{f"{name}FunctionName": name for name in names},
        **{f"{name}QueueUrl": name for name in QUEUES},
        **{f"{name}DeadLettersUrl": f"{name}Dead" for name in QUEUES},
    }
    aws = FakeAws()
    deployment = SimpleNamespace(
        **{
            name: getattr(made, name)
            for name in ("pool", "champions", "control", "labels", "history", "images", "training_records")
        },
        task_type=CLASSIFICATION,
        pool_report=made.pool,
        proposals=FakeProposals(),
        observations=observations,
        rescoring=FakeRescoring(),
        reading=FakeReadingProgress(),
        rounds=SimpleNamespace(last_number=lambda: 3),
        outputs=outputs,
        endpoint_url=None,
        label_studio_url="https://labels.example.com",
        mlflow_url="https://mlflow.example.com",
        label_studio_project=7,
        client=lambda *_: aws,
        label_studio=no_label_studio,
        class_history=lambda: ClassHistory,
    )
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: deployment)
    for module in ("deployment", "operations.addresses"):
        monkeypatch.setattr(f"octospoon.cli.{module}.local_project", lambda: None)

    def command(*arguments: str, answer: object = None, status: int = 0) -> Any:
        aws.answer = answer
        assert main([*arguments, "--json"]) == status
        return json.loads(capsys.readouterr().out)

    return command


def test_status_holds_every_part(typed: Callable[..., Any], made: World) -> None:
    document = typed("status")

    assert document["images"]["labelled"] == 160
    model, training, labelling = (document[part] for part in ("model", "training", "labelling"))
    assert model["version"] == made.champions.current.version
    assert model["drift"] == {
        "level": "none",
        "images": 200,
        "judged_until": "2026-01-31",
        "drifted": 0,
        "selectable": 0,
    }
    assert (labelling["rounds"], training["threshold"], training["job_id"]) == (3, 20, JOB)
    assert labelling["tasks"] == {
        "counts": None,
        "open_task_days": 0,
        "error": "Label Studio does not answer",
    }
    assert list(document["queues"]) == [name.lower() for name in QUEUES]
    uploads = {"waiting": 0, "in_work": 0, "dead_letters": 1, "examples": [BODY]}
    assert document["queues"]["uploads"] == uploads
    assert document["quarantine"] == {"examples": [], "more": False}
    assert document["addresses"] == {
        "label_studio": "https://labels.example.com/projects/7/data",
        "mlflow": "https://mlflow.example.com",
        "images_bucket": "s3://images",
        "endpoint_url": "",
    }


def test_status_shows_a_change_of_the_backbone(typed: Callable[..., Any], made: World) -> None:
    assert typed("status")["model"]["backbone_change"] is None
    change = BackboneChange(Candidate("lite0", "a" * 64, "b" * 64), made.champions.current)
    assert made.control.change_backbone(change)
    shown = {"backbone": "lite0", "stage": "requested", "reason": ""}
    assert typed("status")["model"]["backbone_change"] == shown


def test_report_holds_estimates_decisions_and_drift(typed: Callable[..., Any], made: World) -> None:
    document = typed("report")

    accuracy = document["measured"]["evaluation"]["accuracy"]
    assert 0 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
    assert document["measured"]["evaluation"]["audit_accuracy"]["labels"] == 40
    assert document["classes"] == list(made.champions.current.classes)
    assert document["decisions"][0]["promoted"] is True
    assert (document["drift"]["level"], document["drift_test"]["components_p"]) == ("none", 0.5)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("rank", asdict(RankReport(4, 50, 50, refreshed=2, tasks=TaskCounts(waiting=3)))),
        ("reconcile", asdict(ReconcileReport(tasks=9, annotations=2, finished=True))),
        ("watch", {"version": 3, "drift": "none", "asked": ""}),
    ],
)
def test_a_report_of_a_function_is_printed_as_it_is(
    typed: Callable[..., Any], command: str, answer: dict[str, object]
) -> None:
    assert typed(command, answer=answer) == answer


def test_dead_letters_come_with_their_reasons(typed: Callable[..., Any]) -> None:
    uploads, *others = typed("dlq", "list")

    assert (uploads["queue"], uploads["dead_letters"]) == ("uploads", 1)
    assert uploads["letters"] == [
        {"sent_at": 1_700_000_000.0, "tries": 5, "reason": "m-1: no model", "body": BODY}
    ]
    assert [(queue["dead_letters"], queue["letters"]) for queue in others] == [(0, [])] * 3
    assert typed("dlq", "redrive") == {"uploads": 1}


def test_each_log_event_is_one_line_of_json(typed: Callable[..., Any]) -> None:
    event = typed("logs", "score")

    assert event["at"] == 1_700_000_000.5
    assert json.loads(event["message"]) == {"level": "ERROR", "message": "m-1: no model"}


def test_drop_counts_uploads_and_what_it_skipped(typed: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(digits.png_bytes(1))
    (tmp_path / "notes.txt").write_text("no picture")

    assert typed("drop", str(tmp_path)) == {
        "uploaded": 1,
        "replaced": 0,
        "skipped": [
            {
                "reason": "the name does not end like the name of an image",
                "count": 1,
                "examples": [str(tmp_path / "notes.txt")],
            }
        ],
    }
    (tmp_path / "1.png").unlink()
    assert typed("drop", str(tmp_path), status=1)["uploaded"] == 0


def test_the_version_in_service_is_printed(typed: Callable[..., Any], made: World) -> None:
    assert typed("init-model") == {"model_version": made.champions.current.version}
