"""A folder of a user's photos, some of them broken."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from octospoon.cli.commands.status import show
from octospoon.cli.datasets.uploads import EMPTY, NO_IMAGE
from octospoon.cli.operations.upload import drop
from octospoon.cli.operations.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack

GOOD = ("beach.jpg", "logo with space.png", "sub/straße+ö.webp", "scan.tiff", "huge.jpg")
BAD = {"cut.jpg": "truncated", "empty.png": "empty", "notes.jpg": "not-an-image"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for name in GOOD:
        size = (3024, 3024) if name == "huge.jpg" else (640, 480)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        noise = generator.integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(noise).resize(size).save(path)
    buffer = io.BytesIO()
    Image.fromarray(generator.integers(0, 256, (480, 640, 3), np.uint8)).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.jpg").write_text("milk, eggs, bread")
    (tmp_path / "readme.txt").write_text("no picture, and not named like one")
    return tmp_path


def test_good_ones_are_scored_and_bad_ones_wait_in_quarantine(
    stack: LocalStack, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment = stack.deployment

    result = drop(deployment, [folder], "trip/")
    assert result.uploaded == len(GOOD) + len(BAD) - 1
    assert result.skipped.counts == {EMPTY: 1, NO_IMAGE: 1}
    deployment.client("s3").put_object(Bucket=deployment.outputs["ImagesBucket"], Key="trip/empty.png")

    def quarantined() -> dict[str, str]:
        reasons = {key: reason for key, reason, _ in deployment.pool_report.quarantined(99)}
        return {
            key.removeprefix("trip/"): reason for key, reason in reasons.items() if key.startswith("trip/")
        }

    def look() -> bool | None:
        scored = deployment.pool.rows([f"trip/{name}" for name in GOOD])
        return True if len(scored) == len(GOOD) and len(quarantined()) == len(BAD) else None

    wait_for("the photos", look)
    assert quarantined() == BAD
    show(deployment)
    shown = capsys.readouterr().out
    assert all(name in shown and reason in shown for name, reason in BAD.items())

    # nothing is lost, and nothing is retried forever: queue and dead letters are empty
    sqs = deployment.client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def drained() -> bool | None:
        attributes = [
            sqs.get_queue_attributes(QueueUrl=deployment.outputs[name], AttributeNames=names)["Attributes"]
            for name in ("UploadsQueueUrl", "UploadsDeadLettersUrl")
        ]
        return True if all(int(counts[name]) == 0 for counts in attributes for name in names) else None

    wait_for("the queue to drain", drained, seconds=30)
