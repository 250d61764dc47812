"""Labels whose annotations were removed, on the real Label Studio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from e2e.faults.lab import CLASSES

from octospoon.adapters.dynamodb.control.removal_proposals import DynamoProposals
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.labelling.removals import Proposal
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.faults.lab import Lab

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
LABELS = 21


def reconcile(lab: Lab, **event: object) -> dict[str, Any]:
    status, report = lab.invoke("reconcile", dict(event))
    assert status == 0, lab.host.log.read_text()[-3000:]
    return dict(report)


def labelled(lab: Lab) -> int:
    return lab.pool_report.counts()[State.LABELLED]


def test_labels_that_are_missing_stay_until_a_person_agrees(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(batch=LABELS)
    lab.scored(LABELS)
    lab.invoke("rank")
    for task in lab.tasks():
        lab.annotate(task.id, "cat")
    for hook in lab.hooks():
        lab.invoke("webhook", hook)
    lab.collect_all()
    assert labelled(lab) == LABELS
    proposals = DynamoProposals(lab.control_table)

    # another project is connected; the old one is unchanged
    home = lab.env["OCTOSPOON_LABEL_STUDIO_PROJECT"]
    other = LabelStudioSetup(lab.api).project(f"another {home}", CLASSES, SingleChoice())
    lab.env["OCTOSPOON_LABEL_STUDIO_PROJECT"] = str(other)
    report = reconcile(lab, full=True)
    assert (report["labels"], report["elsewhere"], report["withheld"]) == (0, LABELS, 0)
    lab.api.call("DELETE", f"/api/projects/{other}")
    lab.env["OCTOSPOON_LABEL_STUDIO_PROJECT"] = home

    # an older backup: newer annotations are lost, and no webhook was sent
    tasks = lab.tasks()
    for task in tasks[:-1]:
        lab.api.call("DELETE", f"/api/tasks/{task.id}/")
    for _ in range(2):
        report = reconcile(lab, full=True)
        assert (report["annotations"], report["labels"], report["withheld"]) == (0, 0, LABELS - 1)
        assert labelled(lab) == LABELS
    assert lab.host.metric("withheld") >= 2 * (LABELS - 1)
    assert reconcile(lab, accept_removals="another")["refused"]
    assert labelled(lab) == LABELS

    report = reconcile(lab, accept_removals=proposals.read().id)

    assert (report["labels"], report["withheld"], report["refused"]) == (LABELS - 1, 0, "")
    assert labelled(lab) == 1
    assert proposals.read() == Proposal()
    assert lab.violations([task.key for task in tasks]) == []
