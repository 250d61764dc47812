"""A fault between any two steps that put a trained model into service, on the real MLflow."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from e2e.faults import trainer
from e2e.faults.lab import CLASSES, DIM, heavy, host_environment
from e2e.faults.proxy import Fault, Proxy

from octospoon.adapters.dynamodb.control.model_history import DynamoHistory
from octospoon.cli.stack.layout import Layout
from octospoon.domain.training.jobs import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from e2e.faults.lab import Lab

pytestmark = [pytest.mark.stack, pytest.mark.timeout(4 * 3600), heavy]
LABELS = 16
"""Labels of each round, eight of each class; half of them are drawn at random for the audit.

The training half must hold both classes. Of 8 labels, it holds a single class in 1 of 35 rounds, and
the gate then refuses the model; of 16 labels, in 1 of 6,435 rounds.
"""


class Training:
    """Runs the jobs of a lab as the worker does: each in a process of the trainer's environment."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab, self.log = lab, folder / "trainer.log"
        self.experiment = self.model = lab.register(1)  # the version that is in service
        lab.env["OCTOSPOON_EXPERIMENT"] = self.experiment  # of the functions, which launch the jobs
        self._proxy = Proxy("mlflow", lab.stack.project.mlflow_url, lab.schedule)
        self._process: subprocess.Popen[bytes] | None = None
        lab.schedule.kill, lab.run_job = self.kill, self.run

    def __enter__(self) -> Training:
        self._proxy.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.__exit__()

    def kill(self) -> None:
        if self._process:
            self._process.kill()

    def run(self, job: str) -> int:
        named = {"MLFLOW_TRACKING_URI": self._proxy.url}
        python = Layout(Path.cwd()).program("mlflow", "python")
        command = [str(python), trainer.__file__, str(self._lab.offset), job]
        env = host_environment(self._lab.stack) | self._lab.env | named
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
            return self._process.wait(300)

    def ask(self, path: str, **query: str) -> dict[str, Any]:
        base = f"{self._lab.stack.project.mlflow_url}/api/2.0/mlflow"
        return dict(httpx.get(f"{base}/{path}", params=query).raise_for_status().json())


@pytest.fixture
def world(make_lab: Callable[..., Lab], tmp_path: Path) -> Iterator[Callable[[], tuple[Lab, Training]]]:
    with ExitStack() as stack:

        def made() -> tuple[Lab, Training]:
            lab = make_lab(threshold=LABELS, batch=LABELS)
            lab.env["OCTOSPOON_AUDIT_SHARE"] = "0.5"
            return lab, stack.enter_context(Training(lab, tmp_path))

        yield made


def due(lab: Lab) -> None:
    """Label a round of two classes that any head can separate, and launch a job."""
    labels = {}
    for label, sign in zip(CLASSES, (-1.0, 1.0), strict=True):
        noise = np.random.default_rng(len(label)).standard_normal(DIM).astype(np.float32)
        lab.prediction = replace(lab.prediction, embedding=sign + 0.1 * noise)
        labels |= dict.fromkeys(lab.scored(LABELS // 2), label)
    lab.steps("rank")
    for task in lab.tasks():
        if task.key in labels:
            lab.annotate(task.id, labels[task.key])
    lab.hooks()  # lost: the reconciler counts them
    status, report = lab.invoke("reconcile", {"full": True})  # Label Studio's clock is not ahead
    assert status == 0, lab.host.log.read_text()[-3000:]
    assert report["job"]


def wrong(lab: Lab, training: Training) -> list[str]:
    """Return the broken invariants after the end of the job that was due, or of its replacement."""
    problems = []
    state = lab.control.state()
    if state.status is not JobStatus.IDLE or state.new_labels:
        problems.append(f"the job is not over: {state}")
    decision = DynamoHistory(lab.control_table).decision(state.job_id)
    pointer = lab.champions.pointer()
    assert pointer is not None
    if decision is None or not decision.promoted or pointer[0].version != decision.version:
        problems.append(f"version {pointer[0].version} serves after {decision}")
    lab.champions.fetch(pointer[0], training.log.parent)
    lab.champions.fetch_head(pointer[0], training.log.parent)
    alias = training.ask("registered-models/alias", name=training.model, alias="champion")
    if int(alias["model_version"]["version"]) != pointer[0].version:
        problems.append(f"the alias names {alias['model_version']['version']}, {pointer[0].version} serves")
    return problems


def test_promotion(world: Callable[[], tuple[Lab, Training]]) -> None:
    lab, trained = world()
    due(lab)
    lab.schedule.plan(None)
    lab.train()
    steps = list(lab.schedule.requests)
    assert wrong(lab, trained) == [], trained.log.read_text()[-3000:]
    first = next(at for at, step in enumerate(steps, 1) if "/models/" in step and "PUT" in step)

    for at, step in enumerate(steps[first - 1 :], first):
        print(f"step {at} of {len(steps)}: {step}")
        lab, trained = world()  # what is reconciled grows with the tasks
        # killed before a step is killed after the one before it
        for fault in (
            (Fault.KILLED_AFTER,) if " GET " in step else (Fault.KILLED_AFTER, Fault.GATEWAY_TIMEOUT)
        ):
            due(lab)
            lab.schedule.plan(fault, at)
            lab.train()
            lab.recover()
            assert wrong(lab, trained) == [], f"{fault} at {at}, {step}\n{trained.log.read_text()[-3000:]}"
