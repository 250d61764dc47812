"""Backfill many objects on LocalStack, killed again and again: none is queued twice, and none is changed.

    python -m bench.backfill --objects 100000 --kills 5 [--json FILE]

A process of its own queues the objects. It is killed at random moments with SIGKILL and started again.
Threads take the messages from the queue, as `score` does, and write rows that make the objects known. The
versions of all objects are compared before and after.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import msgspec
from botocore.config import Config

from octospoon.cli.deployment import Deployment
from octospoon.cli.operations.backfill import run_backfill
from octospoon.cli.stack import start
from octospoon.cli.stack.services import LOCALSTACK
from octospoon.domain.pool.backfill import Pace
from octospoon.usecases.backfill import survey

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
BUCKET = "somebodys-photos"
BODY = b"a picture of 23 bytes.\n"
RATE = 2000
SCORERS = 4
UPLOADERS = 8


@dataclass
class Figures:
    """The measurements."""

    objects: int
    kills: int
    created_seconds: float = 0.0
    survey_seconds: float = 0.0
    queueing_seconds: float = 0.0
    queued: int = 0
    messages: int = 0
    twice: int = 0
    missing: int = 0
    changed: int = 0


def tables(deployment: Deployment) -> None:
    """Make the tables, the queue and the bucket that a backfill uses."""
    dynamodb, s3 = deployment.client("dynamodb"), deployment.client("s3")
    for table, key in (("pool", "key"), ("control", "id")):
        dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


def fill(deployment: Deployment, objects: int) -> None:
    """Put the objects into the bucket."""
    s3 = deployment.client("s3", Config(max_pool_connections=UPLOADERS))

    def put(number: int) -> None:
        s3.put_object(Bucket=BUCKET, Key=f"photos/{number:07d} ä.jpg", Body=BODY)

    with ThreadPoolExecutor(UPLOADERS) as threads:
        list(threads.map(put, range(objects)))


def versions(deployment: Deployment) -> tuple[int, str]:
    """Return the number of versions and deletions in the bucket, and a hash of all of them."""
    count, digest = 0, hashlib.sha256()
    for page in deployment.client("s3").get_paginator("list_object_versions").paginate(Bucket=BUCKET):
        for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            count += 1
            digest.update(f"{entry['Key']} {entry['VersionId']} {entry.get('ETag')}\n".encode())
    return count, digest.hexdigest()


@dataclass
class Scorer:
    """Takes messages from the queue, and adds their objects to the pool.

    Attributes:
        deployment: with the queue and the pool.
        counts: how often each key was in a message.
        stop: ends the threads.
    """

    deployment: Deployment
    counts: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self) -> None:
        """Process messages until `stop` is set."""
        sqs, dynamodb = self.deployment.client("sqs"), self.deployment.client("dynamodb")
        url = self.deployment.outputs["UploadsQueueUrl"]
        while not self.stop.is_set():
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            if not (received := messages.get("Messages", [])):
                continue
            uploads = [json.loads(message["Body"])["Records"][0]["s3"]["object"] for message in received]
            rows = [row(unquote_plus(upload["key"]), upload["eTag"]) for upload in uploads]
            dynamodb.batch_write_item(RequestItems={"pool": [{"PutRequest": {"Item": row}} for row in rows]})
            with self.lock:
                self.counts.update(row["key"]["S"] for row in rows)
            entries = [
                {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
                for n, message in enumerate(received)
            ]
            sqs.delete_message_batch(QueueUrl=url, Entries=entries)


def row(key: str, etag: str) -> dict[str, Any]:
    """Return the part of a pool row that a backfill looks at."""
    return {"key": {"S": key}, "etag": {"S": etag}, "state": {"S": "scored"}}


def queue(deployment: Deployment, rate: int) -> None:
    """Queue the remaining objects, as `octospoon backfill --yes` does."""
    backfill = run_backfill(deployment)
    backfill(backfill.scope("", 0.0), Pace(rate))


def killed(given: dict[str, Any], progress: Callable[[], int], at: int) -> None:
    """Queue in a separate process, and kill it shortly after it has queued this many objects."""
    command = [sys.executable, "-m", "bench.backfill", "--child", json.dumps(given)]
    process = subprocess.Popen(command, cwd=ROOT)
    while process.poll() is None and progress() < at:
        time.sleep(0.02)
    time.sleep(random.random() / 5)
    process.kill()
    process.wait()


def measure(deployment: Deployment, objects: int, kills: int) -> Figures:
    """Fill the bucket, and queue its objects with this many kills."""
    figures = Figures(objects, kills)
    began = time.monotonic()
    fill(deployment, objects)
    figures.created_seconds = time.monotonic() - began
    before = versions(deployment)
    began = time.monotonic()
    backfill = run_backfill(deployment)
    assert survey(backfill.pages(backfill.scope("", 0.0))).images == objects
    figures.survey_seconds = time.monotonic() - began
    scorer = Scorer(deployment)
    threads = [threading.Thread(target=scorer.work, daemon=True) for _ in range(SCORERS)]
    for thread in threads:
        thread.start()
    given = {"outputs": dict(deployment.outputs), "endpoint": deployment.endpoint_url}
    began = time.monotonic()
    for kill in range(kills):
        at = (kill + 1) * objects // (kills + 1)
        killed(given, lambda: deployment.backfills.read().queued, at)
        print(f"killed after {deployment.backfills.read().queued:,} objects", flush=True)
    while not deployment.backfills.read().finished:
        queue(deployment, RATE)
    figures.queueing_seconds = time.monotonic() - began
    while sum(scorer.counts.values()) < objects and time.monotonic() - began < 3600:
        time.sleep(0.5)
    scorer.stop.set()
    for thread in threads:
        thread.join()
    figures.queued = deployment.backfills.read().queued
    figures.messages = sum(scorer.counts.values())
    figures.twice = sum(count > 1 for count in scorer.counts.values())
    figures.missing = objects - len(scorer.counts)
    figures.changed = int(versions(deployment) != before)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=json.loads)
    arguments = parser.parse_args()
    if arguments.child:
        queue(Deployment(arguments.child["outputs"], arguments.child["endpoint"]), RATE)
        return
    with start(ROOT, services=[LOCALSTACK], progress=print, fresh=True, name="backfill") as servers:
        outputs = {"ImagesBucket": BUCKET, "ArtifactsBucket": "none", "ImagesSource": "existing"}
        outputs |= {"PoolTable": "pool", "ControlTable": "control"}
        deployment = Deployment(outputs, servers.aws_url)
        tables(deployment)
        sqs = deployment.client("sqs")
        attributes = {"VisibilityTimeout": "3600"}
        outputs["UploadsQueueUrl"] = sqs.create_queue(QueueName="uploads", Attributes=attributes)["QueueUrl"]
        figures = measure(deployment, arguments.objects, arguments.kills)
    print(msgspec.json.format(msgspec.json.encode(figures)).decode())
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.encode(figures))
    assert (figures.twice, figures.missing, figures.changed) == (0, 0, 0)


if __name__ == "__main__":
    main()
