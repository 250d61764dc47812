"""Helpers for tests of the whole system: uploads, waiting for scores and jobs, labels, webhooks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from octospoon.adapters.label_studio.api import LabelStudio
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.cli.datasets import digits
from octospoon.cli.demo.oracle import annotate
from octospoon.cli.operations.upload import run_all
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.training.jobs import JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from octospoon.cli.deployment import Deployment
    from octospoon.cli.local.assemble import LocalStack
    from octospoon.domain.labelling.tasks import Round
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import PoolRow


def upload(deployment: Deployment, images: Mapping[str, bytes]) -> list[str]:
    """Upload images by key, several at once; return the keys."""
    s3, bucket = deployment.client("s3"), deployment.outputs["ImagesBucket"]

    def put(key: str) -> None:
        s3.put_object(Bucket=bucket, Key=key, Body=images[key])

    run_all(put, list(images), "Uploading")
    return list(images)


def digit_pictures(prefix: str, indices: Iterable[int]) -> dict[str, bytes]:
    """Return digits by key, as `demo` names them: the prefix and four figures."""
    return {f"{prefix}{index:04d}.png": digits.png_bytes(index) for index in indices}


def digit_label(key: str) -> str:
    """Return the true label of a digit, whatever its prefix."""
    return digits.CLASSES[digits.labels()[int(key[-8:-4])]]


def scored(deployment: Deployment, keys: Sequence[str], seconds: float = 120) -> dict[str, PoolRow]:
    """Wait until every image has a row; return the rows."""

    def look() -> dict[str, PoolRow] | None:
        rows = deployment.pool.rows(keys)
        return rows if len(rows) == len(keys) else None

    return wait_for(f"the scores of {len(keys)} images", look, seconds=seconds)


def rescored(deployment: Deployment, version: int) -> None:
    """Wait until every shard is rescored with this version."""
    wait_for(
        f"re-scoring by version {version}",
        lambda: True if deployment.rescoring.progress() == (version, SHARDS) else None,
    )


def serving(deployment: Deployment) -> ChampionPointer:
    """Return the pointer of the model in service."""
    stored = deployment.champions.pointer()
    assert stored is not None
    return stored[0]


def job_done(deployment: Deployment, jobs: int, seconds: float = 180) -> None:
    """Wait until this many training jobs were launched and the last one ended without failure."""

    def look() -> bool | None:
        state = deployment.control.state()
        assert state.status is not JobStatus.FAILED, state.reason
        return True if state.jobs >= jobs and state.status is JobStatus.IDLE else None

    wait_for(f"training job {jobs}", look, seconds=seconds)


def task_ids(stack: LocalStack, round_: Round) -> dict[str, int]:
    """Return the Label Studio task of each image of a round."""
    labeler = LabelStudio(stack.label_studio, stack.project.label_studio_project, SingleChoice())
    return labeler.find({pick.key: pick.etag for pick in round_.picks})


def label_round(stack: LocalStack, round_: Round) -> None:
    """Label every digit of a round in Label Studio with its true class."""
    tasks = task_ids(stack, round_)
    for pick in round_.picks:
        annotate(stack.label_studio, tasks[pick.key], digit_label(pick.key))


@contextmanager
def new_project(stack: LocalStack, title: str, classes: Sequence[str] = digits.CLASSES) -> Iterator[int]:
    """Create a separate Label Studio project; it is deleted at the end."""
    number = LabelStudioSetup(stack.label_studio).project(title, tuple(classes), SingleChoice())
    try:
        yield number
    finally:
        stack.label_studio.call("DELETE", f"/api/projects/{number}")


@contextmanager
def changed_webhook(stack: LocalStack, **changes: Any) -> Iterator[None]:
    """Change the webhook of the stack's project, as a person can in Label Studio, and restore it."""
    project = stack.project.label_studio_project
    (hook,) = stack.label_studio.call("GET", "/api/webhooks/", params={"project": project})
    path = f"/api/webhooks/{hook['id']}/"
    # the whole webhook: a PATCH without actions removes all of them
    stack.label_studio.call("PATCH", path, json=hook | changes)
    try:
        yield
    finally:
        stack.label_studio.call("PATCH", path, json=hook)
