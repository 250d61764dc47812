"""Objects of a bucket: the same bytes under other ETags, odd keys, and unreadable objects."""

from __future__ import annotations

import io
import json
import uuid
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from PIL import Image

from octospoon.adapters.label_studio.api import LabelStudio
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.cli.datasets import digits
from octospoon.cli.demo.oracle import annotate
from octospoon.cli.operations import log_reasons
from octospoon.cli.operations.run_now import reconcile
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.labelling.addresses import address_of, why_not_shown
from octospoon.domain.labelling.tasks import Task
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from octospoon.cli.local.assemble import LocalStack
    from octospoon.domain.labelling.reconciliation import PoolEntry

pytestmark = pytest.mark.stack

SHOWN = [
    "plain.png",
    "b b+%20#1;&.png",
    "trail.png ",
    "nbsp\xa0",
    "a//b.png",
    "../up.png",
    "é😀'\".png",
]
NOT_SHOWN = ["photo.png?w=300", "photo?", "tab\tkey.png", "new\nline.png"]


class Desk:
    """One test's images and their tasks in the real Label Studio; both are deleted afterwards."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack, self.folder = stack, f"objects-{uuid.uuid4().hex}/"
        self.s3 = stack.deployment.client("s3")
        self.bucket = stack.project.outputs["ImagesBucket"]
        self.labeler = LabelStudio(stack.label_studio, stack.project.label_studio_project, SingleChoice())
        self.tasks: list[int] = []

    def put(self, key: str, data: bytes, **more: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data, **more)

    def entry(self, key: str) -> PoolEntry | None:
        return self.stack.deployment.entries.entries([key]).get(key)

    def scored(self, key: str) -> PoolEntry:
        return wait_for(f"{key!r} in the pool", lambda: self.entry(key), seconds=120)

    def ask(self, key: str) -> int:
        """Make the image's task; return its number."""
        task = Task(key, self.scored(key).etag, address_of(self.bucket, key), None, None)
        self.tasks += (made := self.labeler.create([task]).values())
        return next(iter(made))

    def becomes(self, key: str, state: State) -> None:
        self.wait(f"{key} {state}", lambda: (entry := self.entry(key)) and entry.state is state)

    @staticmethod
    def wait(what: str, met: Callable[[], object]) -> None:
        wait_for(what, lambda: met() or None, seconds=120)

    def shown(self, task: int) -> bytes:
        """Return the bytes that annotators see."""
        api = self.stack.label_studio
        address = api.call("GET", f"/api/tasks/{task}/")["data"]["image"]
        token = {"Authorization": f"Token {self.stack.servers.credentials.token}"}
        return httpx.get(httpx.URL(api.url).join(address), headers=token, follow_redirects=True).content

    def close(self) -> None:
        for task in self.tasks:
            for annotation in self.stack.label_studio.call("GET", f"/api/tasks/{task}/annotations/"):
                self.stack.label_studio.call("DELETE", f"/api/annotations/{annotation['id']}/")
        reconcile(self.stack.deployment)  # subtracts their labels from the counter
        for task in self.tasks:
            self.labeler.delete(task)


@pytest.fixture
def desk(stack: LocalStack) -> Iterator[Desk]:
    made = Desk(stack)
    yield made
    made.close()


