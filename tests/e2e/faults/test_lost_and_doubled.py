"""Deliveries that are lost, duplicated, reordered or late, on the real servers."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from e2e.faults.lab import Host, heavy, host_environment
from e2e.faults.proxy import Fault

from octospoon.cli.datasets import digits
from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack.process import end
from octospoon.cli.stack.services import LABEL_STUDIO
from octospoon.domain.pool.images import State
from octospoon.runtime import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.faults.lab import Lab

    from octospoon.cli.local.assemble import LocalStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]
ROUND = 50


def test_reconcile_counts_a_round_whose_receiver_was_down(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(batch=ROUND, threshold=ROUND)
    images = lab.scored(ROUND)
    lab.steps("rank")
    lab.steps("reconcile")
    lab.receiver.close()
    for task in lab.tasks():
        lab.annotate(task.id, "cat")

    _, report = lab.invoke("reconcile")

    assert (report["annotations"], report["labels"], report["job"]) == (ROUND, ROUND, "train-000001")
    lab.train()
    assert lab.trained == ["train-000001"]
    assert lab.violations(images) == []


@pytest.fixture(scope="module")
def second(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Any:
    host = Host(tmp_path_factory.mktemp("second"), host_environment(stack))
    yield host
    host.close()


def test_two_ranks_at_once_export_every_image_once(make_lab: Callable[..., Lab], second: Host) -> None:
    lab = make_lab(batch=4)
    images = lab.scored(4)
    steps = lab.steps("rank")
    images += lab.scored(4)
    at = next(i for i, step in enumerate(steps, 1) if "import" in step)
    lab.schedule.plan(Fault.LATE, at)
    first = threading.Thread(target=lambda: lab.invoke("rank"))
    first.start()
    wait_for("the first one's import", lambda: True if lab.schedule.injected else None, interval=0.02)
    _, report = second.run(lab.request("rank"))
    first.join()

    assert "another run is exporting round 2" in report["reason"]
    lab.recover()
    assert lab.violations(images) == []
    assert len(lab.tasks()) == 8


@heavy
def test_label_studio_stops_during_a_round_and_returns(
    stack: LocalStack, make_lab: Callable[..., Lab]
) -> None:
    lab = make_lab(batch=6)
    images = lab.scored(6)
    lab.steps("rank")
    tasks = lab.tasks()
    for task in tasks[:3]:
        lab.annotate(task.id, "cat")
    events = lab.hooks()

    restart = stopped(stack)
    images += lab.scored(6)
    for event in events:
        lab.steps("webhook", event)
    lab.collect_all()
    assert lab.invoke("rank")[0] == 1
    assert lab.invoke("reconcile")[0] == 1
    assert lab.control.state().new_labels == 3, "what had arrived is counted without Label Studio"
    restart()
    for task in tasks[3:]:
        lab.annotate(task.id, "dog")
    lab.hooks()  # lost: nobody listened

    lab.steps("rank")
    lab.recover()
    assert lab.violations(images) == []
    assert len(lab.tasks()) == 12
    assert lab.control.state().new_labels == 6


def stopped(stack: LocalStack) -> Callable[[], None]:
    """Kill Label Studio; return a function that starts the same process again."""
    process = next(candidate for candidate in stack.servers.processes if candidate.name == LABEL_STUDIO)
    guarded = Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")[:-1]
    argv = guarded[guarded.index(guard.__file__) + 3 :]  # behind the lifeline and the grace
    environment = Path(f"/proc/{process.pid}/environ").read_text().split("\0")[:-1]
    end([process])

    def answers() -> bool | None:
        try:
            return True if httpx.get(f"{stack.project.label_studio_url}/health").is_success else None
        except httpx.HTTPError:
            return None

    def restart() -> None:
        stack.servers.start_process(
            LABEL_STUDIO, argv, dict(variable.split("=", 1) for variable in environment)
        )
        wait_for("Label Studio to come back", answers, seconds=180)

    return restart


@heavy
@pytest.mark.parametrize("images", [1000])
def test_duplicate_and_shuffled_uploads_have_one_row_per_image(
    make_lab: Callable[..., Lab], images: int
) -> None:
    lab = make_lab()
    arn = lab.sqs.get_queue_attributes(QueueUrl=lab.queues["uploads"], AttributeNames=["QueueArn"])
    lab.s3.put_bucket_notification_configuration(
        Bucket=lab.bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {"QueueArn": arn["Attributes"]["QueueArn"], "Events": ["s3:ObjectCreated:*"]}
            ]
        },
    )
    etags = {}
    for _ in range(2):
        for index in range(images):
            put = lab.s3.put_object(Bucket=lab.bucket, Key=f"ä {index}.png", Body=digits.png_bytes(index))
            etags[f"ä {index}.png"] = put["ETag"].strip('"')
    bodies = [body for body in received(lab) if "s3:TestEvent" not in body]
    assert len(bodies) == 2 * images
    events = bodies * 2
    random.Random(0).shuffle(events)

    before = outcomes(lab)  # tests before this one scored too
    for start in range(0, len(events), 100):
        batch = enumerate(events[start : start + 100])
        records = [{"messageId": str(start + i), "body": body} for i, body in batch]
        status, answer = lab.invoke("score", {"Records": records})
        assert (status, answer) == (0, {"batchItemFailures": []}), lab.host.log.read_text()[-3000:]

    entries = lab.entries.entries(list(etags))
    assert {key: entry.etag for key, entry in entries.items()} == etags
    assert {entry.state for entry in entries.values()} == {State.SCORED}
    rows = lab.pool.rows(list(etags))
    assert {row.model_version for row in rows.values()} == {1}
    counted = {name: count - before[name] for name, count in outcomes(lab).items()}
    print(
        f"\n{len(events)} events of {2 * images} uploads of {images} images: {len(entries)} rows, {counted}"
    )
    assert sum(counted.values()) == len(events)
    # a key that is there twice in one batch is scored once for both; what comes later is known
    assert counted["scored"] <= 2 * images


def outcomes(lab: Lab) -> dict[str, float]:
    """Return how many uploads the function has counted so far, by outcome."""
    return {name: lab.host.metric(name) for name in ("scored", "known", "stale")}


def received(lab: Lab) -> list[str]:
    bodies: list[str] = []
    while messages := lab.sqs.receive_message(
        QueueUrl=lab.queues["uploads"], MaxNumberOfMessages=10, WaitTimeSeconds=2
    ).get("Messages"):
        bodies += [message["Body"] for message in messages]
        lab.sqs.delete_message_batch(
            QueueUrl=lab.queues["uploads"],
            Entries=[
                {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]}
                for i, message in enumerate(messages)
            ],
        )
    return bodies
