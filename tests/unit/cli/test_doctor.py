"""`octospoon doctor` against servers that answer as Label Studio, MLflow and the functions do."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from fakes.labelling import FakeProposals
from fakes.pool import FakePool
from unit.training.stack import World, starter

from octospoon.adapters.label_studio.api import LabelStudio, LabelStudioApi
from octospoon.adapters.label_studio.labelling_interface import labelling_interface, multiple_choice_interface
from octospoon.adapters.label_studio.queries import after
from octospoon.adapters.label_studio.setup import ACTIONS, SAMPLING, SECRET_HEADER
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.adapters.mlflow.rest import MlflowApi
from octospoon.cli.doctor import doctor
from octospoon.cli.main import main
from octospoon.cli.operations.queues import QUEUES
from octospoon.domain.labelling.answers import UncountedAnswer, UncountedAnswers
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.removals import Proposal
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.named import check_unchanged
from octospoon.domain.training.jobs import JobStatus, TrainingState
from octospoon.ports.models import ShardReading

if TYPE_CHECKING:
    from collections.abc import Iterator

CLASSES = ("cat", "dog")
TOKEN, HOOK, ASK = "label-studio-token", "webhook-secret", "predict-secret"
API = "/_aws/execute-api"


@dataclass
class Server:
    """Answers by method and path: status, and JSON, text or a function of the path; 404 for all others."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    signed: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Answers to requests with the webhook's secret."""
    bodies: list[bytes] = field(default_factory=list)

    @cached_property
    def http(self) -> ThreadingHTTPServer:
        answers, signed, bodies = self.answers, self.signed, self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                known = answers | signed if self.headers.get(SECRET_HEADER) == HOOK else answers
                status, answer = known.get(f"{self.command} {self.path.partition('?')[0]}", (404, {}))
                answer = answer(self.path) if callable(answer) else answer
                body = answer if isinstance(answer, str) else json.dumps(answer)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        return ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"


