"""`octospoon backfill`: its costs, its question, and the messages that it queues."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.images import FakeBackfills, FakeBucket
from fakes.pool import FakeEntries, FakePool

from octospoon.adapters.aws.sqs_uploads import SqsUploads
from octospoon.cli.main import main
from octospoon.cli.operations import backfill, prices
from octospoon.domain.errors import BadRequest, ServiceUnavailable
from octospoon.domain.pool.backfill import Backfill
from octospoon.domain.pool.images import ImageRef, StoredObject
from octospoon.usecases.backfill import Survey

OBJECTS = 25


@dataclass
class FakeSqs:
    """Keeps the messages that are sent; refuses some of the first requests."""

    sent: list[Any] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    refusals: int = 0

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, str]]) -> Any:  # noqa: N803
        self.sizes.append(len(Entries))
        failed = []
        if self.refusals:
            self.refusals -= 1
            failed = [Entries.pop()]
        self.sent += [json.loads(entry["MessageBody"])["Records"][0] for entry in Entries]
        return {"Failed": [{"Id": entry["Id"]} for entry in failed]}

    def get_queue_attributes(self, AttributeNames: list[str], **_: str) -> Any:  # noqa: N803
        return {"Attributes": dict.fromkeys(AttributeNames, "0")}


class Deployed(SimpleNamespace):
    def __init__(self) -> None:
        self.bucket, self.progress, self.sqs = FakeBucket(), FakeBackfills(), FakeSqs()
        for number in range(OBJECTS):
            key = f"{number:03d} ä.jpg"
            self.bucket.objects[key] = StoredObject(key, "e", 2_000_000, 1_700_000_000.0)
        super().__init__(
            images=self.bucket,
            entries=FakeEntries(FakePool()),
            backfills=self.progress,
            backlog=None,
            outputs={"UploadsQueueUrl": "uploads", "ImagesBucket": "images"},
            endpoint_url="http://here",
            client=lambda *_: self.sqs,
            champions=SimpleNamespace(pointer=lambda: None),
        )


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Deployed:
    made = Deployed()
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: made)
    return made


def test_the_cost_is_printed_and_nothing_queued(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backfill", "--dry-run"]) == 0

    printed = capsys.readouterr().out
    assert "25 objects, 0 of them known" in printed
    assert "25 images, 50 MB, 0.0 minutes at 200 a second" in printed
    assert "dollars on AWS: listing" in printed
    assert f"50 ms an image, assumed; {prices.SOURCE}, read {prices.READ}" in printed
    assert deployed.sqs.sent == []


def test_without_a_terminal_and_yes_nothing_is_queued(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backfill"]) == 0

    assert "nothing is queued: add --yes" in capsys.readouterr().out
    assert deployed.sqs.sent == []


def test_objects_are_queued_as_uploads_ten_in_a_request(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backfill", "--yes", "--rate", "10000", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert (document["queued"], document["finished"], document["estimate"]["images"]) == (25, True, 25)
    assert sorted(deployed.sqs.sizes) == [5, 10, 10]
    assert {record["eventSource"] for record in deployed.sqs.sent} == {"octospoon:backfill"}
    queued = [record["s3"]["object"] for record in deployed.sqs.sent]
    assert sorted(upload["key"] for upload in queued)[3] == "003+%C3%A4.jpg"
    assert queued[0] == {"key": queued[0]["key"], "eTag": "e", "size": 2_000_000, "sequencer": ""}


def test_a_stopped_backfill_continues_and_says_so(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.progress.backfill = Backfill(1, 1.8e9, cursor="019 ä.jpg", queued=20, finished=False)

    assert main(["backfill", "--yes"]) == 0

    captured = capsys.readouterr()
    assert "continues an unfinished backfill, which has queued 20" in captured.err
    assert "5 objects, 0 of them known" in captured.out
    assert "25 images queued" in captured.out
    assert len(deployed.sqs.sent) == 5


def test_an_empty_range_is_said_to_be_empty(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backfill", "--yes", "--prefix", "nowhere/"]) == 0

    assert "nothing is left to queue" in capsys.readouterr().out


def test_refused_messages_are_sent_again() -> None:
    sqs = FakeSqs(refusals=2)

    SqsUploads(sqs, "uploads").send_all([ImageRef(str(n), "e", "", 1) for n in range(4)])

    assert sorted(record["s3"]["object"]["key"] for record in sqs.sent) == ["0", "1", "2", "3"]
    assert sqs.sizes == [4, 1, 1]


def test_messages_refused_again_and_again_are_an_error() -> None:
    with pytest.raises(ServiceUnavailable, match="refused 1 of 1"):
        SqsUploads(FakeSqs(refusals=99), "uploads").send_all([ImageRef("a", "e", "", 1)])


def test_a_million_images_cost_what_their_parts_cost() -> None:
    cost = backfill.estimate(Survey(1_200_000, 200_000, 1_000_000, 5e5, 1_200), 200, [0.02, 0.04])

    assert cost.minutes == pytest.approx(83.3, abs=0.1)
    assert cost.dollars["listing"] == pytest.approx(0.012)
    assert cost.dollars["looking up"] == pytest.approx(0.30)
    assert cost.dollars["queue"] == pytest.approx(0.12)
    assert cost.dollars["reading"] == pytest.approx(0.40)
    assert cost.dollars["scoring"] == pytest.approx(0.03 * 1.7275 * 16.6667 + 0.02, rel=1e-3)
    assert cost.dollars["writing"] == pytest.approx(3.125 + 0.007, abs=0.001)
    assert cost.total == pytest.approx(sum(cost.dollars.values()))


def test_times_are_read_as_utc_and_others_refused() -> None:
    assert backfill.epoch_seconds("") == 0.0
    assert backfill.epoch_seconds("1970-01-02") == 86_400.0
    assert backfill.epoch_seconds("1970-01-02T01:00Z") == 90_000.0
    assert backfill.epoch_seconds("1970-01-02T01:00+01:00") == 86_400.0
    with pytest.raises(BadRequest, match="--since 'yesterday'"):
        backfill.epoch_seconds("yesterday")


def test_only_an_ended_process_of_this_machine_is_dead() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = socket.gethostname()

    assert backfill.is_dead(f"{here}:{ended.pid}")
    assert not backfill.is_dead(f"{here}:{os.getpid()}")
    assert not backfill.is_dead(f"elsewhere:{ended.pid}")
    assert not backfill.is_dead("")


def test_nothing_is_measured_without_images_or_a_model() -> None:
    survey = Survey(sample=[ImageRef(str(n), "e", "", 1) for n in range(3)])

    assert backfill.measured(Deployed(), Survey()) == []
    assert backfill.measured(Deployed(), survey) == []
