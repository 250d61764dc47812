"""The local stack keeps its work while it is killed repeatedly, people label and models train.

Every other time the end is a power failure: LocalStack's records go back by up to ten seconds, as if what was
not forced to the disk were lost. `make persistence` runs it and prints figures.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import sqlite3
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.checkouts import CLASSES, Checkout, checkout, write_photos

from octospoon.adapters.label_studio.api import LabelStudioApi
from octospoon.cli.demo.oracle import annotate
from octospoon.cli.deployment import Deployment
from octospoon.cli.deployment.outputs import Outputs
from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack.ports import free_port
from octospoon.cli.stack.process import MARK
from octospoon.cli.stack.record import Record
from octospoon.cli.stack.services import SERVICES
from octospoon.domain.errors import OctospoonError
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.stack(own=True)

KILLS = int(os.environ.get("OCTOSPOON_KILLS", "0"))
PHOTOS = 100
"""Of each class."""
PAUSE = 1.0
LONGEST_LOSS = 10.0


@dataclass
class Annotator:
    """Answers every open task as fast as a quick person, whether the stack runs or not.

    Attributes:
        place: where the stack runs.
        answered: the label of each image whose answer Label Studio has confirmed.
    """

    place: Checkout
    answered: dict[str, str] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                for task in open_tasks(self.place):
                    if self.ended.wait(PAUSE):
                        return
                    key = task["data"]["key"]
                    with api(self.place) as label_studio:
                        annotate(label_studio, task["id"], truth(key))
                    self.answered[key] = truth(key)
            except (OctospoonError, OSError):  # it was killed
                self.ended.wait(PAUSE)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self.ended.set()
            thread.join()


@contextlib.contextmanager
def api(place: Checkout) -> Iterator[LabelStudioApi]:
    connection = LabelStudioApi(place.project.label_studio_url, lambda: place.token)
    try:
        yield connection
    finally:
        connection.close()


def tasks(place: Checkout) -> list[dict[str, Any]]:
    """Return every task of the project, with its annotations."""
    with api(place) as label_studio:
        rows: list[dict[str, Any]] = label_studio.call(
            "GET",
            "/api/tasks",
            params={
                "project": place.project.label_studio_project,
                "page_size": 10_000,
                "fields": "all",
                "resolve_uri": "false",
            },
        )["tasks"]
    return rows


def open_tasks(place: Checkout) -> list[dict[str, Any]]:
    return [task for task in tasks(place) if not task["annotations"]]


def truth(key: str) -> str:
    return key.split("/")[0]


def deployment(place: Checkout) -> Deployment:
    return Deployment(Outputs(place.project.outputs), place.project.endpoint_url)


def kill_everything(place: Checkout) -> None:
    """Kill all processes of the stack at once, so that none can clean up."""
    while pids := running(place):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def running(place: Checkout) -> list[int]:
    """Return the stack's processes: those in its record, their descendants, and orphans of these."""
    record = Record.read(place.root / ".octospoon/run/stack.json")
    roots = {process.pid for process in record.processes if process.alive()} if record else set()
    pids, parents = set(roots), parents_of_all()
    while more := {pid for pid, parent in parents.items() if parent in pids} - pids:
        pids |= more
    marked = f"{MARK}=up".encode()
    inside = {pid for pid in parents if works_inside(pid, place.root) and marked in environment(pid)}
    return sorted(pids | inside)


