"""Conditions that delay a new round, and others that do not, on the real Label Studio."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from octospoon.adapters.label_studio.choices import choice
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.labelling.tasks import TaskCounts

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.faults.lab import Lab

    from octospoon.ports.labelling import TaskBody

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
BATCH = 4


def rank(lab: Lab) -> dict[str, Any]:
    status, report = lab.invoke("rank")
    assert status == 0, lab.host.log.read_text()[-3000:]
    return dict(report)


def skip(lab: Lab, task: int) -> None:
    lab.api.call("POST", f"/api/tasks/{task}/annotations/", json={"result": [], "was_cancelled": True})


def ours(lab: Lab) -> list[TaskBody]:
    return [task for task in lab.labeler.changed(0, 0, 1000) if task.key]


def synchronised(lab: Lab, count: int) -> list[int]:
    """Create tasks as the button "Sync Storage" does."""
    data = [{"data": {"image": f"s3://{lab.bucket}/{i}.png"}} for i in range(count)]
    path = f"/api/projects/{lab.project}/import"
    answer = lab.api.call("POST", path, params={"return_task_ids": "true"}, json=data)
    return list(answer["task_ids"])


def test_skipped_abandoned_and_other_tasks_hold_up_no_round(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(batch=BATCH)
    lab.env["OCTOSPOON_MAX_OPEN_TASKS"] = "1"
    images = lab.scored(5 * BATCH)
    assert rank(lab)["exported"] == BATCH
    assert rank(lab)["exported"] == 0
    first = [task.id for task in ours(lab)]
    for task in first[1:]:
        skip(lab, task)
    assert rank(lab)["exported"] == 0, "one task of the round still waits"
    lab.annotate(first[0], "cat")

    second = rank(lab)

    assert second["exported"] == BATCH
    assert second["tasks"]["skipped"] == BATCH - 1
    for task in ours(lab)[BATCH:]:  # type: ignore[assignment]
        skip(lab, task.id)  # type: ignore[attr-defined]
    not_ours = synchronised(lab, 3)
    lab.annotate(not_ours[0], "cat")
    third = rank(lab)
    assert third["exported"] == BATCH
    assert (third["tasks"]["not_ours"], third["tasks"]["not_ours_answered"]) == (3, 1)
    assert [task.id for task in lab.labeler.not_ours(2)] == not_ours[:2]
    lab.offset = 15 * 24 * 3600.0
    fourth = rank(lab)
    assert fourth["exported"] == BATCH
    assert TaskCounts(**fourth["tasks"]) == TaskCounts(0, 2 * BATCH - 1, BATCH, 3, 1)
    keys = [task.key for task in ours(lab)]
    assert len(keys) == 4 * BATCH
    assert len(set(keys)) == 4 * BATCH, "nothing is offered twice"
    assert set(images) >= set(keys)


def test_last_answer_of_a_round_triggers_the_next(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(batch=BATCH)
    # rank would work on the stack's own pool: another function shows as well that it is invoked
    invoked = lab.stack.project.outputs["WatchFunctionName"]
    lab.env |= {"OCTOSPOON_RANK_FUNCTION": invoked, "OCTOSPOON_MAX_OPEN_TASKS": "1"}
    lab.scored(2 * BATCH)
    rank(lab)
    first, *others = ours(lab)

    for task in others:
        lab.annotate(task.id, "cat")
        collected(lab)
    assert invocations(lab) == 0
    assert rank(lab)["exported"] == 0
    began = time.time()
    skip(lab, first.id)
    collected(lab)

    assert invocations(lab) == 1
    wait_for("the function to run", lambda: runs(lab, invoked, began) or None)
    assert rank(lab)["exported"] == BATCH


def test_open_tasks_get_the_predictions_of_a_new_model(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(batch=BATCH)
    lab.env["OCTOSPOON_MAX_OPEN_TASKS"] = "1"
    lab.scored(2 * BATCH)
    rank(lab)
    tasks = [task.id for task in ours(lab)]
    lab.annotate(tasks[0], "cat")
    draft = {"result": [choice("dog")], "lead_time": 1.0}
    lab.api.call("POST", f"/api/tasks/{tasks[1]}/drafts", json=draft)
    skip(lab, tasks[2])
    lab.serve(version=2)

    report = rank(lab)

    assert (report["exported"], report["refreshed"]) == (0, BATCH - 1)
    assert lab.api.call("GET", f"/api/projects/{lab.project}")["model_version"] == "v2"
    after = [lab.api.call("GET", f"/api/tasks/{task}/") for task in tasks]
    versions = [[prediction["model_version"] for prediction in task["predictions"]] for task in after]
    assert versions == [["v1"], *[["v1", "v2"]] * (BATCH - 1)]
    assert [len(task["drafts"]) for task in after] == [0, 1, 0, 0]
    assert rank(lab)["refreshed"] == 0
    for task in ours(lab):
        lab.annotate(task.id, "cat")
    lab.serve(version=3)
    assert lab.labeler.task_counts().waiting == 0
    assert rank(lab)["exported"] == BATCH, "Label Studio takes no version that predicted nothing"
    assert lab.api.call("GET", f"/api/projects/{lab.project}")["model_version"] == "v3"
    lab.serve(version=4)
    for task in ours(lab):
        lab.annotate(task.id, "cat")
    assert rank(lab)["refreshed"] == 0
    assert lab.api.call("GET", f"/api/projects/{lab.project}")["model_version"] == "v3"


def collected(lab: Lab) -> None:
    for hook in lab.hooks():
        lab.invoke("webhook", hook)
    lab.collect_all()


def invocations(lab: Lab) -> int:
    calls = [json.loads(line) for line in lab.host.calls.read_text().splitlines()]
    function = lab.env["OCTOSPOON_RANK_FUNCTION"]
    return sum(call.get("FunctionName") == function and call["operation"] == "Invoke" for call in calls)


def runs(lab: Lab, function: str, since: float) -> int:
    logs = lab.stack.deployment.client("logs")
    events = logs.filter_log_events(
        logGroupName=f"/aws/lambda/{function}", startTime=int(1000 * since), filterPattern="watched"
    )["events"]
    return len(events)
