"""The checks of `octospoon doctor` for an existing bucket: what its owner must set. They change nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code
from octospoon.cli.deploy.images_source import images_source
from octospoon.cli.doctor.check import Advised, Check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octospoon.cli.deployment import Deployment

_HOW = "docs/how-to/use-your-bucket.md says what the bucket needs"
_READABLE = f"let the command line read the settings of the bucket; {_HOW}"


def checks(deployment: Deployment) -> list[Check]:
    """Return the checks of an existing images bucket; none for a bucket that the stack made."""
    if not images_source(deployment.outputs).existing:
        return []
    return [
        Check("new images", _new_images, _READABLE),
        Check("images in the browser", _browser, _READABLE),
        Check("access of Label Studio", _access, _HOW),
        Check("older images", _older_images, "`octospoon backfill` queues them"),
    ]


def _new_images(deployment: Deployment) -> str:
    bucket = deployment.outputs["ImagesBucket"]
    answer = deployment.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    settings = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    if "EventBridgeConfiguration" not in settings:
        wanted = compact({**settings, "EventBridgeConfiguration": {}})
        raise Advised(
            f"{bucket} does not send its events to EventBridge, so that no new image is scored",
            "turn it on in the bucket's properties, under Amazon EventBridge; or run `aws s3api "
            f"put-bucket-notification-configuration --bucket {bucket} --notification-configuration "
            f"'{wanted}'`",
        )
    return f"{bucket} sends its events to EventBridge"


def _browser(deployment: Deployment) -> str:
    bucket, origin = deployment.outputs["ImagesBucket"], _origin(deployment)
    try:
        rules = deployment.client("s3").get_bucket_cors(Bucket=bucket)["CORSRules"]
    except ClientError as error:
        if code(error) != "NoSuchCORSConfiguration":
            raise
        rules = []
    if not any(allows(rule, origin) for rule in rules):
        raise Advised(
            f"no CORS rule of {bucket} lets the pages of {origin} read images",
            f"add this rule in the bucket's permissions, under CORS: {compact(cors_rule(origin))}",
        )
    return f"the pages of {origin} may read images"


def _access(deployment: Deployment) -> str:
    client, bucket = deployment.client("s3"), deployment.outputs["ImagesBucket"]
    ranges = images_source(deployment.outputs).ranges()
    statement = reading_statement(client.meta.partition, bucket, ranges)
    return f"Label Studio's role needs this statement, which is not checked: {compact(statement)}"


def _older_images(deployment: Deployment) -> str:
    until = deployment.backlog.peek() if deployment.backlog else 0.0
    if until <= 0:
        return "a backfill has queued them"
    before = "" if until == inf else f" before {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC"
    return f"objects written{before} are scored after `octospoon backfill` only"


def allows(rule: Mapping[str, Any], origin: str) -> bool:
    """Return whether a CORS rule lets the pages of an origin read objects."""
    origins = rule.get("AllowedOrigins", [])
    return ("*" in origins or origin in origins) and "GET" in rule.get("AllowedMethods", [])


def cors_rule(origin: str) -> dict[str, object]:
    """Return the CORS rule that a bucket needs, as the template gives it to a bucket of the stack."""
    return {
        "AllowedOrigins": [origin],
        "AllowedMethods": ["GET", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3000,
    }


def reading_statement(partition: str, bucket: str, prefixes: tuple[str, ...]) -> dict[str, object]:
    """Return the statement of a policy with which Label Studio reads these keys."""
    arn = f"arn:{partition}:s3:::{bucket}"
    return {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [arn, *(f"{arn}/{prefix}*" for prefix in prefixes)],
    }


def compact(value: object) -> str:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _origin(deployment: Deployment) -> str:
    address = urlsplit(deployment.settings["OCTOSPOON_LABEL_STUDIO_URL"])
    return f"{address.scheme}://{address.netloc.rpartition('@')[2]}"
