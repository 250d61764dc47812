"""A separate deployment on the real servers: tables, buckets, queues and a Label Studio project.

The functions reach all of it through proxies. What LocalStack's event sources do elsewhere, the lab does,
so that a lane decides what comes when.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from contract.conftest import copy_table
from e2e.faults.proxy import LATE, Fault, Proxy, Schedule
from recording import recorded

from octospoon.adapters.dynamodb.control.rounds import DynamoRounds
from octospoon.adapters.dynamodb.control.table import ControlTable
from octospoon.adapters.dynamodb.control.training import DynamoControl
from octospoon.adapters.dynamodb.label_counter import LabelCounter
from octospoon.adapters.dynamodb.labels import DynamoLabels
from octospoon.adapters.dynamodb.pool.entries import DynamoEntries
from octospoon.adapters.dynamodb.pool.ranking import DynamoRankingPool
from octospoon.adapters.dynamodb.pool.report import DynamoPoolReport
from octospoon.adapters.dynamodb.pool.scores import Order
from octospoon.adapters.dynamodb.pool.scoring import DynamoScoringPool
from octospoon.adapters.label_studio.api import LabelStudio, LabelStudioApi
from octospoon.adapters.label_studio.choices import choice
from octospoon.adapters.label_studio.setup import SECRET_HEADER, LabelStudioSetup
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.adapters.s3.artifacts import S3Artifacts, S3Champions
from octospoon.adapters.s3.rounds import RoundFiles
from octospoon.cli.operations.label_studio_access import webhook_secret
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import Annotation
from octospoon.domain.model_spec import ChampionPointer, head_key, model_key
from octospoon.domain.pool.images import ImageRef, Prediction, State
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.training.jobs import JobStatus
from octospoon.training.model import starter
from octospoon.training.model.model_file import assemble, backbone_spec, head_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from octospoon.cli.local.assemble import LocalStack
    from octospoon.ports.labelling import AnnotatedTask

EVERY = os.environ.get("OCTOSPOON_FAULTS") == "every"
"""Every fault at every step, as `make faults` wants it; else two, where others see what changes."""
heavy = pytest.mark.skipif(not EVERY, reason="takes minutes: make faults")
CLASSES = ("cat", "dog")
FUNCTIONS = ("score", "rank", "webhook", "collect", "reconcile", "rescore", "predict")
NO_FUNCTION = "nobody"
"""A function that does not exist: asked in vain, which stops nothing."""
LATER = 4000.0
DIM = 64
NEVER = 1_000_000


@cache
def _backbone() -> bytes:
    return starter.build(32, DIM)


class Host:
    """The process that runs the functions' handlers, each invocation in a child."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.log, self.calls = folder / "functions.log", folder / "calls.jsonl"
        self._lock = threading.Lock()
        self.pid = 0
        command = [sys.executable, "-m", "e2e.faults.host"]
        place = {
            "HOST_LOG": str(self.log),
            "HOST_CALLS": str(self.calls),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        self._process = subprocess.Popen(
            command, env=env | place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, request: dict[str, Any]) -> tuple[int, Any]:
        """Return the exit status (-9 where it was killed), and the handler's answer."""
        with self._lock:
            self._say(json.dumps(request))
            self.pid = self._hear()["pid"]
            self._say("go")
            ended = self._hear()
            self.pid = 0
        return ended["status"], ended["answer"]

    def metric(self, name: str) -> float:
        """Sum a metric over everything that the functions have logged."""
        total = 0.0
        for line in self.log.read_text().splitlines():
            if '"_aws"' in line and f'"{name}":' in line:
                value = json.loads(line)[name]
                total += sum(value) if isinstance(value, list) else value
        return total

    def kill(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


class Receiver:
    """Receives Label Studio's webhooks; a test delivers or drops them."""

    def __init__(self) -> None:
        received: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.received = received
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Lab:
    def __init__(self, stack: LocalStack, host: Host, threshold: int = NEVER, batch: int = 2) -> None:
        self.stack, self.host = stack, host
        self.schedule = Schedule(kill=host.kill)
        self._open = contextlib.ExitStack()
        aws = self._open.enter_context(Proxy("aws", stack.project.endpoint_url, self.schedule))
        studio = self._open.enter_context(
            Proxy("label-studio", stack.project.label_studio_url, self.schedule)
        )
        self.offset = 0.0
        self.trained: list[str] = []
        self._assumed: dict[str, dict[str, str]] = {}
        self.run_job: Callable[[str], object] = self._only_state
        self._stores(aws.url)
        self._label_studio()
        env = {
            "AWS_ENDPOINT_URL": aws.url,
            "OCTOSPOON_LABEL_STUDIO_URL": studio.url,
            "OCTOSPOON_LABEL_STUDIO_PROJECT": str(self.project),
            "OCTOSPOON_CLASSES": ",".join(CLASSES),
            "OCTOSPOON_BATCH_SIZE": str(batch),
            "OCTOSPOON_FIRST_BATCH_SIZE": str(NEVER),
            "OCTOSPOON_AUDIT_SHARE": "0",
            "OCTOSPOON_STRATEGY": "random",
            "OCTOSPOON_MAX_OPEN_TASKS": str(NEVER),
            "OCTOSPOON_TRAINING_THRESHOLD": str(threshold),
            "OCTOSPOON_MLFLOW_URL": "",
        }
        self.env = env | self._names

    # -- setting up -----------------------------------------------------------------------------

    def _stores(self, proxy: str) -> None:
        deployment, outputs = self.stack.deployment, self.stack.project.outputs
        dynamodb, self.s3, self.sqs = (deployment.client(name) for name in ("dynamodb", "s3", "sqs"))
        tables = {
            name: copy_table(dynamodb, outputs[f"{name.capitalize()}Table"])
            for name in ("pool", "annotations", "control")
        }
        mark = uuid.uuid4().hex
        self.bucket, artifacts = f"faults-images-{mark}", f"faults-artifacts-{mark}"
        for bucket in (self.bucket, artifacts):
            self.s3.create_bucket(Bucket=bucket)
        self.queues = {
            name: self.sqs.create_queue(QueueName=f"faults-{name}-{mark}")["QueueUrl"]
            for name in ("uploads", "annotations", "training", "rescore")
        }
        store = S3Artifacts(self.s3, artifacts)
        self.champions = S3Champions(store)
        self.serve(version=1)
        self.control_table = ControlTable(dynamodb, tables["control"])
        self.control = DynamoControl(self.control_table, self.now)
        self.rounds = DynamoRounds(self.control_table, RoundFiles(store))
        counter = LabelCounter(dynamodb, tables["control"])
        self.scoring = DynamoScoringPool(
            dynamodb, tables["pool"], Order("margin", CLASSIFICATION), self.now, counter
        )
        self.pool = DynamoRankingPool(dynamodb, tables["pool"], self.now)
        self.pool_report = DynamoPoolReport(dynamodb, tables["pool"])
        self.entries = DynamoEntries(dynamodb, tables["pool"])
        self.labels = DynamoLabels(
            dynamodb,
            tables["pool"],
            tables["annotations"],
            self.control_table,
            CLASSIFICATION.labels,
            self.now,
        )
        self._names = {f"OCTOSPOON_{name.upper()}_TABLE": table for name, table in tables.items()}
        self._names |= {"OCTOSPOON_IMAGES_BUCKET": self.bucket, "OCTOSPOON_ARTIFACTS_BUCKET": artifacts}
        real = self.stack.project.endpoint_url
        self._names |= {
            f"OCTOSPOON_{name.upper()}_QUEUE_URL": url.replace(real, proxy)
            for name, url in self.queues.items()
        }

    def serve(self, version: int) -> None:
        """Put a model into service: a small backbone, and an untrained head."""
        spec = replace(backbone_spec(_backbone(), "squash"), classes=CLASSES, version=version)
        head = head_file(np.zeros((DIM, len(CLASSES)), np.float32), np.zeros(len(CLASSES), np.float32), spec)
        model, top = self.champions.put_model(assemble(_backbone(), head, spec), head)
        pointer = ChampionPointer(
            version, model, model_key(model), spec.backbone, head_key(top), top, CLASSES
        )
        stored = self.champions.pointer()
        pointer = pointer.after(stored[0] if stored else None)
        assert self.champions.promote(pointer, stored[1] if stored else None)
        self.prediction = Prediction(
            version,
            spec.backbone,
            np.zeros(DIM, np.float32),
            np.array([0.6, 0.4], np.float32),
            pointer.generation,
        )

    def _label_studio(self) -> None:
        self.api = LabelStudioApi(
            self.stack.project.label_studio_url, lambda: self.stack.servers.credentials.token
        )
        self.receiver = Receiver()
        setup = LabelStudioSetup(self.api)
        self.project = setup.project(f"faults {uuid.uuid4().hex[:8]}", CLASSES, SingleChoice())
        self.secret = webhook_secret(self.stack.deployment)
        setup.webhook(self.project, self.receiver.url, self.secret)
        self.labeler = LabelStudio(self.api, self.project, SingleChoice())

    def close(self) -> None:
        self.api.call("DELETE", f"/api/projects/{self.project}")
        self.receiver.close()
        self.api.close()
        self._open.close()

    def now(self) -> float:
        return time.time() + self.offset

    def assume_roles(self) -> None:
        """From now on each function makes its requests with the role that the template gives it.

        Its policies are for the stack's resources: the record says which of them the lab's stand for.
        """
        deployed: dict[str, str] = {}
        for function in FUNCTIONS:
            deployed |= self._deployed(function)
        same = {_name(value): _name(deployed[variable]) for variable, value in self._names.items()}
        same[NO_FUNCTION] = self.stack.project.outputs["RankFunctionName"]
        self.stands_for(same)
        self._assumed = {function: self._credentials(function) for function in FUNCTIONS}

    def stands_for(self, same: dict[str, str]) -> None:
        """Say in the record which resources of the lab stand for which of the stack, by their names."""
        with recorded().open("a", encoding="utf-8") as record:
            record.write(json.dumps({"same": same}) + "\n")

    def role(self, function: str) -> str:
        """The name of the role of a function."""
        return str(self._configuration(function)["Role"].rpartition("/")[2])

    def _credentials(self, function: str) -> dict[str, str]:
        sts = self.stack.deployment.client("sts")
        role = self._configuration(function)["Role"]
        given = sts.assume_role(RoleArn=role, RoleSessionName=function)["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }

    # -- invoking -------------------------------------------------------------------------------

    def invoke(self, function: str, event: dict[str, Any] | None = None) -> tuple[int, Any]:
        return self.host.run(self.request(function, event))

    def request(self, function: str, event: dict[str, Any] | None = None) -> dict[str, Any]:
        return {
            "function": function,
            "event": event or {},
            "env": self._deployed(function) | self.env | self._assumed.get(function, {}),
            "offset": self.offset,
            "settling": -1.0,
            "patience": LATE - 1 if self.schedule.fault is Fault.LATE else 20.0,
        }

    def _deployed(self, function: str) -> dict[str, str]:
        """The variables that the deployed function has: the template's own."""
        return dict(self._configuration(function)["Environment"]["Variables"])

    @cache  # noqa: B019 - a lab lives as long as its lane
    def _configuration(self, function: str) -> Any:
        name = self.stack.project.outputs[f"{function.capitalize()}FunctionName"]
        return self.stack.deployment.client("lambda").get_function_configuration(FunctionName=name)

    def faulty(self, function: str, event: dict[str, Any] | None, fault: Fault | None, at: int) -> int:
        self.schedule.plan(fault, at)
        status, _ = self.invoke(function, event)
        self.schedule.plan(None)
        return status

    def steps(self, function: str, event: dict[str, Any] | None = None) -> list[str]:
        """Run without a fault; return the requests of the run."""
        self.schedule.plan(None)
        status, answer = self.invoke(function, event)
        assert status == 0, self.host.log.read_text()[-3000:]
        assert not (answer or {}).get("batchItemFailures"), self.host.log.read_text()[-3000:]
        return list(self.schedule.requests)

    def reopen(self) -> None:
        """Put the newest round into the state in which a run that dies before its last step leaves it."""
        values: dict[str, str | float] = {"status": "open", "export_until": 0.0}
        assert self.control_table.update("round", dict(values), "attribute_exists(#number)", {})

    def register(self, versions: int) -> str:
        """Register models in the real MLflow for the functions; return the model's name."""
        base = f"{self.stack.project.mlflow_url}/api/2.0/mlflow"
        name = f"faults-{uuid.uuid4().hex[:8]}"
        httpx.post(f"{base}/registered-models/create", json={"name": name}).raise_for_status()
        for _ in range(versions):
            body = {"name": name, "source": "s3://models/m"}
            httpx.post(f"{base}/model-versions/create", json=body).raise_for_status()
        self.env |= {
            "OCTOSPOON_MLFLOW_URL": self.stack.project.mlflow_url,
            "OCTOSPOON_MODEL_NAME": name,
        }
        return name

    # -- the outside world ----------------------------------------------------------------------

    def scored(self, count: int) -> list[str]:
        """Add images to the bucket and the pool, as scoring does."""
        keys = [f"{uuid.uuid4().hex}.png" for _ in range(count)]
        for key in keys:
            self.replace(key)
        return keys

    def replace(self, key: str) -> None:
        """Upload new bytes under a key, and score them."""
        body = uuid.uuid4().bytes
        etag = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["ETag"].strip('"')
        image = ImageRef(key, etag, f"{time.time_ns():032x}", len(body))
        assert self.scoring.put_score(image, self.prediction)

    def tasks(self) -> list[AnnotatedTask]:
        tasks: list[AnnotatedTask] = []
        while page := self.labeler.changed(0, tasks[-1].id if tasks else 0, 500):
            by_id = {task.id: task for task in self.labeler.tasks_of([task.key for task in page])}
            tasks += [by_id[task.id] for task in page]
        return tasks

    def annotate(self, task: int, label: str) -> None:
        self.api.call("POST", f"/api/tasks/{task}/annotations/", json={"result": [choice(label)]})

    def hooks(self) -> list[dict[str, Any]]:
        """Return the webhooks that have arrived, as events of the REST API."""
        bodies, self.receiver.received[:] = list(self.receiver.received), []
        headers = {SECRET_HEADER: self.secret, "Content-Type": "application/json"}
        return [{"headers": headers, "body": body.decode(), "isBase64Encoded": False} for body in bodies]

    def deliveries(self, queue: str = "annotations") -> Iterator[dict[str, Any]]:
        """Yield each waiting message as a batch of one; the caller calls `done` to delete it."""
        while messages := self.sqs.receive_message(
            QueueUrl=self.queues[queue], MaxNumberOfMessages=1, VisibilityTimeout=0
        ).get("Messages"):
            yield {
                "Records": [
                    {
                        "messageId": message["MessageId"],
                        "body": message["Body"],
                        "receipt": message["ReceiptHandle"],
                    }
                    for message in messages
                ]
            }

    def delivery(self, part: str, queue: str = "annotations") -> dict[str, Any]:
        """Return the one waiting message that contains this text, as a batch of one."""
        messages = self.sqs.receive_message(
            QueueUrl=self.queues[queue], MaxNumberOfMessages=10, VisibilityTimeout=0
        )["Messages"]
        (delivery,) = [message for message in messages if part in message["Body"]]
        record = {
            "messageId": delivery["MessageId"],
            "body": delivery["Body"],
            "receipt": delivery["ReceiptHandle"],
        }
        return {"Records": [record]}

    def done(self, event: dict[str, Any], queue: str = "annotations") -> None:
        for record in event["Records"]:
            self.sqs.delete_message(QueueUrl=self.queues[queue], ReceiptHandle=record["receipt"])

    def train(self) -> None:
        """Run the jobs of the training queue as the worker does. Most only change the job's state."""
        for event in self.deliveries("training"):
            job = json.loads(event["Records"][0]["body"])["job_id"]
            self.run_job(job)
            self.done(event, "training")

    def _only_state(self, job: str) -> None:
        if self.control.start(job, self.now() + 600):
            self.trained.append(job)
            self.control.finish(job, "done")

    # -- recovering and checking ----------------------------------------------------------------

    def collect_all(self) -> None:
        for event in self.deliveries():
            status, answer = self.invoke("collect", event)
            assert (status, answer) == (0, {"batchItemFailures": []}), self.host.log.read_text()[-3000:]
            self.done(event)

    def recover(self) -> dict[str, Any]:
        """Deliver waiting messages, let every lease expire and reconcile, as happens without people."""
        self.schedule.plan(None)
        self.collect_all()
        self.train()
        self.offset += LATER
        for _ in range(2 if self.rounds.open() else 0):
            self.invoke("rank")
        status, report = self.invoke("reconcile", {"full": True})
        assert status == 0, self.host.log.read_text()[-3000:]
        self.train()
        return dict(report)

    def violations(self, images: Sequence[str]) -> list[str]:
        """Return every broken invariant, according to the real stores and Label Studio's answers."""
        entries = self.entries.entries(images)
        tasks = self.tasks()
        wrong = [f"{key} is in no state" for key in images if key not in entries]
        every = Counter((task.key, task.etag) for task in tasks)
        wrong += [f"{key} is {n} times in Label Studio" for (key, _), n in every.items() if n > 1]
        labelled = 0
        for key, entry in entries.items():
            mine = [task for task in tasks if (task.key, task.etag) == (key, entry.etag)]
            label = CLASSIFICATION.consensus(_annotations(mine), ClassHistory()).label
            standing = self.labels.label_state(key)
            stored = standing.label if standing else None
            labelled += stored is not None
            expected = {
                State.SCORED: not mine,
                State.EXPORTED: bool(mine) and label is None,
                State.LABELLED: label is not None,
            }
            if stored != label or not expected.get(entry.state, False):
                wrong.append(f"{key} is {entry.state} as {stored}; Label Studio: {len(mine)} tasks, {label}")
        return wrong + self._counted(labelled)

    def _counted(self, labelled: int) -> list[str]:
        state = self.control.state()
        wrong = []
        if not state.jobs and state.new_labels != labelled:
            wrong.append(f"the counter says {state.new_labels}, {labelled} images are labelled")
        if state.status in (JobStatus.LAUNCHING, JobStatus.RUNNING):
            wrong.append(f"job {state.job_id} is {state.status}, and nobody runs it")
        waiting = self.sqs.get_queue_attributes(
            QueueUrl=self.queues["annotations"], AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]["ApproximateNumberOfMessages"]
        if waiting != "0":
            wrong.append(f"{waiting} messages wait for nobody")
        return wrong


def _name(resource: str) -> str:
    """Return the name of a table, a bucket, or a queue that is given by its address."""
    return resource.rpartition("/")[2]


def _annotations(tasks: Sequence[AnnotatedTask]) -> list[Annotation]:
    return [
        Annotation(
            task.key,
            task.etag,
            body.unique_id,
            body.id,
            body.updated_at,
            str(body.completed_by),
            body.result[0]["value"]["choices"][0] if body.result else None,
        )
        for task in tasks
        for body in task.annotations
    ]


def host_environment(stack: LocalStack) -> dict[str, str]:
    """Return the variables of a function's process: those for AWS, and those of this machine."""
    return {
        **{name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ},
        **stack.servers.aws_environment(),
        "POWERTOOLS_METRICS_NAMESPACE": "octospoon",
        "POWERTOOLS_SERVICE_NAME": "faults",
        "AWS_LAMBDA_FUNCTION_NAME": "faults",
    }
