"""A fault between any two steps of every function, on the real servers. The invariants hold afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from e2e.faults.lab import EVERY, LATER, heavy
from e2e.faults.proxy import Fault

from octospoon.cli.datasets import digits
from octospoon.domain.labelling.tasks import Pick
from octospoon.domain.pool.images import ImageRef, State
from octospoon.domain.training.jobs import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from e2e.faults.lab import Lab

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]

FEW = (Fault.KILLED_AFTER, Fault.GATEWAY_TIMEOUT)
READS = (" GET ", "GetItem", "BatchGetItem", "Query", "Scan", "GetSecretValue", "ReceiveMessage")
CHANGES = ("import", "TransactWriteItems", "SendMessage", "PutItem", "PUT")
THRESHOLD = 3


def chosen(steps: list[str]) -> Iterator[tuple[int, str, tuple[Fault, ...]]]:
    """Yield steps (from 1) and the faults to inject; of a repeated step, only the first and the last."""
    for at, step in enumerate(steps, 1):
        around = steps[at - 2 : at - 1] + steps[at : at + 1]
        if EVERY and around != [step, step]:
            yield at, step, tuple(Fault)
        elif not EVERY and any(name in step for name in CHANGES):
            yield at, step, FEW


def test_export(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    images = lab.scored(2)
    steps = lab.steps("rank")
    for at, step, faults in chosen(steps):
        for fault in faults:  # each resumes the work of the one before
            images += lab.scored(1)
            lab.faulty("rank", None, fault, at)
            lab.offset += LATER
        lab.recover()
        assert lab.violations(images) == [], f"{faults} at {at}, {step}"


def exported(lab: Lab, count: int) -> dict[str, int]:
    """Export this many images; return the tasks by key."""
    keys = lab.scored(count)
    entries, tasks = lab.entries.entries(keys), dict[str, int]()
    while len(tasks) < count:
        lab.steps("rank")
        tasks = lab.labeler.find({key: entries[key].etag for key in keys})
    return tasks


@heavy
def test_webhook(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(batch=40)
    tasks = exported(lab, 1 + (2 * len(Fault) if EVERY else 2 * len(FEW)))
    waiting = iter(tasks.values())

    def hook() -> dict[str, Any]:
        lab.annotate(next(waiting), "cat")
        (event,) = lab.hooks()
        return event

    for at, step, faults in chosen(lab.steps("webhook", hook())):
        for fault in faults:
            lab.faulty("webhook", hook(), fault, at)  # Label Studio does not send it again
        lab.recover()
        assert lab.violations(list(tasks)) == [], f"{faults} at {at}, {step}"


def queued(lab: Lab, task: int, label: str) -> dict[str, Any]:
    """Answer a task, and return the message that the webhook queued for it."""
    lab.annotate(task, label)
    (event,) = lab.hooks()
    lab.steps("webhook", event)
    return lab.delivery(f'"task":{task},')


def test_collection(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(batch=60)
    tasks = exported(lab, 60 if EVERY else 12)
    waiting = iter(tasks.values())
    event = queued(lab, next(waiting), "cat")
    steps = lab.steps("collect", event)
    lab.done(event)
    for at, step, faults in chosen(steps):
        for fault in faults:  # failed messages stay in the queue
            lab.faulty("collect", queued(lab, next(waiting), "dog"), fault, at)
        lab.recover()
        assert lab.violations(list(tasks)) == [], f"{faults} at {at}, {step}"
    assert lab.control.state().new_labels == len(list(lab.labels.labelled()))


@heavy
def test_launch(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(threshold=THRESHOLD, batch=200)
    waiting = iter(exported(lab, 200 if EVERY else 30).values())

    def due() -> dict[str, Any]:
        """Give one label less than the threshold; return the message of the last one."""
        for _ in range(THRESHOLD - 1):
            event = queued(lab, next(waiting), "cat")
            lab.steps("collect", event)
            lab.done(event)
        return queued(lab, next(waiting), "cat")

    event = due()
    steps = lab.steps("collect", event)
    lab.done(event)
    lab.train()
    assert len(lab.trained) == 1
    launching = len(steps) - 2  # read the state, begin, send: before that it is `test_collection`
    for at, step, faults in chosen(steps):
        for fault in faults if at >= launching else ():
            before = len(lab.trained)
            lab.faulty("collect", due(), fault, at)
            lab.recover()
            state = lab.control.state()
            assert len(lab.trained) == before + 1, f"{fault} at {at}, {step}: {state}"
            assert (state.status, state.new_labels) == (JobStatus.IDLE, 0)
    assert len(lab.trained) == len(set(lab.trained))


def drift(lab: Lab, task: int) -> list[str]:
    """Lose a message of every kind; return the new images."""
    lab.annotate(task, "cat")
    lab.hooks()
    stranded, replaced = lab.scored(2)
    entry = lab.entries.entries([stranded])[stranded]
    assert lab.pool.claim(Pick(stranded, entry.etag, False, "margin", 0.1, 0, None), 999, lab.now() - 1)
    entry = lab.entries.entries([replaced])[replaced]
    data = {"key": replaced, "etag": entry.etag, "image": "s3://b/k"}
    for _ in range(2):  # as an import whose answer was lost, and which was then repeated
        lab.api.call("POST", f"/api/projects/{lab.project}/import", json=[{"data": data}])
    return [stranded, replaced]


@heavy
def test_reconciliation(make_lab: Callable[..., Lab]) -> None:
    def world() -> tuple[Lab, list[str]]:
        lab = make_lab(batch=4)  # the requests of a full task sync grow with the tasks
        tasks = exported(lab, 4)
        return lab, list(tasks) + drift(lab, next(iter(tasks.values())))

    lab, images = world()
    steps = lab.steps("reconcile", {"full": True})
    assert lab.violations(images) == []
    for at, step in enumerate(steps, 1):
        if not any(name in step for name in READS):
            lab, images = world()
            for fault in FEW:
                lab.faulty("reconcile", {"full": True}, fault, at)
            lab.recover()
            assert lab.violations(images) == [], f"{FEW} at {at}, {step}"


@heavy
def test_scoring(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    uploads = iter(range(500))

    def upload() -> tuple[str, dict[str, Any]]:
        index = next(uploads)
        key = f"{index}.png"
        etag = lab.s3.put_object(Bucket=lab.bucket, Key=key, Body=digits.png_bytes(index))["ETag"].strip('"')
        record = {"key": key, "eTag": etag, "size": 1, "sequencer": f"{index:08X}"}
        body = json.dumps({"Records": [{"s3": {"object": record}}]})
        return key, {"Records": [{"messageId": key, "body": body}]}

    keys = []
    lab.steps("score", upload()[1])  # the first one downloads the model
    for at, step, faults in chosen(lab.steps("score", upload()[1])):
        for fault in faults:
            key, event = upload()
            keys.append(key)
            lab.faulty("score", event, fault, at)
            lab.steps("score", event)  # the queue delivers it again
        states = {entry.state for entry in lab.entries.entries(keys).values()}
        assert states == {State.SCORED}, f"{faults} at {at}, {step}"
        assert len(lab.entries.entries(keys)) == len(keys)


def test_new_bytes_of_a_labelled_image(make_lab: Callable[..., Lab]) -> None:
    """A newer upload resets the label, leaves a trace, and is itself exported and labelled once."""
    lab = make_lab(batch=1)
    ((key, task),) = exported(lab, 1).items()
    event = queued(lab, task, "cat")
    lab.steps("collect", event)
    lab.done(event)
    assert lab.control.state().new_labels == 1

    lab.replace(key)
    assert lab.control.state().new_labels == 0
    lab.recover()
    assert lab.violations([key]) == []
    lab.steps("rank")
    entry = lab.entries.entries([key])[key]
    (again,) = lab.labeler.find({key: entry.etag}).values()
    assert again != task
    event = queued(lab, again, "dog")
    lab.steps("collect", event)
    lab.done(event)

    lab.recover()
    assert lab.violations([key]) == []
    assert lab.control.state().new_labels == 1
    assert isinstance(lab.pool.rows([key])[key].etag, str)
    assert not lab.scoring.put_score(ImageRef(key, "older", "0", 1), lab.prediction)