@dataclass
class Aws:
    """AWS's answers to the checks."""

    skew: float = 0.0
    depths: dict[str, int] = field(default_factory=dict)
    disabled: str = "Enabled"
    alias: bool = False
    """Whether an alias reads the queues."""
    gone: set[str] = field(default_factory=set)
    state: str = "Active"
    meta: Any = field(default_factory=lambda: SimpleNamespace(region_name="eu-west-1", partition="aws"))
    notifications: dict[str, Any] = field(default_factory=dict)
    cors: list[dict[str, Any]] = field(default_factory=list)

    def get_caller_identity(self) -> Any:
        date = formatdate(timeval=None if not self.skew else time.time() - self.skew, usegmt=True)
        return {"Arn": "arn:aws:iam::1:user/me", "ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    def head_bucket(self, *, Bucket: str) -> None:  # noqa: N803
        if Bucket in self.gone:
            raise ClientError({"Error": {"Code": "404", "Message": "Not Found"}}, "HeadBucket")

    def describe_table(self, *, TableName: str) -> Any:  # noqa: N803
        return {"Table": {"TableStatus": "DELETING" if TableName in self.gone else "ACTIVE"}}

    def get_function_configuration(self, *, FunctionName: str) -> Any:  # noqa: N803
        return {"State": self.state, "StateReason": "it was broken"}

    def list_event_source_mappings(self, *, EventSourceArn: str) -> Any:  # noqa: N803
        assert EventSourceArn == "arn:queue"
        states = [self.disabled, *(["Enabled"] if self.alias else [])]
        return {"EventSourceMappings": [{"UUID": "u", "State": state} for state in states]}

    def get_bucket_notification_configuration(self, *, Bucket: str) -> Any:  # noqa: N803
        topic = {"TopicConfigurations": [{"TopicArn": "arn:t", "Events": ["s3:ObjectRemoved:*"]}]}
        return {**topic, "ResponseMetadata": {}, **self.notifications}

    def get_bucket_cors(self, *, Bucket: str) -> Any:  # noqa: N803
        if not self.cors:
            raise ClientError({"Error": {"Code": "NoSuchCORSConfiguration"}}, "GetBucketCors")
        return {"CORSRules": self.cors}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> Any:  # noqa: N803
        counts = dict.fromkeys(AttributeNames, str(self.depths.get(QueueUrl, 0)))
        return {"Attributes": {**counts, "QueueArn": "arn:queue"}}


@dataclass
class Deployed:
    """A deployment in which every part answers correctly."""

    server: Server
    aws: Aws = field(default_factory=Aws)
    made: World = field(default_factory=World)
    classes: tuple[str, ...] = CLASSES
    label_studio_project: int = 3
    answers: UncountedAnswers = field(default_factory=lambda: UncountedAnswers({}))
    label_studio_url: str = ""
    endpoint_url: str = ""
    backlog: Any = None
    training: TrainingState = field(default_factory=TrainingState)
    kept: str = "classification"
    settings: dict[str, str] = field(default_factory=lambda: {"OCTOSPOON_MODEL_NAME": "octospoon"})

    def class_record(self) -> Any:
        return SimpleNamespace(read=lambda: ClassHistory(self.classes))

    def labeler(self, api: LabelStudioApi) -> LabelStudio:
        return LabelStudio(api, self.label_studio_project, SingleChoice())

    task_type = CLASSIFICATION

    @property
    def task_type_record(self) -> Any:
        return SimpleNamespace(
            check=lambda: check_unchanged(self.kept, self.task_type.name), read=lambda: self.kept
        )

    @property
    def labels(self) -> Any:
        return SimpleNamespace(uncounted=lambda _: self.answers)

    def __post_init__(self) -> None:
        self.endpoint_url = self.server.url
        self.made.serve(starter())
        kinds = ("QueueUrl", "DeadLettersUrl")
        names = [f"{queue}{kind}" for queue in QUEUES for kind in kinds]
        names += [f"{name}Bucket" for name in ("Images", "Artifacts")]
        names += [f"{name}Table" for name in ("Pool", "Annotations", "Control")]
        for kind in ("Score", "Rank", "Webhook", "Collect", "Reconcile", "Rescore", "Watch", "Predict"):
            names.append(f"{kind}FunctionName")
        self.outputs = {name: name for name in names}
        self.outputs |= {
            "Launcher": "queue",
            "OpenTaskDays": "14",
            "RestApiId": "hook",
            "PredictApiId": "ask",
        }
        self.outputs |= dict.fromkeys(("RestApiStage", "PredictApiStage"), "v1")
        self.outputs |= {"WebhookSecretArn": HOOK, "PredictSecretArn": ASK}
        self.hook: dict[str, Any] = {
            "url": f"{self.server.url}{API}/hook/v1/webhook",
            "is_active": True,
            "send_payload": True,
            "send_for_all_actions": False,
            "actions": list(ACTIONS),
            "headers": {SECRET_HEADER: HOOK},
        }
        self.project = {
            "task_number": 9,
            "finished_task_number": 2,
            "label_config": labelling_interface(CLASSES),
            "sampling": SAMPLING,
        }
        self.server.answers |= {
            "GET /_localstack/health": (200, {"version": "4.5"}),
            "GET /api/version": (200, {"release": "1.20"}),
            "GET /api/projects/3": (200, self.project),
            "GET /api/tasks": (200, {"tasks": [], "total": 7}),
            "GET /api/webhooks/": (200, [self.hook]),
            f"POST {API}/hook/v1/webhook": (401, "the secret header is missing or wrong"),
            f"GET {API}/ask/v1/health": (200, {"status": "UP"}),
            "GET /version": (200, "3.1"),
            "GET /api/2.0/mlflow/registered-models/alias": (200, {"model_version": {"version": "7"}}),
        }

        self.server.signed[f"POST {API}/hook/v1/webhook"] = (200, "ignored")

    control = property(lambda self: SimpleNamespace(state=lambda: self.training))
    pool = FakePool()
    proposals = FakeProposals()
    champions = property(lambda self: self.made.champions)
    reading = property(lambda self: self.made.rereading)
    training_records = property(lambda self: self.made.training_records)
    mlflow = property(lambda self: MlflowApi(self.server.url, lambda: ("", "")))

    def label_studio(self) -> LabelStudioApi:
        return LabelStudioApi(self.label_studio_url or self.server.url, lambda: TOKEN)

    def client(self, service: str) -> Aws:
        return self.aws

    def secret(self, name: str) -> str:
        return name


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=[0.02], daemon=True)
    thread.start()
    deployed = Deployed(server)
    monkeypatch.setattr(doctor, "find_deployment", lambda _: deployed)
    yield deployed
    server.http.shutdown()
    server.http.server_close()


def failed(deployed: Deployed) -> dict[str, tuple[str, str]]:
    """Return the message and the advice of each check that fails."""
    return {
        finding.check: (finding.message, finding.advice)
        for finding in doctor.findings(deployed)
        if not finding.ok
    }


