"""The buckets as they are deployed, and the keys of objects in their events."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from octospoon.cli.datasets.digits import png_bytes
from octospoon.cli.operations.waiting import wait_for

if TYPE_CHECKING:
    from lanes import Lane

BUCKETS = {"ImagesBucket": "UploadsQueueUrl", "ArtifactsBucket": "RescoreQueueUrl"}


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_private_versioned_encrypted_and_tells_its_queue(lane: Lane, bucket: str) -> None:
    s3, sqs, name = lane.client("s3"), lane.client("sqs"), lane.outputs[bucket]

    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    blocked = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert list(blocked.values()) == [True] * 4
    (notification,) = s3.get_bucket_notification_configuration(Bucket=name)["QueueConfigurations"]
    url = lane.outputs[BUCKETS[bucket]]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert (notification["QueueArn"], notification["Events"]) == (queue, ["s3:ObjectCreated:*"])


@pytest.mark.parametrize("name", ["with space.png", "ä+b%20c&=#.png", "a//b/./c.png", "猫.png"])
def test_image_is_scored_under_exactly_its_uploaded_key(lane: Lane, name: str) -> None:
    s3, bucket, key = lane.client("s3"), lane.outputs["ImagesBucket"], f"{uuid.uuid4().hex}/{name}"

    etag = s3.put_object(Bucket=bucket, Key=key, Body=png_bytes(3))["ETag"].strip('"')

    row = wait_for("its score", lambda: lane.pool.rows([key]).get(key))
    entry = lane.entries.entries([key])[key]
    assert (row.key, entry.etag) == (key, etag)
