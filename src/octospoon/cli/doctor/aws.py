"""The checks of `octospoon doctor` in AWS, or in LocalStack."""

from __future__ import annotations

import platform
import tempfile
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from octospoon import __version__
from octospoon.adapters.http_errors import described
from octospoon.adapters.onnx.file_reader import LinearHead, read_spec
from octospoon.adapters.tls import tls_settings
from octospoon.cli import extras
from octospoon.cli.doctor.check import Advised, Check
from octospoon.cli.operations.functions import FUNCTIONS
from octospoon.cli.operations.queues import QUEUES, depth
from octospoon.domain.errors import NotConfigured, ServiceUnavailable
from octospoon.domain.health import MOST_SKEW, champion_advice, model_problems
from octospoon.domain.labelling.class_translation import translation
from octospoon.domain.pool.keys import SHARDS

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment

_SECONDS = 10.0
_READERS = {"Score": "Uploads", "Collect": "Annotations", "Rescore": "Rescore"}
_READS = ("Enabled", "Updating")
_DEPLOY = "deploy the stack again: on AWS `sam deploy`, on this machine `make down`, then `make up`"

_READ = "`octospoon dlq list` shows what failed, and `octospoon rescore --full` reads the other images"


def checks() -> list[Check]:
    """Return the independent checks of the AWS resources."""
    return [
        Check("versions", _versions, ""),
        Check("credentials", _credentials, "sign in first, for example with `aws sso login`"),
        Check("AWS", _endpoint, "start the local stack: `make up`"),
        Check("clock", _clock, "synchronise the clock of this machine by NTP"),
        Check("buckets", _buckets, _DEPLOY),
        Check("tables", _tables, _DEPLOY),
        Check("functions", _functions, f"{_DEPLOY}; `octospoon logs` shows the log of a function"),
        Check("event sources", _event_sources, "`aws lambda update-event-source-mapping --enabled --uuid …`"),
        *(Check(f"queue {name.lower()}", _Queue(name), "`octospoon dlq list` shows why") for name in QUEUES),
        Check("champion", _champion, "`octospoon model rollback` puts the previous version into service"),
        Check("images read again", _reading, _READ),
    ]


def _versions(deployment: Deployment) -> str:
    del deployment
    return f"Python {platform.python_version()}, octospoon {__version__}"


def _credentials(deployment: Deployment) -> str:
    return f"signed in as {deployment.client('sts').get_caller_identity()['Arn']}"


def _endpoint(deployment: Deployment) -> str:
    if deployment.endpoint_url is None:
        return f"region {deployment.client('sts').meta.region_name}"
    try:
        answer = httpx.get(
            f"{deployment.endpoint_url}/_localstack/health", timeout=_SECONDS, verify=tls_settings()
        )
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ServiceUnavailable(f"LocalStack does not answer: {described(error)}") from None
    return f"LocalStack {answer.json().get('version', 'of unknown version')} at {deployment.endpoint_url}"


def _clock(deployment: Deployment) -> str:
    sts, before = deployment.client("sts"), time.time()
    headers = sts.get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]
    middle = (before + time.time()) / 2
    # AWS cuts fractions of a second off: half a second is the mean
    skew = middle - parsedate_to_datetime(headers["date"]).timestamp() - 0.5
    difference = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS's"
    if abs(skew) > MOST_SKEW:
        raise NotConfigured(difference)
    return difference


def _buckets(deployment: Deployment) -> str:
    names = [deployment.outputs[f"{kind}Bucket"] for kind in ("Images", "Artifacts")]
    for name in names:
        deployment.client("s3").head_bucket(Bucket=name)
    return ", ".join(names)


def _tables(deployment: Deployment) -> str:
    names = [deployment.outputs[f"{kind}Table"] for kind in ("Pool", "Annotations", "Control")]
    for name in names:
        status = deployment.client("dynamodb").describe_table(TableName=name)["Table"]["TableStatus"]
        if status not in ("ACTIVE", "UPDATING"):
            raise NotConfigured(f"{name} is {status}")
    return ", ".join(names)


def _functions(deployment: Deployment) -> str:
    lambdas = deployment.client("lambda")
    for kind in FUNCTIONS:
        name = deployment.outputs[f"{kind.capitalize()}FunctionName"]
        state = lambdas.get_function_configuration(FunctionName=name)
        # a function without calls for weeks is Inactive; the next call activates it
        if state.get("State") not in ("Active", "Inactive") or state.get("LastUpdateStatus") == "Failed":
            raise NotConfigured(f"{name} is {state.get('State')}: {state.get('StateReason', '')}")
    return f"{len(FUNCTIONS)} can be called"


def _event_sources(deployment: Deployment) -> str:
    """Check that every queue is read. With ScoreSnapshot, an alias of `score` reads it, not the function."""
    lambdas, sqs = deployment.client("lambda"), deployment.client("sqs")
    for kind, queue in _READERS.items():
        url = deployment.outputs[f"{queue}QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sources = lambdas.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
        if not any(source["State"] in _READS for source in sources):
            states = ", ".join(f"{source['UUID']} is {source['State']}" for source in sources)
            name = deployment.outputs[f"{kind}FunctionName"]
            raise NotConfigured(f"{name} does not read its queue: {states or 'it has no event source'}")
    return f"{len(_READERS)} queues are read"


class _Queue:
    """The check of a queue and its dead letters."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, deployment: Deployment) -> str:
        sqs = deployment.client("sqs")
        waiting, working = depth(sqs, deployment.outputs[f"{self._name}QueueUrl"])
        dead, _ = depth(sqs, deployment.outputs[f"{self._name}DeadLettersUrl"])
        counts = f"{waiting:,} waiting, {working:,} in work, {dead:,} dead letters"
        if dead:
            raise NotConfigured(counts)
        return counts


def _champion(deployment: Deployment) -> str:
    current = deployment.champions.pointer()
    if current is None:
        raise Advised("no model is in service: run `octospoon init-model`", "it puts a backbone into service")
    pointer = current[0]
    with tempfile.TemporaryDirectory() as folder:
        file = deployment.champions.fetch(pointer, Path(folder))
        spec = read_spec(file)
        if pointer.head_key:
            LinearHead(deployment.champions.fetch_head(pointer, Path(folder)))
        deployment.training_records.get(pointer)
        ran = _runs(file)
    history = deployment.class_record().read()
    known = translation(history, pointer.classes).names
    problems = model_problems(
        served=known,
        project=history.names,
        file=translation(history, spec.classes).names,
        backbones=(pointer.backbone, spec.backbone),
    )
    if problems:
        raise Advised("; ".join(problems), champion_advice(known, history.names, problems))
    classes = f"{len(spec.classes)} classes" if spec.classes else "no classes yet"
    not_run = "" if ran else '; not run here, which needs: pip install "octospoon[models]"'
    return f"version {pointer.version}, {classes}, sha256 {pointer.sha256[:12]}… as stored{not_run}"


def _reading(deployment: Deployment) -> str:
    state = deployment.reading.newest()
    if state is None or (state.shards == SHARDS and not state.seen):
        return "no promotion has needed it"
    counts = f"{state.seen:,} by version {state.version}, {state.shards} of {SHARDS} shards"
    if state.left and state.shards == SHARDS:
        raise NotConfigured(f"{counts}; {state.left:,} could not be scored in time")
    return counts


def _runs(file: Path) -> bool:
    """Run a model once if onnxruntime is installed; return whether it is.

    Raises:
        BadModel: the model breaks the contract.
    """
    if not extras.installed("models"):
        return False
    from octospoon.adapters.onnx.scorer import OnnxScorer

    OnnxScorer(file)
    return True
