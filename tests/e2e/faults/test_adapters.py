"""Requests of the reconciler and the export to the real Label Studio, MLflow and S3."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from octospoon.adapters.aws.sqs_uploads import SqsUploads
from octospoon.adapters.label_studio.api import LabelStudio
from octospoon.adapters.label_studio.choices import choice
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.adapters.mlflow.alias import MlflowAlias
from octospoon.adapters.mlflow.rest import MlflowApi
from octospoon.adapters.s3.images import S3Images
from octospoon.domain.errors import NotConfigured, ServiceUnavailable
from octospoon.domain.labelling.tasks import Task
from octospoon.domain.pool.images import ImageRef
from octospoon.runtime.events import uploads

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.faults.lab import Lab

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
ODD = [
    "../../etc/passwd",
    "a/./b/../c.png",
    " blank in front and behind ",
    "a+b c%20d%2F.png",
    "日本語/ä ö/🐙.png",
    "quotes\"'<b>&amp;;--.png",
    "x" * 1024,
    "🐙" * 256,
]


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab()


def test_any_key_is_found_again_in_label_studio(lab: Lab) -> None:
    tasks = [Task(key, f"e{i}", f"s3://b/{i}", "cat", 0.5, "v1") for i, key in enumerate(ODD)]

    created = lab.labeler.create(tasks)

    assert lab.labeler.find({task.key: task.etag for task in tasks}) == created
    assert lab.labeler.find({task.key: "of other bytes" for task in tasks}) == {}
    assert {(task.key, task.etag) for task in lab.labeler.tasks_of(ODD)} == {
        (task.key, task.etag) for task in tasks
    }
    assert [task.id for task in lab.labeler.waiting(0, 100)] == sorted(created.values())


def test_any_key_goes_through_bucket_queue_and_tables(lab: Lab) -> None:
    bucket = S3Images(lab.s3, lab.bucket)
    queue = SqsUploads(lab.sqs, lab.queues["uploads"])
    for key in ODD:
        lab.replace(key)
    listed: list[str] = []
    # beyond the first page LocalStack 4.9 compares keys as they are quoted, and loses those beyond ASCII
    plain = [key for key in ODD if key.isascii() and " " not in key]
    while page := bucket.listing(listed[-1] if listed else "", 3 if listed else len(ODD)):
        listed += [entry.key for entry in page]
    assert sorted(listed) == sorted(ODD)
    assert {entry.key for entry in bucket.listing(min(plain), 100)} >= set(plain) - {min(plain)}
    assert not any(bucket.problem(key) for key in ODD)
    assert bucket.problem("missing") is not None
    assert lab.entries.entries(ODD).keys() == set(ODD)
    for key in ODD:
        image = ImageRef(key, "e", "0F", 5)
        queue.send(image)
        (event,) = [lab.sqs.receive_message(QueueUrl=lab.queues["uploads"])["Messages"][0]["Body"]]
        assert uploads(event) == [image]


def test_prediction_that_the_interface_does_not_offer_is_omitted(lab: Lab) -> None:
    tasks = [
        Task("a", "e", "s3://b/a", "cat", 0.5, "v1"),
        Task("b", "e", "s3://b/b", "owl", 0.5, "v1"),
        Task("c", "e", "s3://b/c", "cat", 1.5, "v1"),
    ]

    created = lab.labeler.create(tasks)

    def predictions(key: str) -> int:
        return len(lab.api.call("GET", "/api/predictions/", params={"task": created[key]}))

    assert [predictions(key) for key in "abc"] == [1, 0, 0]


def test_an_interface_that_is_not_ours_is_said_plainly(lab: Lab) -> None:
    choices = '<Choices name="c" toName="i"><Choice value="cat"/></Choices>'
    other = f'<View><Image name="i" value="$image"/>{choices}</View>'
    lab.api.call("PATCH", f"/api/projects/{lab.project}", json={"label_config": other})

    with pytest.raises(NotConfigured, match="label-studio-project"):
        lab.labeler.create([Task("a", "e", "s3://b/a", "cat", 0.5, "v1")])
    assert lab.labeler.changed(0, 0, 10) == []


def test_task_with_a_started_answer_is_not_deleted(lab: Lab) -> None:
    created = lab.labeler.create([Task(key, "e", "s3://b/a", None, None) for key in "abc"])
    lab.annotate(created["a"], "cat")
    draft = {"result": [choice("cat")], "lead_time": 1.0}
    lab.api.call("POST", f"/api/tasks/{created['b']}/drafts", json=draft)

    assert [lab.labeler.delete(created[key]) for key in "abc"] == [False, False, True]
    assert lab.labeler.delete(created["c"]), "it is gone already"
    assert [task.id for task in lab.labeler.waiting(0, 10)] == [created["b"]]


def test_the_registrys_alias(lab: Lab) -> None:
    mlflow = lab.stack.project.mlflow_url
    api = MlflowApi(mlflow, lambda: ("", ""))
    nothing = MlflowAlias(api, f"faults-{uuid.uuid4().hex}")
    assert nothing.read() is None, "there is no such model"

    alias = MlflowAlias(api, lab.register(2))
    assert alias.read() is None
    for version in (1, 2):
        assert alias.move(version)
        assert alias.read() == version
    assert not alias.move(99), "there is no such version"
    assert alias.read() == 2
    with pytest.raises(ServiceUnavailable):
        MlflowAlias(MlflowApi("http://127.0.0.1:9", lambda: ("", "")), "m").read()


def test_a_champion_whose_alias_was_never_set_gets_it(lab: Lab) -> None:
    name = lab.register(1)

    reports = [lab.invoke("reconcile")[1] for _ in range(2)]

    assert [report["models"] for report in reports] == [0, 0]
    assert MlflowAlias(MlflowApi(lab.stack.project.mlflow_url, lambda: ("", "")), name).read() == 1


def test_another_project_is_left_alone(lab: Lab, make_lab: Callable[..., Lab]) -> None:
    other = make_lab()
    other.labeler.create([Task("a", "e", "s3://b/a", None, None)])

    assert LabelStudio(lab.api, lab.project, SingleChoice()).find({"a": "e"}) == {}
    assert LabelStudio(lab.api, lab.project, SingleChoice()).waiting(0, 10) == []
