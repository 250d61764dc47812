"""An upgrade in place: today's template and functions are deployed over a stack that another release left.

The older release deploys, scores, exports, labels and trains with its own code. Messages of every queue wait
when today's template replaces its own, as `docs/how-to/upgrade.md` says. LocalStack changes functions, rights
and event sources in an update, and leaves tables, buckets and queues as they are:
tests/unit/deploy/test_upgrade.py compares those. `make upgrade` runs it; it needs the repository's history.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
from e2e.checkouts import CLASSES, LINKED, ROOT, Checkout, write_photos
from e2e.helpers import job_done, rescored
from e2e.test_persistence import api, deployment, left_over, open_tasks, settle, truth, violations

from octospoon.cli.demo.oracle import annotate
from octospoon.cli.deploy.deployer import deploy
from octospoon.cli.deploy.secrets import keep_secret
from octospoon.cli.deployment import remember
from octospoon.cli.local.assemble import STACK_NAME
from octospoon.cli.local.trainer import TRAINER, trainer_settings
from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.ports import free_port
from octospoon.cli.stack.record import Record
from octospoon.cli.stack.services import SERVICES
from octospoon.domain.training.jobs import JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octospoon.cli.deployment import Deployment

PREVIOUS = "ef09c5b246fe51f43b70e05c4c6626504a16c0e4"
"""The last state before the parameters for AWS changed; its functions need the packages of today's."""
pytestmark = [
    pytest.mark.stack(own=True),
    pytest.mark.timeout(3600),
    pytest.mark.skipif("OCTOSPOON_UPGRADE" not in os.environ, reason="takes minutes: make upgrade"),
]
OWN = ("functions", "infra", "src", "template.yaml", ".octospoon/build")
"""What belongs to a release in a checkout; all else of `LINKED` is an environment, which both have."""
KEPT = ("Bucket", "Table", "QueueUrl", "DeadLettersUrl", "SecretArn", "FunctionName", "ApiId")
"""How the names of the outputs end that an upgrade must not change, Label Studio's token excepted."""
PER_CLASS = 16


@contextmanager
def previous(folder: Path) -> Iterator[Checkout]:
    """Make a checkout of the older release, with its functions; its stack is stopped at the end."""
    archive = subprocess.run(["git", "archive", PREVIOUS], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-C", folder, "-xf", "-"], input=archive, check=True)
    for name in LINKED:
        if name not in OWN:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(ROOT / name)
    build = ["make", "-f", str(folder / "infra/build/Makefile"), "local"]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    made = Checkout(folder, folder / "src")
    made.home.mkdir()
    # other stacks start at the same time
    ports = {name: free_port() for name in SERVICES}
    (folder / ".octospoon/ports.json").write_text(json.dumps(ports))
    try:
        yield made
    finally:
        made.octospoon("down")


def replaced(place: Checkout) -> Checkout:
    """Replace a checkout's release by today's."""
    for name in OWN:
        (place.root / name).rename(place.root / f"{name}.previous")
        (place.root / name).symlink_to(ROOT / name)
    return Checkout(place.root)


@pytest.mark.skipif(
    subprocess.run(["git", "cat-file", "-e", PREVIOUS], cwd=ROOT, capture_output=True, check=False).returncode
    != 0,
    reason="the repository's history is missing: git fetch --unshallow",
)
def test_an_upgrade_keeps_everything_and_the_loop_goes_on(tmp_path: Path) -> None:
    for name in CLASSES:
        write_photos(tmp_path / "photos", name, range(PER_CLASS))
        write_photos(tmp_path / "more", name, range(PER_CLASS, PER_CLASS + 4))
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    with previous(checkout) as old:
        keys, answered = worked(old, tmp_path)
        before = deployment(old)
        model = before.champions.pointer()
        outputs = {name: value for name, value in before.outputs.items() if name.endswith(KEPT)}
        secret = before.secret(before.outputs["WebhookSecretArn"])
        stop_event_sources(before)
        keys, answered = left_in_queues(old, tmp_path, keys, answered)

        began = time.monotonic()
        upgrade(old)
        print(f"upgraded in {time.monotonic() - began:.0f} s")
        new = Checkout(old.root)  # today's command line; the files of its release are still the older ones
        after = deployment(new)
        lost = {name for name, value in outputs.items() if after.outputs.get(name) != value}
        assert lost - {"LabelStudioTokenSecretArn"} == set()
        assert after.secret(after.outputs["WebhookSecretArn"]) == secret
        assert after.champions.pointer() == model
        assert sorted(after.entries.entries(keys)) == sorted(key for key in keys if key != "late.png")

        with trainer(new):
            start_event_sources(after)
            settle(new, keys, answered)
            job_done(after, 2, seconds=600)
            keys, answered = worked_on(new, tmp_path, keys, answered)
            settle(new, keys, answered)
        assert left_over(after) == []
        assert "FAIL" not in new.octospoon("doctor")
        print(f"{len(keys)} images and {len(answered)} labels, {after.control.state().jobs} training jobs")

        served = after.champions.pointer()
        old.octospoon("down")
        latest = replaced(old)
        latest.octospoon("up")
        assert deployment(latest).champions.pointer() == served
        assert violations(latest, keys, answered) == []


def worked(old: Checkout, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Let the older release create a pool, a labelled round and a training job."""
    settings = ("BatchSize=12", "MaxOpenTasks=3", "TrainingThreshold=8", "RankTriggers=schedule")
    chosen = " ".join(f"--set {setting}" for setting in settings)
    old.octospoon(f"up --classes {','.join(CLASSES)} --backbone scattering {chosen}")
    old.octospoon(f"drop {folder}/photos")
    keys = [f"{name}/{number}.png" for name in CLASSES for number in range(PER_CLASS)]
    aws = deployment(old)
    wait_for("scores", lambda: len(aws.pool.rows(keys)) == len(keys) or None, seconds=600)
    old.octospoon("rank")
    answered = answers(old, 12)
    job_done(aws, 1, seconds=600)
    rescored(aws, 1)
    return keys, answered


def answers(place: Checkout, count: int) -> dict[str, str]:
    """Answer some open tasks; return the label of each image."""
    waiting = open_tasks(place)[:count]
    with api(place) as label_studio:
        for task in waiting:
            annotate(label_studio, task["id"], truth(task["data"]["key"]))
    return {task["data"]["key"]: truth(task["data"]["key"]) for task in waiting}


def left_in_queues(
    old: Checkout, folder: Path, keys: list[str], answered: dict[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Leave a message of the older release in every queue: an upload, an answer, a job, a rescoring."""
    aws = deployment(old)
    end_trainer(old)
    start_event_sources(aws, only="collect")
    old.octospoon("rank")
    answered |= answers(old, 9)
    wait_for("the second job", lambda: aws.control.state().jobs == 2 or None, seconds=120)
    assert aws.control.state().status is JobStatus.LAUNCHING
    stop_event_sources(aws)
    answered |= answers(old, 1)
    body = (folder / f"photos/{CLASSES[0]}/0.png").read_bytes()
    aws.client("s3").put_object(Bucket=aws.outputs["ImagesBucket"], Key="late.png", Body=body)
    old.octospoon("rescore")
    queues = ["Uploads", "Annotations", "Training", "Rescore"]
    wait_for(
        "a message in each queue", lambda: all(waits(aws, f"{queue}QueueUrl") for queue in queues) or None
    )
    return [*keys, "late.png"], answered


def waits(aws: Deployment, queue: str) -> bool:
    url, name = aws.outputs[queue], "ApproximateNumberOfMessages"
    answer = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])
    return answer["Attributes"][name] != "0"