def test_where_all_is_well_every_line_says_so(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0

    written = capsys.readouterr()
    rows = written.out.splitlines()[1:]
    assert len(rows) == 27
    assert all(" ok " in row for row in rows)
    for message in (
        "LocalStack 4.5",
        "version 1.20",
        "7 wait, 7 skipped, 7 abandoned",
        "version 3.1",
        "champion is version 7",
    ):
        assert message in written.out
    assert not [secret for secret in (TOKEN, HOOK, ASK) if secret in written.out]


def test_training_queue_that_no_worker_reads_is_named(deployed: Deployed) -> None:
    deployed.training = TrainingState(JobStatus.LAUNCHING, "train-000004", begun_at=time.time() - 3600)
    deployed.aws.depths["TrainingQueueUrl"] = 1
    problem, advice = failed(deployed)["training"]
    assert problem == "no worker reads the training queue: train-000004 has waited there for 60 minutes"
    assert "octospoon worker" in advice

    deployed.outputs["Launcher"] = "ecs"
    assert failed(deployed) == {}


@pytest.mark.parametrize(
    ("status", "age", "waiting"),
    [
        (JobStatus.LAUNCHING, 60, 1),
        (JobStatus.LAUNCHING, 3600, 0),
        (JobStatus.RUNNING, 3600, 1),
        (JobStatus.FAILED, 3600, 0),
    ],
)
def test_training_that_goes_on_is_no_problem(
    deployed: Deployed, status: JobStatus, age: float, waiting: int
) -> None:
    deployed.training = TrainingState(status, "train-000004", begun_at=time.time() - age, reason="no disk")
    deployed.aws.depths["TrainingQueueUrl"] = waiting
    assert failed(deployed) == {}


def test_training_jobs_that_are_lost_again_and_again_are_named(deployed: Deployed) -> None:
    deployed.training = TrainingState(JobStatus.FAILED, "train-000004", lost=2, reason="AccessDenied: no")
    problem, advice = failed(deployed)["training"]
    assert problem.startswith(
        "3 training jobs in a row did not come to their end; train-000004: AccessDenied"
    )
    assert "octospoon reconcile --full" in advice


@pytest.fixture
def existing(deployed: Deployed) -> Deployed:
    """A deployment that reads an existing bucket of its user."""
    deployed.outputs |= {"ImagesSource": "existing", "ImagesPrefixes": "photos/"}
    deployed.settings["OCTOSPOON_LABEL_STUDIO_URL"] = "https://labels.example.org:8443/studio/"
    deployed.backlog = SimpleNamespace(peek=lambda: 86_400.0)
    return deployed


def test_settings_that_an_existing_bucket_lacks_are_shown(existing: Deployed) -> None:
    failures = failed(existing)

    assert set(failures) == {"new images", "images in the browser"}
    command = failures["new images"][1]
    # the command replaces the whole configuration, so it must include the existing one
    shown = json.loads(command.partition("'{")[0] and "{" + command.partition("'{")[2].rpartition("'`")[0])
    assert shown["EventBridgeConfiguration"] == {}
    assert shown["TopicConfigurations"][0]["TopicArn"] == "arn:t"
    problem, advice = failures["images in the browser"]
    assert "https://labels.example.org:8443 read" in problem
    rule = json.loads(advice[advice.index("{") :])
    assert rule["AllowedOrigins"] == ["https://labels.example.org:8443"]
    existing.aws.cors = [rule]
    existing.aws.notifications = {"EventBridgeConfiguration": {}}
    assert failed(existing) == {}


def test_what_label_studio_needs_of_an_existing_bucket_is_shown(existing: Deployed) -> None:
    messages = {finding.check: finding.message for finding in doctor.findings(existing)}

    statement = json.loads(messages["access of Label Studio"].partition(": ")[2])
    assert statement["Resource"] == ["arn:aws:s3:::ImagesBucket", "arn:aws:s3:::ImagesBucket/photos/*"]
    assert "before 1970-01-02 00:00 UTC" in messages["older images"]


def test_json_says_the_same(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    deployed.aws.depths["RescoreDeadLettersUrl"] = 2

    assert main(["doctor", "--json"]) == 1

    written = capsys.readouterr()
    findings = json.loads(written.out)
    assert {finding["check"] for finding in findings if not finding["ok"]} == {"queue rescore"}
    assert set(findings[0]) == {"check", "ok", "message", "advice"}
    assert f"1 of {len(findings)} checks failed: queue rescore" in written.err


def test_what_fails_in_aws_is_told_with_what_to_do(deployed: Deployed) -> None:
    deployed.aws = Aws(skew=400.0, depths={"UploadsDeadLettersUrl": 3}, disabled="Disabled", state="Failed")
    deployed.aws.gone = {"ImagesBucket", "PoolTable"}

    failures = failed(deployed)

    assert re.fullmatch(r"40[01] s ahead of AWS's", failures["clock"][0])
    assert failures["queue uploads"] == (
        "0 waiting, 0 in work, 3 dead letters",
        "`octospoon dlq list` shows why",
    )
    assert failures["event sources"][0] == "ScoreFunctionName does not read its queue: u is Disabled"
    assert failures["functions"][0] == "ScoreFunctionName is Failed: it was broken"
    assert "Not Found" in failures["buckets"][0]
    assert failures["tables"][0] == "PoolTable is DELETING"
    assert all(advice for _, advice in failures.values())
    assert len(failures) == 6


def test_a_queue_that_an_alias_reads_is_read(deployed: Deployed) -> None:
    deployed.aws.disabled, deployed.aws.alias = "Disabled", True
    assert failed(deployed) == {}


def test_without_credentials_the_rest_is_checked_all_the_same(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: Aws) -> Any:
        raise NoCredentialsError

    monkeypatch.setattr(Aws, "get_caller_identity", none)

    assert set(failed(deployed)) == {"credentials", "clock"}


def test_a_webhook_that_was_changed_is_told(deployed: Deployed) -> None:
    deployed.hook["is_active"] = False
    deployed.hook["headers"] = {SECRET_HEADER: "an older secret"}

    failures = failed(deployed)

    message, advice = failures["webhook"]
    assert message == "it is not active"
    assert "octospoon label-studio-connect" in advice
    message, advice = failures["test delivery"]
    assert f"refuses the header {SECRET_HEADER}" in message
    assert "octospoon label-studio-connect" in advice
    assert set(failures) == {"webhook", "test delivery"}


def test_the_test_delivery_sends_the_headers_that_label_studio_has(deployed: Deployed) -> None:
    assert failed(deployed) == {}
    assert b'{"action":"OCTOSPOON_TEST"}' in deployed.server.bodies

    deployed.server.signed.clear()
    deployed.server.answers[f"POST {API}/hook/v1/webhook"] = (200, "ok")
    assert "answered 200, not 200 ignored: ok" in failed(deployed)["test delivery"][0]


@pytest.mark.parametrize("secret", ["sécret", "zwei\nZeilen", "a\x00b", "", "日本"])
def test_secret_that_label_studio_cannot_send_is_reported_unquoted(deployed: Deployed, secret: str) -> None:
    deployed.hook["headers"] = {SECRET_HEADER: secret}

    message, _ = failed(deployed)["test delivery"]

    assert message.startswith(f"the secret header {SECRET_HEADER} ")
    assert not secret or secret not in message


def test_answers_that_do_not_count_are_told(deployed: Deployed) -> None:
    example = UncountedAnswer("a.png", 7, 3, "no-class")
    deployed.answers = UncountedAnswers({"no-class": 1200}, (example,))

    message, advice = failed(deployed)["answers"]

    assert message.startswith(
        "1,200 answers do not count: 1,200 answered without a class; such as a.png (task 7"
    )
    assert "octospoon reconcile --full" in advice


def test_another_sampling_is_told(deployed: Deployed) -> None:
    deployed.project["sampling"] = "Uncertainty sampling"

    message, advice = failed(deployed)["order of tasks"]

    assert message.startswith("the project uses Uncertainty sampling")
    assert "label-studio-connect" in advice


def test_what_fails_in_label_studio_and_mlflow_is_told(deployed: Deployed) -> None:
    deployed.project["label_config"] = labelling_interface(CLASSES[:1])
    deployed.server.answers["GET /api/version"] = (500, "out of order")
    deployed.server.answers["GET /api/2.0/mlflow/registered-models/alias"] = (401, "who are you?")
    deployed.server.answers[f"POST {API}/hook/v1/webhook"] = (502, "Internal server error")

    failures = failed(deployed)

    assert failures["labelling interface"][0] == "it does not offer dog: add them"
    assert "out of order" in failures["Label Studio"][0]
    assert "who are you?" in failures["MLflow"][0]
    assert "answered 502, not 401" in failures["webhook's address"][0]
    assert len(failures) == 4, "with its secret, it answers"


def test_images_that_were_not_read_again_are_told(deployed: Deployed) -> None:
    reading = deployed.made.rereading
    run = reading.begin(2, 5, 20_000)
    reading.takes(ShardReading(run, 0, 30, 1), 3, 10.0, 0.0)
    assert failed(deployed) == {}, "it goes on"

    for shard in range(SHARDS):
        reading.done(ShardReading(run, shard, 50, int(shard == 7)))
    problem, advice = failed(deployed)["images read again"]
    assert problem == "800 by version 5, 16 of 16 shards; 1 could not be scored in time"
    assert "`octospoon rescore --full`" in advice


def test_another_kind_of_label_is_told(deployed: Deployed) -> None:
    deployed.project["label_config"] = multiple_choice_interface(CLASSES)
    deployed.kept = "multilabel"

    failures = failed(deployed)

    assert set(failures) == {"labelling interface", "task type"}
    assert "one of multilabel, where annotators choose any classes" in failures["labelling interface"][0]
    assert "--replace-interface" in failures["labelling interface"][1]
    assert "labels of the task type multilabel" in failures["task type"][0]


def test_server_that_is_down_is_reported_without_passwords(deployed: Deployed) -> None:
    deployed.server.answers["GET /_localstack/health"] = (503, {})
    deployed.label_studio_url = "http://me:passw0rd@127.0.0.1:9"

    failures = failed(deployed)

    labelling = {"Label Studio", "tasks", "labelling interface", "order of tasks"}
    labelling |= {"webhook", "test delivery"}
    assert set(failures) == {"AWS", *labelling}
    assert "http://127.0.0.1:9 does not answer" in failures["Label Studio"][0]
    assert "passw0rd" not in str(failures)


def test_what_is_not_what_it_should_be_is_told_too(deployed: Deployed) -> None:
    del deployed.outputs["PoolTable"]
    deployed.server.answers["GET /api/version"] = (200, "<html>a page of somebody else</html>")

    failures = failed(deployed)

    assert failures["tables"][0].startswith("the stack has no 'PoolTable'")
    assert failures["Label Studio"][0].startswith("another program answers there")
    assert len(failures) == 2


def test_tracking_server_may_be_absent_or_hide_its_version(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    del deployed.server.answers["GET /version"]
    findings = {finding.check: finding for finding in doctor.findings(deployed)}
    assert findings["MLflow"].message.startswith("of unknown version at")

    monkeypatch.setattr(Deployed, "mlflow", None)
    findings = {finding.check: finding for finding in doctor.findings(deployed)}
    assert (findings["MLflow"].ok, findings["MLflow"].message[:14]) == (True, "not configured")


def test_a_champion_that_was_damaged_or_is_missing(deployed: Deployed) -> None:
    pointer = deployed.champions.current
    deployed.champions.files.clear()
    assert failed(deployed)["champion"][0] == "there is no such file"

    deployed.champions.files[pointer.sha256] = starter()[:1000]
    assert set(failed(deployed)) == {"champion"}

    deployed.champions.files[pointer.sha256] = starter()
    assert "champion" not in failed(deployed)
    deployed.champions.current = replace(pointer, record_sha256="d" * 64)
    assert "training record of version" in failed(deployed)["champion"][0]

    deployed.champions.current = None
    assert "octospoon init-model" in failed(deployed)["champion"][0]


def test_without_a_stack_one_line_says_how_to_name_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCTOSPOON_STACK", raising=False)

    assert main(["doctor"]) == 1

    (row,) = capsys.readouterr().out.splitlines()[1:]
    assert row.startswith("stack  FAILED")
    assert "name it with --stack" in row


def test_tasks_that_are_not_ours_are_named(deployed: Deployed) -> None:
    task = {"id": 31, "data": {"image": "s3://images/a.png"}}
    behind = quote_plus(json.dumps(after(task["id"])))

    def page(path: str) -> Any:
        return {"tasks": [] if behind in path else [task], "total": 6}

    deployed.server.answers["GET /api/tasks"] = (200, page)

    failures = failed(deployed)

    message, advice = failures["tasks"]
    assert message.startswith("6 tasks are not octospoon's, 6 of them answered")
    assert message.endswith("such as task 31 (s3://images/a.png)")
    assert "Data Manager" in advice
    assert "Sync Storage" in advice
    assert set(failures) == {"tasks"}


def test_labels_that_may_be_removed_are_told(deployed: Deployed) -> None:
    deployed.proposals = FakeProposals(Proposal("id", "3 of 2026", "walk", 30, 31, ("a.png", "b.png")))

    failures = failed(deployed)

    assert failures["labels"][0] == (
        "31 annotations are no longer in project 3 of 2026; 30 images would lose a label, "
        "such as a.png, b.png; nothing was removed"
    )
    assert "--accept-removals" in failures["labels"][1]
