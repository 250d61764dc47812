"""A user adds, renames and merges classes of a running project, and undoes the changes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest
from e2e import checkouts
from e2e.checkouts import CLASSES, write_photos
from e2e.helpers import job_done, scored, serving, task_ids

from octospoon.adapters.label_studio.api import LabelStudioApi
from octospoon.cli.demo.oracle import annotate
from octospoon.cli.local.assemble import LocalStack
from octospoon.cli.operations import run_now
from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack import attach
from octospoon.domain.labelling.answers import UNKNOWN_CLASS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from e2e.checkouts import Checkout

    from octospoon.cli.deployment import Deployment

pytestmark = [pytest.mark.stack(own=True), pytest.mark.timeout(600)]

BATCH = 20
ADDED = CLASSES[-1]
UP = (
    f"up --backbone scattering --set BatchSize={BATCH} --set TrainingThreshold={BATCH} "
    f"--set FirstBatchSize={BATCH} --set RankTriggers=schedule --set 'RankSchedule=rate(1 day)' "
    "--set 'ReconcileSchedule=rate(1 day)'"
)
BEFORE = {"cat": range(10), "dog": range(10)}
AFTER = {"cat": range(10, 14), "dog": range(10, 14), ADDED: range(12)}
NEXT = 12


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    """A checkout whose home has the photos of two rounds, and one more of the added class."""
    with checkouts.checkout(tmp_path) as made:
        for folder, photos in (("before", BEFORE), ("after", AFTER), ("next", {ADDED: [NEXT]})):
            for name, numbers in photos.items():
                write_photos(made.home / folder, name, numbers)
        yield made


@pytest.fixture
def stack(checkout: Checkout) -> Iterator[LocalStack]:
    """A running stack with the classes cat and dog."""
    checkout.octospoon(f"{UP} --classes cat,dog")
    servers, project = attach(checkout.root), checkout.project
    assert servers is not None
    with closing(LabelStudioApi(project.label_studio_url, lambda: checkout.token)) as api:
        yield LocalStack(servers, project, api)


def dropped(checkout: Checkout, deployment: Deployment, folder: str) -> list[str]:
    """Upload a folder's photos with `drop`; return their keys when all are scored."""
    checkout.octospoon(f"drop ~/{folder} --prefix {folder}/")
    home = checkout.home
    keys = [path.relative_to(home).as_posix() for path in sorted((home / folder).rglob("*.png"))]
    scored(deployment, keys)
    return keys


def exported(stack: LocalStack, keys: list[str]) -> dict[str, int]:
    """Export all these images; return their tasks."""

    def exports() -> int | None:
        report = run_now.rank(stack.deployment)
        return None if "being reordered" in report.reason else report.exported

    assert wait_for("a pool in the order of the strategy", exports, seconds=120) == len(keys) == BATCH
    round_ = stack.deployment.rounds.read(stack.deployment.rounds.last_number())
    assert round_ is not None
    tasks = task_ids(stack, round_)
    assert sorted(tasks) == keys
    return tasks


def class_of(key: str) -> str:
    """Return the true class of a photo, which is its folder."""
    return key.split("/")[-2]


def label(stack: LocalStack, tasks: Mapping[str, int]) -> None:
    """Give each task its true label in Label Studio."""
    for key, task in tasks.items():
        annotate(stack.label_studio, task, class_of(key))


def problem(deployment: Deployment, key: str) -> str:
    """Wait until the annotation of an image is stored; return why it does not count."""
    (annotation,) = wait_for(f"the annotation of {key}", lambda: deployment.labels.of(key) or None)
    return annotation.problem


def metrics_of(stack: LocalStack, job: str) -> dict[str, float]:
    """Return the metrics of a job's MLflow run."""
    base = f"{stack.project.mlflow_url}/api/2.0/mlflow"
    named = {"name": "octospoon", "alias": "champion"}
    version = httpx.get(f"{base}/registered-models/alias", params=named).json()["model_version"]
    run = httpx.get(f"{base}/runs/get", params={"run_id": version["run_id"]}).json()["run"]["data"]
    assert {"key": "octospoon.job_id", "value": job} in run["tags"]
    return {metric["key"]: metric["value"] for metric in run["metrics"]}