def parents_of_all() -> dict[int, int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(
                stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            )
    return parents


def works_inside(pid: int, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(folder)
    return False


def environment(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def records_now(place: Checkout, copy: Path) -> float:
    """Copy the records as they are now; return the time."""
    copy.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(database(place))) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    return time.monotonic()


def go_back_to(place: Checkout, copy: Path) -> None:
    """Replace the records by those of a copy, as after a power failure."""
    for suffix in ("-wal", "-shm"):
        database(place).with_name(database(place).name + suffix).unlink(missing_ok=True)
    copy.replace(database(place))


def database(place: Checkout) -> Path:
    return place.root / ".octospoon/data/localstack/state.sqlite3"


def violations(place: Checkout, keys: list[str], answered: dict[str, str]) -> list[str]:
    """Return every broken invariant, according to the stores and Label Studio's answers."""
    aws, every = deployment(place), tasks(place)
    entries = aws.entries.entries(keys)
    wrong = [f"{key} is in no state" for key in keys if key not in entries]
    count = Counter(task["data"]["key"] for task in every)
    wrong += [f"{key} is {n} times in Label Studio" for key, n in count.items() if n > 1]
    labels = {
        task["data"]["key"]: task["annotations"][-1]["result"][0]["value"]["choices"][0]
        for task in every
        if task["annotations"]
    }
    wrong += [
        f"{key}: the answer {label} is lost" for key, label in answered.items() if labels.get(key) != label
    ]
    for key, entry in entries.items():
        standing = aws.labels.label_state(key)
        stored = standing.label if standing else None
        expected = State.LABELLED if key in labels else State.EXPORTED if key in count else State.SCORED
        if stored != labels.get(key) or entry.state is not expected:
            answers = f"{count[key]} tasks, {labels.get(key)}"
            wrong.append(f"{key} is {entry.state} as {stored}; Label Studio: {answers}")
    return wrong + left_over(aws)


def left_over(aws: Deployment) -> list[str]:
    """Return the queues that are not empty."""
    sqs = aws.client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    wrong = []
    for name, url in aws.outputs.items():
        if name.endswith(("QueueUrl", "DeadLettersUrl")):
            answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            if any(answer[name] != "0" for name in names):
                wrong.append(f"{name}: {answer}")
    return wrong


def addresses(place: Checkout) -> tuple[Any, ...]:
    project = place.project
    return project.endpoint_url, project.label_studio_url, project.mlflow_url, project.outputs, place.password


@pytest.mark.skipif(not KILLS, reason="takes minutes: make persistence")
@pytest.mark.timeout(4 * 3600)
def test_work_survives_kills_and_power_failures(tmp_path: Path) -> None:
    chance = random.Random(KILLS)
    with checkout(tmp_path) as place:
        for name in CLASSES:
            write_photos(tmp_path / "photos", name, range(PHOTOS))
        ports = {name: free_port() for name in SERVICES}  # other stacks start at the same time
        (tmp_path / ".octospoon/ports.json").write_text(json.dumps(ports))
        place.octospoon(
            f"up --classes {','.join(CLASSES)} --backbone scattering --set BatchSize=40 --set MaxOpenTasks=20"
            " --set TrainingThreshold=30"
        )
        first = addresses(place)
        place.octospoon(f"drop {tmp_path}/photos")
        keys = [f"{name}/{number}.png" for name in CLASSES for number in range(PHOTOS)]
        wait_for("scores", lambda: len(deployment(place).pool.rows(keys)) == len(keys) or None, seconds=600)
        annotator, resumed = Annotator(place), []
        with annotator.at_work():
            for number in range(KILLS):
                with contextlib.suppress(AssertionError):  # a round may be open, or a job may run
                    place.octospoon("rank")
                method = stop(place, chance, tmp_path / "copy.sqlite3", power=number % 2 == 1)
                load, began = os.getloadavg()[0], time.monotonic()
                shown = place.octospoon("up")
                resumed.append(time.monotonic() - began)
                assert addresses(place) == first
                took = f"{resumed[-1]:.0f} s to resume at load {load:.1f}"
                print(f"end {number + 1}: {method}; {len(annotator.answered)} labels; {took}")
                print("; ".join(re.findall(r"^ *(\d+ s  .*?)(?:, http.*)?$", shown, re.MULTILINE)))
        settle(place, keys, annotator.answered)
        model = deployment(place).champions.pointer()
        place.octospoon("down")
        began = time.monotonic()
        place.octospoon("up")
        print(f"after down: {time.monotonic() - began:.0f} s to resume")
        assert deployment(place).champions.pointer() == model
        assert violations(place, keys, annotator.answered) == []
        resumed.sort()
        version = model[0].version if model else 0
        print(f"{KILLS} ends, {len(annotator.answered)} labels, none lost; model {version}")
        print(f"resumed in {resumed[len(resumed) // 2]:.0f} s (median), {resumed[-1]:.0f} s (longest)")


def stop(place: Checkout, chance: random.Random, copy: Path, *, power: bool) -> str:
    """Let the stack work for a while, then end it without warning; return the method."""
    time.sleep(chance.uniform(1, 25))
    if not power:
        kill_everything(place)
        return "killed"
    copied = records_now(place, copy)
    time.sleep(chance.uniform(0, LONGEST_LOSS - 1))
    kill_everything(place)
    lost = time.monotonic() - copied
    go_back_to(place, copy)
    return f"power failure, {lost:.1f} s lost"


def settle(place: Checkout, keys: list[str], answered: dict[str, str]) -> None:
    """Repair and wait until nothing is under way and every invariant holds."""

    def look() -> bool | None:
        place.octospoon("reconcile --full")
        wrong = violations(place, keys, answered)
        print(f"{len(wrong)} differences: {wrong[:3]}")
        return None if wrong else True

    wait_for("the invariants", look, seconds=900)
