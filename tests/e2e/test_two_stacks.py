"""Two stacks in one account and region: each scores its own images, and no metric or alarm is shared.

The second has a KMS key of its own. LocalStack gives it to queues, secrets and tables, but not to buckets and
log groups, and enforces no key's policy: tests/unit/deploy/test_key.py holds what the template asks for.
"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from octospoon.cli.datasets import digits
from octospoon.cli.deploy.deployer import deploy
from octospoon.cli.deploy.secrets import keep_secret
from octospoon.cli.deployment import Deployment
from octospoon.cli.deployment.session import session
from octospoon.cli.operations.first_model import init_model
from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack import start
from octospoon.cli.stack.services import LOCALSTACK

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
IMAGES = int(os.environ.get("OCTOSPOON_TWO_STACKS_IMAGES", "0"))
pytestmark = [
    pytest.mark.stack(own=True),
    pytest.mark.skipif(not IMAGES, reason="`make two-stacks` runs this"),
]
NAMES = ("Pictures-Dev", "pictures-prod")
Stacks = dict[str, Deployment]


@pytest.fixture(scope="module")
def stacks() -> Iterator[Stacks]:
    """Two deployments of the template on one LocalStack; Label Studio is not needed for scoring."""
    with start(ROOT, services=[LOCALSTACK], progress=print, fresh=True, name="two-stacks") as servers:
        kms = session(servers.aws_url).client("kms", endpoint_url=servers.aws_url)
        keys = ("", kms.create_key()["KeyMetadata"]["Arn"])
        yield {name: deployed(servers.aws_url, name, key) for name, key in zip(NAMES, keys, strict=True)}


def deployed(endpoint: str, name: str, key: str) -> Deployment:
    secrets = session(endpoint).client("secretsmanager", endpoint_url=endpoint)
    outputs = deploy(
        template=ROOT / "template.yaml",
        build_dir=ROOT / ".octospoon/build",
        endpoint_url=endpoint,
        stack_name=name,
        parameters={
            "Classes": ",".join(digits.CLASSES),
            "LabelStudioUrl": "http://label-studio.invalid",
            "LabelStudioProject": "1",
            "LabelStudioTokenSecretArn": keep_secret(secrets, name, "label-studio-token", name, key),
            "KmsKeyArn": key,
            "AccuracyFloor": "0.8",
            "RankSchedule": "rate(1 day)",
            "ReconcileSchedule": "rate(1 day)",
            "WatchSchedule": "rate(1 day)",
        },
        progress=print,
        by_path=True,
    )
    stack = Deployment(outputs, endpoint)
    init_model(stack)
    return stack


def test_nothing_that_the_stacks_own_is_shared(stacks: Stacks) -> None:
    first, second = (stacks[name] for name in NAMES)
    same = {name for name, value in first.outputs.items() if value and second.outputs[name] == value}
    resources = ("Arn", "Bucket", "Id", "Name", "Table", "Url")
    assert [name for name in same if name.endswith(resources)] == []
    for name, stack in stacks.items():
        secret = stack.outputs["LabelStudioTokenSecretArn"]
        assert stack.secret(secret) == name
        groups = stack.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}-")
        assert len(groups["logGroups"]) == 8


def test_both_score_their_own_images_and_count_them_apart(stacks: Stacks) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        for at, stack in enumerate(stacks.values()):
            s3, bucket = stack.client("s3"), stack.outputs["ImagesBucket"]
            for number in range(IMAGES + at):
                key, body = f"{number:04d}.png", digits.png_bytes(number % 500)
                pool.submit(s3.put_object, Bucket=bucket, Key=key, Body=body)
    expected = {name: IMAGES + at for at, name in enumerate(NAMES)}
    wait_for(
        "the images", lambda: {name: rows(stacks[name]) for name in NAMES} == expected or None, seconds=900
    )
    print(f"{sum(expected.values())} images in two stacks: {time.monotonic() - began:.1f} s")

    wait_for(
        "their metrics", lambda: {name: counted(stacks[name], name) for name in NAMES} == expected or None
    )
    for name in NAMES:
        assert {line["stack"] for line in published(stacks[name], name)} == {name}


def test_the_key_of_a_stack_encrypts_what_it_stores(stacks: Stacks) -> None:
    without, with_key = (kms_keys(stacks[name]) for name in NAMES)
    own = with_key["queue"]
    assert own is not None
    assert set(with_key.values()) == {own}
    assert own not in without.values()
    described = stacks[NAMES[1]].client("kms").describe_key(KeyId=own)["KeyMetadata"]
    assert (described["Arn"], described["KeyManager"]) == (own, "CUSTOMER")


def kms_keys(stack: Deployment) -> dict[str, str | None]:
    """Return the key of a stack's resource of each kind; None, or one of AWS's own, if the stack has none."""
    outputs = stack.outputs
    queue = stack.client("sqs").get_queue_attributes(
        QueueUrl=outputs["UploadsQueueUrl"], AttributeNames=["All"]
    )
    table = stack.client("dynamodb").describe_table(TableName=outputs["PoolTable"])["Table"]
    return {
        "queue": queue["Attributes"].get("KmsMasterKeyId"),
        "table": table["SSEDescription"].get("KMSMasterKeyArn"),
        "webhook": secret_key(stack, "WebhookSecretArn"),
        "token": secret_key(stack, "LabelStudioTokenSecretArn"),
    }


def secret_key(stack: Deployment, output: str) -> str | None:
    found = stack.client("secretsmanager").describe_secret(SecretId=stack.outputs[output])
    return found.get("KmsKeyId")


def test_alarm_of_a_stack_sees_its_own_metrics_alone(stacks: Stacks) -> None:
    noisy, quiet = NAMES
    cloudwatch = stacks[noisy].client("cloudwatch")
    alarms = {
        name: [
            alarm
            for page in cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{name}-")
            for alarm in page["MetricAlarms"]
        ]
        for name in NAMES
    }
    own = {name: [each for each in alarms[name] if each["Namespace"] == "octospoon"] for name in NAMES}
    assert len(alarms[noisy]) == len(alarms[quiet]) > len(own[noisy]) == len(own[quiet]) >= 3
    watched = {name: {dimensions(each) for each in alarms[name]} for name in NAMES}
    assert watched[noisy].isdisjoint(watched[quiet])

    for alarm in own[noisy]:  # as CloudWatch takes it from the line that a function of this stack prints
        service = dict(dimensions(alarm))["service"]
        put(cloudwatch, alarm["MetricName"], {"service": service, "stack": noisy}, 2.0)

    for name, expected in ((noisy, 1), (quiet, 0)):
        for alarm in own[name]:
            assert points(cloudwatch, alarm) == expected, (name, alarm["AlarmName"])


def rows(stack: Deployment) -> int:
    pages = stack.client("dynamodb").get_paginator("scan")
    return sum(page["Count"] for page in pages.paginate(TableName=stack.outputs["PoolTable"], Select="COUNT"))


def published(stack: Deployment, name: str) -> list[dict[str, Any]]:
    """Return the lines that score printed for CloudWatch."""
    pages = stack.client("logs").get_paginator("filter_log_events")
    found = pages.paginate(logGroupName=f"/aws/lambda/{name}-score", filterPattern='"CloudWatchMetrics"')
    # LocalStack takes each word of a pattern for itself, and returns other lines too
    lines = [event["message"] for page in found for event in page["events"]]
    return [json.loads(line) for line in lines if '"CloudWatchMetrics"' in line]


def counted(stack: Deployment, name: str) -> float:
    return sum(sum(line.get("scored", [])) for line in published(stack, name))


def dimensions(alarm: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((each["Name"], each["Value"]) for each in alarm["Dimensions"]))


def put(cloudwatch: Any, metric: str, found: dict[str, str], value: float) -> None:
    pairs = [{"Name": name, "Value": each} for name, each in found.items()]
    cloudwatch.put_metric_data(
        Namespace="octospoon", MetricData=[{"MetricName": metric, "Value": value, "Dimensions": pairs}]
    )


def points(cloudwatch: Any, alarm: Any) -> int:
    now = datetime.now(UTC)
    answer = cloudwatch.get_metric_statistics(
        Namespace=alarm["Namespace"],
        MetricName=alarm["MetricName"],
        Dimensions=alarm["Dimensions"],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=7200,
        Statistics=[alarm["Statistic"]],
    )
    return len(answer["Datapoints"])