def stop_event_sources(aws: Deployment) -> None:
    switch_event_sources(aws, "", on=False)


def start_event_sources(aws: Deployment, only: str = "") -> None:
    switch_event_sources(aws, only, on=True)


def switch_event_sources(aws: Deployment, only: str, *, on: bool) -> None:
    functions = aws.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if mapping["FunctionArn"].endswith(only) and (mapping["State"] == "Enabled") != on:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=on)

    def settled() -> bool | None:
        states = {
            mapping["State"]
            for mapping in functions.list_event_source_mappings()["EventSourceMappings"]
            if mapping["FunctionArn"].endswith(only)
        }
        return True if states == {"Enabled" if on else "Disabled"} else None

    wait_for("the event sources", settled)


def upgrade(old: Checkout) -> None:
    """Deploy today's template over the older one, with the one parameter that the page says is new."""
    project = old.project
    secrets = deployment(old).client("secretsmanager")
    outputs = deploy(
        template=ROOT / "template.yaml",
        build_dir=ROOT / ".octospoon/build",
        endpoint_url=project.endpoint_url,
        stack_name=STACK_NAME,
        parameters={
            "LabelStudioTokenSecretArn": keep_secret(secrets, STACK_NAME, "label-studio-token", old.token)
        },
        progress=print,
        by_path=True,
    )
    described = old.root / ".octospoon/run/project.json"
    remember(msgspec.structs.replace(project, outputs=outputs), described)


def end_trainer(place: Checkout) -> None:
    record = Record.read(place.root / ".octospoon/run/stack.json")
    assert record is not None
    (worker,) = [process for process in record.processes if process.name == TRAINER]
    os.kill(worker.pid, signal.SIGTERM)
    wait_for("the end of the trainer", lambda: not worker.alive() or None)


@contextmanager
def trainer(place: Checkout) -> Iterator[None]:
    """Run today's worker beside the stack."""
    python = Layout(ROOT).program("mlflow", "python")
    aws = {"AWS_ENDPOINT_URL": place.project.endpoint_url, "AWS_DEFAULT_REGION": "us-east-1"}
    aws |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    environment = {"PATH": os.environ["PATH"]} | aws | trainer_settings(place.project)
    worker = subprocess.Popen([python, "-m", "octospoon.training", "worker"], env=environment, cwd=place.root)
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(60)


def worked_on(
    new: Checkout, folder: Path, keys: list[str], answered: dict[str, str]
) -> tuple[list[str], dict[str, str]]:
    """Continue with today's release: new images, a new round, answers, and a prediction on demand."""
    new.octospoon(f"drop {folder}/more")
    more = [f"{name}/{number}.png" for name in CLASSES for number in range(PER_CLASS, PER_CLASS + 4)]
    aws = deployment(new)
    wait_for("scores", lambda: len(aws.pool.rows(more)) == len(more) or None, seconds=300)
    answered |= answers(new, 12)
    before = aws.rounds.last_number()
    new.octospoon("rank")
    assert aws.rounds.last_number() == before + 1
    answered |= answers(new, 12)
    job_done(aws, 3, seconds=600)
    new.octospoon(f"predict {folder}/photos/{CLASSES[0]}/0.png")
    return [*keys, *more], answered
