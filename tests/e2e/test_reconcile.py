"""Labels whose webhooks are lost: the real Label Studio's webhook is off while people label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from e2e.helpers import changed_webhook, digit_pictures, scored, upload

from octospoon.adapters.label_studio.api import LabelStudio
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.cli.datasets import digits
from octospoon.cli.demo.oracle import annotate
from octospoon.cli.operations.run_now import rank, reconcile
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack

UPLOADS = range(1200, 1220)
WANTED = 3


@pytest.fixture
def deaf(stack: LocalStack) -> Iterator[None]:
    """Switch Label Studio's webhook off."""
    with changed_webhook(stack, is_active=False):
        yield


@pytest.fixture
def waiting(stack: LocalStack) -> dict[str, int]:
    """Return open tasks by image, of an open batch or of one that is exported now."""
    scored(stack.deployment, upload(stack.deployment, digit_pictures("digits/", UPLOADS)))
    rank(stack.deployment)
    labeler = LabelStudio(stack.label_studio, stack.project.label_studio_project, SingleChoice())
    pool = stack.deployment.pool

    def exported() -> dict[str, int] | None:
        keys = [task.key for task in labeler.changed(0, 0, 1000)]
        tasks = [task for task in labeler.tasks_of(keys) if not task.annotations]
        rows = pool.rows([task.key for task in tasks])
        ids = {task.key: task.id for task in tasks}
        ready = {key: ids[key] for key, row in rows.items() if row.state is State.EXPORTED}
        return dict(list(ready.items())[:WANTED]) if len(ready) >= WANTED else None

    return wait_for("tasks that wait for an annotator", exported, seconds=180)


def test_labels_whose_webhooks_are_lost_are_counted_and_taken_back(
    stack: LocalStack, waiting: dict[str, int], deaf: None
) -> None:
    deployment, api = stack.deployment, stack.label_studio
    wrong = digits.CLASSES[0]
    for task in waiting.values():
        annotate(api, task, wrong)
    assert {row.state for row in deployment.pool.rows(list(waiting)).values()} == {State.EXPORTED}

    first = reconcile(deployment)

    assert first.finished
    assert (first.annotations, first.labels) == (WANTED, WANTED)
    assert {row.state for row in deployment.pool.rows(list(waiting)).values()} == {State.LABELLED}
    again = reconcile(deployment, full=True)
    assert again.tasks >= WANTED
    assert (again.annotations, again.labels, again.job) == (0, 0, "")

    for key in waiting:
        (stored,) = deployment.labels.of(key)
        assert stored.label == wrong
        api.call("DELETE", f"/api/annotations/{stored.number}/")
        # one at a time: a removal of many labels waits for a person
        last = reconcile(deployment)
        assert (last.annotations, last.labels, last.withheld) == (1, 1, 0)

    assert {row.state for row in deployment.pool.rows(list(waiting)).values()} == {State.EXPORTED}


def test_a_label_that_came_by_the_webhook_is_not_repaired(stack: LocalStack, waiting: dict[str, int]) -> None:
    key, task = next(iter(waiting.items()))
    annotate(stack.label_studio, task, digits.CLASSES[0])
    wait_for(
        "the label",
        lambda: True if stack.deployment.pool.rows([key])[key].state is State.LABELLED else None,
    )

    report = reconcile(stack.deployment)

    assert (report.finished, report.annotations, report.labels) == (True, 0, 0)
    assert report.tasks >= 1
