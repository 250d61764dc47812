"""The labelling interface on the real Label Studio: controls, classes, and the order of tasks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from octospoon.adapters.label_studio.choices import choice
from octospoon.adapters.label_studio.labelling_interface import labelling_interface
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.faults.lab import Lab

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
BATCH = 20
INTERFACE = (
    '<View><Image name="image" value="$image"/>'
    '<Choices name="label" toName="image" choice="multiple"><Choice value="cat"/>'
    '<Choice value="dog" alias="d1"/><Choice value="owl"/></Choices>'
    '<Choices name="quality" toName="image"><Choice value="cat"/></Choices></View>'
)


def answer(lab: Lab, task: int, *results: dict[str, Any]) -> None:
    lab.api.call("POST", f"/api/tasks/{task}/annotations/", json={"result": list(results)})


def collected(lab: Lab) -> None:
    for hook in lab.hooks():
        assert lab.invoke("webhook", hook)[0] == 0
    lab.collect_all()


def test_half_labelled_batch_holds_every_share_and_hides_audit_predictions(
    make_lab: Callable[..., Lab],
) -> None:
    lab = make_lab(batch=BATCH)
    lab.env["OCTOSPOON_AUDIT_SHARE"] = "0.3"
    lab.scored(3 * BATCH)
    status, _ = lab.invoke("rank")
    assert status == 0, lab.host.log.read_text()[-3000:]
    round_ = lab.rounds.read(1)
    assert round_ is not None
    picks = {pick.key: pick for pick in round_.picks}

    first = []
    for _ in range(BATCH // 2):
        task = lab.api.call("GET", f"/api/projects/{lab.project}/next")  # as "Label All Tasks" does
        first.append(task)
        lab.annotate(task["id"], "cat")

    assert [row["data"]["key"] for row in first] == [pick.key for pick in round_.picks][: BATCH // 2]
    audit = sum(picks[row["data"]["key"]].audit for row in first)
    assert 2 <= audit <= 4, "half of the six"
    shown = Counter()
    for task in lab.labeler.changed(0, 0, 100):
        pick, document = picks[task.key], lab.api.call("GET", f"/api/tasks/{task.id}/")
        assert set(document["data"]) == {"image", "key", "etag"}
        assert bool(document["predictions"]) != pick.blind
        shown[pick.audit, pick.blind] += 1
    assert shown == {(True, True): 6, (False, True): 6, (False, False): 8}


def test_only_our_control_counts_and_others_are_reported(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(batch=8)
    setup = LabelStudioSetup(lab.api)
    title = lab.api.call("GET", f"/api/projects/{lab.project}")["title"]
    single = INTERFACE.replace('choice="multiple"', 'choice="single"')
    lab.api.call("PATCH", f"/api/projects/{lab.project}", json={"label_config": single})
    assert setup.project(title, ("cat", "dog"), SingleChoice()) == lab.project
    assert lab.labeler.interface().others == ("quality",), "what a person changed stays"
    lab.scored(8)
    assert lab.invoke("rank")[0] == 0
    lab.api.call("PATCH", f"/api/projects/{lab.project}", json={"label_config": INTERFACE})
    with pytest.raises(NotConfigured, match="one of multilabel, where annotators choose any classes"):
        setup.project(title, ("cat", "dog"), SingleChoice())
    tasks = lab.labeler.changed(0, 0, 100)
    both = {**choice("cat"), "value": {"choices": ["cat", "d1"]}}
    other = {**choice("cat"), "from_name": "quality"}
    for task, results in zip(
        tasks,
        ([choice("d1"), other], [other, choice("d1")], [choice("cat")], [other], [both], [choice("owl")], []),
        strict=False,
    ):
        answer(lab, task.id, *results)

    collected(lab)

    labels = [standing.label for task in tasks if (standing := lab.labels.label_state(task.key))]
    assert labels == ["dog", "dog", "cat", None, None, None, None, None]
    problems = {"other-control", "several-classes", "unknown-class", "no-class"}
    assert {example.problem for example in lab.labels.uncounted(examples=1).examples} == problems
    status, report = lab.invoke("reconcile", {"full": True})
    assert status == 0, lab.host.log.read_text()[-3000:]
    assert (report["annotations"], report["uncounted"], report["unknown_classes"]) == (0, 4, 1)
    (empty,) = lab.api.call("GET", f"/api/tasks/{tasks[6].id}/annotations/")
    lab.api.call("PATCH", f"/api/annotations/{empty['id']}/", json={"result": [choice("cat")]})
    collected(lab)
    standing = lab.labels.label_state(tasks[6].key)
    assert standing is not None
    assert standing.label == "cat"
    assert lab.labels.uncounted(examples=0).total == 3


def test_an_interface_that_nobody_changed_follows_the_classes(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    title = lab.api.call("GET", f"/api/projects/{lab.project}")["title"]

    assert LabelStudioSetup(lab.api).project(title, ("cat", "dog", "3"), SingleChoice()) == lab.project

    interface = lab.labeler.interface()
    assert [choice.value for choice in interface.choices] == ["cat", "dog", "3"]
    assert interface.required
    config = lab.api.call("GET", f"/api/projects/{lab.project}")["label_config"]
    assert 'value="3" hotkey="3"' in config
    assert config == labelling_interface(("cat", "dog", "3"))