def noise(seed: int) -> bytes:
    """An image of 9.7 MB, which clients send in parts."""
    pixels = np.random.default_rng(seed).integers(0, 256, (1800, 1800, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=0)
    return stream.getvalue()


def test_the_same_bytes_keep_their_label_whatever_their_etag_is(desk: Desk) -> None:
    key, image = f"{desk.folder}large.png", noise(1)
    desk.put(key, image)
    annotate(desk.stack.label_studio, desk.ask(key), "7")
    desk.becomes(key, State.LABELLED)
    identity = desk.scored(key).etag

    desk.s3.upload_fileobj(io.BytesIO(image), desk.bucket, key)  # as `octospoon drop` sends it
    desk.wait("its parts", lambda: "-" in desk.scored(key).object_etag)
    assert (desk.scored(key).etag, desk.scored(key).state) == (identity, State.LABELLED)

    desk.put(key, digits.png_bytes(1))
    desk.becomes(key, State.SCORED)
    desk.s3.upload_fileobj(io.BytesIO(image), desk.bucket, key)
    desk.becomes(key, State.LABELLED)
    assert desk.scored(key).etag == identity


def test_annotators_see_the_scored_bytes_or_no_image(desk: Desk) -> None:
    # what would be shown in the place of those that cannot be addressed
    keys = [
        *(desk.folder + key for key in [*SHOWN, *NOT_SHOWN, "photo", "tabkey.png"]),
        f"/{desk.folder}slash",
    ]
    images = {key: digits.png_bytes(1500 + number) for number, key in enumerate(keys)}
    for key, image in images.items():
        desk.put(key, image)

    for key, image in images.items():
        entry = desk.scored(key)
        if why_not_shown(key):
            assert (entry.state, entry.reason) == (State.QUARANTINED, "key-not-shown")
        else:
            assert desk.shown(desk.ask(key)) == image, key
    assert sum(not why_not_shown(key) for key in keys) == len(SHOWN) + 2


def test_unreadable_objects_are_named_and_folders_are_no_images(desk: Desk) -> None:
    image, secret = digits.png_bytes(1600), "k" * 32
    frozen, locked, last = (desk.folder + name for name in ("frozen", "locked", "last"))
    desk.put(desk.folder, b"", ContentType="application/x-directory")
    desk.put(frozen, image, StorageClass="GLACIER")
    desk.put(locked, image, SSECustomerAlgorithm="AES256", SSECustomerKey=secret)
    desk.put(last, image)

    assert desk.scored(frozen).reason == "archived"
    assert desk.scored(locked).reason == "customer-key"
    assert desk.scored(last).state is State.SCORED
    assert desk.entry(desk.folder) is None
    assert reconcile(desk.stack.deployment, full=True).requeued == 0, "nor are they queued again"

    desk.put(frozen, image)
    desk.becomes(frozen, State.SCORED)


def test_propagated_annotations_are_counted_by_the_next_reconciliation(desk: Desk) -> None:
    api, keys = desk.stack.label_studio, [f"{desk.folder}{number}.png" for number in range(2)]
    for number, key in enumerate(keys):
        desk.put(key, digits.png_bytes(1620 + number))
    first, second = (desk.ask(key) for key in keys)
    reconcile(desk.stack.deployment)
    annotate(api, first, "3")
    desk.becomes(keys[0], State.LABELLED)
    (given,) = api.call("GET", f"/api/tasks/{first}/annotations/")

    body = {"selectedItems": {"all": False, "included": [second]}, "source_annotation_id": given["id"]}
    project = desk.stack.project.label_studio_project
    api.call("POST", "/api/dm/actions", params={"id": "propagate_annotations", "project": project}, json=body)
    reconcile(desk.stack.deployment)

    assert desk.scored(keys[1]).state is State.LABELLED


@pytest.mark.parametrize("title", ["cats + dogs & 50 % ä", " blanks "])
def test_a_project_is_found_by_its_title(stack: LocalStack, title: str) -> None:
    setup, title = LabelStudioSetup(stack.label_studio), f"{title}{uuid.uuid4().hex[:6]}&+"
    first, second = (setup.project(title, ["cat", "dog"], SingleChoice()) for _ in range(2))
    stack.label_studio.call("DELETE", f"/api/projects/{first}")

    assert first == second


def test_why_a_message_failed_is_found_in_the_log(stack: LocalStack) -> None:
    record = {"messageId": str(uuid.uuid4()), "body": '{"Records": 5}', "eventSource": "aws:sqs"}
    stack.deployment.client("lambda").invoke(
        FunctionName=stack.project.outputs["ScoreFunctionName"], Payload=json.dumps({"Records": [record]})
    )

    reason = wait_for(
        "the reason",
        lambda: log_reasons.newest(stack.deployment, "score", record["messageId"], 0.0) or None,
        seconds=60,
    )
    assert "not an S3" in reason
