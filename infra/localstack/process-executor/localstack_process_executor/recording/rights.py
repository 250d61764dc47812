"""The rights of IAM that a request needs: actions, each on the ARN of a resource."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Need = tuple[str, str]
_S3 = {
    "HeadObject": "GetObject",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "DeleteObjects": "DeleteObject",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
}
_PARTIQL = {"INSERT": "Insert", "UPDATE": "Update", "DELETE": "Delete", "SELECT": "Select"}
_NOT_FOUND = 404


@dataclass(frozen=True)
class Asked:
    """A request that was answered.

    Attributes:
        service: as botocore names it.
        operation: the operation.
        parameters: of the operation.
        status: of the answer.
        region: of the request.
        account: of the request.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    status: int
    region: str
    account: str

    def arn(self, service: str, kind: str, name: str) -> str:
        """Return the ARN of a resource in this region and account; `name` may be one already.

        Args:
            service: as ARNs name it.
            kind: what stands before the name, with the separator.
            name: of the resource.
        """
        if name.startswith("arn:"):
            return name
        return f"arn:aws:{service}:{self.region}:{self.account}:{kind}{name}"


def needs(asked: Asked) -> list[Need]:
    """Return the rights that a request needs, without repetitions; the resource is "*" where it has none."""
    of_service = _SERVICES.get(asked.service, _default)
    return list(dict.fromkeys(of_service(asked)))


def conditions(asked: Asked) -> dict[str, list[str]]:
    """Return the values of the keys that conditions of policies compare, as far as templates use them."""
    given = asked.parameters
    if asked.operation == "PutEvents":
        return {"events:source": sorted({entry.get("Source", "") for entry in given.get("Entries", [])})}
    if asked.operation == "RunTask":
        return {"ecs:cluster": [asked.arn("ecs", "cluster/", given.get("cluster", "default"))]}
    if asked.service == "s3" and given.get("Prefix") is not None:
        return {"s3:prefix": [given["Prefix"]]}
    return {}


def _default(asked: Asked) -> Iterator[Need]:
    yield f"{asked.service}:{asked.operation}", "*"


def _s3(asked: Asked) -> Iterator[Need]:
    given = asked.parameters
    bucket = f"arn:aws:s3:::{given.get('Bucket', '')}"
    action = _S3.get(asked.operation, asked.operation)
    if "Key" not in given:
        yield f"s3:{action}", bucket if "Bucket" in given else "*"
        return
    version = "Version" if given.get("VersionId") and action in ("GetObject", "DeleteObject") else ""
    yield f"s3:{action}{version}", f"{bucket}/{given['Key']}"
    if asked.operation in ("CopyObject", "UploadPartCopy"):
        yield "s3:GetObject", f"arn:aws:s3:::{str(given['CopySource']).partition('?')[0].lstrip('/')}"
    if asked.status == _NOT_FOUND:  # without this right S3 answers 403
        yield "s3:ListBucket", bucket


def _dynamodb(asked: Asked) -> Iterator[Need]:
    given, operation = asked.parameters, asked.operation

    def table(name: str) -> str:
        return asked.arn("dynamodb", "table/", name)

    for item in given.get("TransactItems", []):
        for kind, request in item.items():
            yield f"dynamodb:{kind}Item", table(request["TableName"])
    statements = [*given.get("Statements", []), *([given] if "Statement" in given else [])]
    for statement in dict.fromkeys(request["Statement"] for request in statements):
        match = re.search(r'"([^"]+)"', statement)
        kind = _PARTIQL.get(statement.split(maxsplit=1)[0].upper(), "Select")
        yield f"dynamodb:PartiQL{kind}", table(match[1]) if match else "*"
    for name in given.get("RequestItems", {}):
        yield f"dynamodb:{operation}", table(name)
    if "TableName" in given:
        index = f"/index/{given['IndexName']}" if given.get("IndexName") else ""
        yield f"dynamodb:{operation}", table(given["TableName"]) + index


def _sqs(asked: Asked) -> Iterator[Need]:
    *_, account, name = ["", *str(asked.parameters.get("QueueUrl", "")).rstrip("/").split("/")][-2:]
    arn = f"arn:aws:sqs:{asked.region}:{account}:{name}" if name else "*"
    yield f"sqs:{asked.operation.removesuffix('Batch')}", arn


def _lambda(asked: Asked) -> Iterator[Need]:
    name = asked.parameters.get("FunctionName")
    action = "InvokeFunction" if asked.operation == "Invoke" else asked.operation
    yield f"lambda:{action}", asked.arn("lambda", "function:", name) if name else "*"


def _logs(asked: Asked) -> Iterator[Need]:
    given = asked.parameters
    group = given.get("logGroupName")
    stream = f"log-stream:{given.get('logStreamName', '')}"
    arn = asked.arn("logs", "log-group:", f"{group}:{stream}") if group else "*"
    yield f"logs:{asked.operation}", arn


def _events(asked: Asked) -> Iterator[Need]:
    if asked.operation != "PutEvents":
        yield from _default(asked)
    for entry in asked.parameters.get("Entries", []) if asked.operation == "PutEvents" else []:
        yield "events:PutEvents", asked.arn("events", "event-bus/", entry.get("EventBusName") or "default")


def _ecs(asked: Asked) -> Iterator[Need]:
    task = asked.parameters.get("taskDefinition")
    yield f"ecs:{asked.operation}", asked.arn("ecs", "task-definition/", task) if task else "*"


def _secretsmanager(asked: Asked) -> Iterator[Need]:
    secret = asked.parameters.get("SecretId")
    yield (
        f"secretsmanager:{asked.operation}",
        asked.arn("secretsmanager", "secret:", secret) if secret else "*",
    )


def _cloudformation(asked: Asked) -> Iterator[Need]:
    stack = asked.parameters.get("StackName")
    name = stack if not stack or stack.startswith("arn:") else f"{stack}/*"
    yield f"cloudformation:{asked.operation}", asked.arn("cloudformation", "stack/", name) if name else "*"


_SERVICES: dict[str, Callable[[Asked], Iterator[Need]]] = {
    "cloudformation": _cloudformation,
    "dynamodb": _dynamodb,
    "ecs": _ecs,
    "events": _events,
    "lambda": _lambda,
    "logs": _logs,
    "s3": _s3,
    "secretsmanager": _secretsmanager,
    "sqs": _sqs,
}