def labels(deployment: Deployment) -> dict[str, str]:
    """Return the class of every labelled image."""
    return {image.key: image.label for image in deployment.labels.labelled()}


def changed_and_undone(checkout: Checkout, stack: LocalStack, key: str) -> None:
    """Rename and merge classes, train, and undo both: every image has its earlier label again."""
    deployment, before = stack.deployment, labels(stack.deployment)
    checkout.octospoon("classes rename dog hound")
    dog = next(image for image, label in before.items() if label == "dog")
    output = checkout.octospoon(f"trace {dog}")
    assert "hound, agreement 100%" in output
    assert "as hound" in output
    assert "as dog" not in output
    checkout.octospoon("classes merge cat,hound --into pet")
    interface = deployment.labeler(stack.label_studio).interface()
    assert [choice.value for choice in interface.choices] == [ADDED, "pet"]
    names = {"cat": "pet", "dog": "pet", ADDED: ADDED}
    assert labels(deployment) == {image: names[label] for image, label in before.items()}

    # a function that runs already reads the classes a few seconds later
    wait_for("the launch of job 3", lambda: run_now.reconcile(deployment).job or None, interval=2)
    job_done(deployment, 3)
    third, state = serving(deployment), deployment.control.state()
    assert (third.version, third.classes) == (3, (ADDED, "pet")), state.reason
    scored_by(deployment, key, third.version)

    checkout.octospoon("classes undo")
    assert deployment.classes == ("cat", "hound", ADDED)
    interface = deployment.labeler(stack.label_studio).interface()
    assert interface.shown == {"dog": "hound"}, "answers from before show the new name"
    checkout.octospoon("classes undo")
    assert deployment.classes == ("cat", "dog", ADDED)
    assert labels(deployment) == before


def scored_by(deployment: Deployment, key: str, version: int) -> None:
    """Wait until a model has scored an image."""
    wait_for(f"the score of {key}", lambda: deployment.pool.rows([key])[key].model_version == version)


def test_a_class_added_to_a_running_project_is_trained_on(checkout: Checkout, stack: LocalStack) -> None:
    deployment = stack.deployment
    label(stack, exported(stack, dropped(checkout, deployment, "before")))
    job_done(deployment, 1)
    first = serving(deployment)
    assert (first.version, first.classes) == (1, ("cat", "dog"))

    tasks = exported(stack, dropped(checkout, deployment, "after"))
    early = next(key for key in tasks if class_of(key) == ADDED)
    annotate(stack.label_studio, tasks.pop(early), ADDED)
    assert problem(deployment, early) == UNKNOWN_CLASS
    run_now.reconcile(deployment, full=True)
    assert deployment.control.state().new_labels == 0, "no job can learn this class yet"

    checkout.octospoon(f"up --classes cat,dog,{ADDED}")
    run_now.reconcile(deployment)
    assert problem(deployment, early) == ""
    assert deployment.control.state().new_labels == 1

    label(stack, tasks)
    job_done(deployment, 2)
    second, state = serving(deployment), deployment.control.state()
    assert (second.version, second.classes) == (2, ("cat", "dog", ADDED)), state.reason
    assert state.new_labels == 0
    snapshot = deployment.snapshots.read(state.job_id) or []
    assert [image.label for image in snapshot].count(ADDED) == len(AFTER[ADDED])
    measured = metrics_of(stack, state.job_id)
    assert (measured["labels"], measured["dropped_labels"]) == (2 * BATCH, 0)

    (key,) = dropped(checkout, deployment, "next")
    row = deployment.pool.rows([key])[key]
    assert row.model_version == second.version
    assert row.probabilities is not None
    assert second.classes[int(row.probabilities.argmax())] == ADDED
    changed_and_undone(checkout, stack, key)
