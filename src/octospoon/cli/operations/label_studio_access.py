"""Connect a Label Studio project to a deployment: its bucket, its webhook, and the rights to read the images.

The keys of the person who runs the command never go into Label Studio. On AWS, Label Studio reads the images
with the role that it runs with, or with an access key of the IAM user that the stack has for it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.label_studio.setup import S3Access
from octospoon.cli.deploy.urls import endpoint_for_label_studio, webhook_url
from octospoon.cli.deployment.session import LOCAL_KEY, LOCAL_REGION, session
from octospoon.domain.errors import BadRequest, NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.adapters.label_studio.setup import LabelStudioSetup
    from octospoon.cli.deployment import Deployment

_MOST_KEYS = 2
"""Access keys of one user that IAM allows at a time."""
_TRIES = 30
_PAUSE = 2.0
"""Seconds between two tries of a new key: AWS takes some seconds to know it everywhere."""


class Credentials(StrEnum):
    """The credentials with which Label Studio reads the images on AWS."""

    KEPT = "kept"
    ROLE = "role"
    NEW_KEY = "new-key"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key of an IAM user.

    Attributes:
        user: name of the user.
        key: id of the key.
        secret: the secret of the key.
        older: ids of the keys that the user had before.
    """

    user: str
    key: str
    secret: str = field(repr=False)
    older: tuple[str, ...] = ()


def connect(
    setup: LabelStudioSetup,
    project: int,
    deployment: Deployment,
    credentials: Credentials = Credentials.KEPT,
) -> AccessKey | None:
    """Let a Label Studio project read the images bucket and call the webhook.

    Args:
        setup: of Label Studio.
        project: id of the project.
        deployment: the deployment.
        credentials: with what Label Studio reads the images; of no effect on LocalStack.

    Returns:
        The access key that was made; None if none was made.

    Raises:
        NotConfigured: Label Studio has no rights yet, or the stack has no user for it.
        BadRequest: the user has two access keys already.
    """
    endpoint = endpoint_for_label_studio(deployment)
    setup.order(project)
    made = None
    if endpoint is None:
        made = _on_aws(setup, project, deployment, credentials)
    else:
        setup.storage(project, _local_access(deployment.outputs["ImagesBucket"], endpoint))
    setup.webhook(project, webhook_url(deployment.outputs, endpoint), webhook_secret(deployment))
    return made


def webhook_secret(deployment: Deployment) -> str:
    """Return the secret that Label Studio must send with every call of the webhook."""
    return deployment.secret(deployment.outputs["WebhookSecretArn"])


def _local_access(bucket: str, endpoint: str) -> S3Access:
    return S3Access(bucket, endpoint, LOCAL_REGION, LOCAL_KEY, LOCAL_KEY, presign=False)


def _on_aws(
    setup: LabelStudioSetup, project: int, deployment: Deployment, credentials: Credentials
) -> AccessKey | None:
    bucket = deployment.outputs["ImagesBucket"]
    client = deployment.client("s3")
    # with the address of all regions, Label Studio would sign for another host than the bucket's
    endpoint, region = client.meta.endpoint_url, client.meta.region_name
    if credentials is Credentials.NEW_KEY:
        made = new_key(deployment.client("iam"), _user(deployment))
        try:
            _wait_until_valid(bucket, made, time.sleep)
            setup.storage(project, S3Access(bucket, endpoint, region, made.key, made.secret))
        except Exception:
            deployment.client("iam").delete_access_key(UserName=made.user, AccessKeyId=made.key)
            raise
        return made
    if credentials is Credentials.ROLE or deployment.outputs.get("LabelStudioRole"):
        setup.storage(project, S3Access(bucket, endpoint, region))
    elif setup.has_storage(project, bucket):
        setup.storage(project, S3Access(bucket, endpoint, region, access_key=None))
    else:
        raise NotConfigured(
            "Label Studio has no right to read the images yet: --new-key makes an access key of the stack's "
            "own user for it; if Label Studio runs on AWS, set the parameter LabelStudioRole instead"
        )
    return None


def _user(deployment: Deployment) -> str:
    user = deployment.outputs.get("LabelStudioUser")
    if not user:
        role = deployment.outputs.get("LabelStudioRole")
        why = f"Label Studio reads with the role {role}" if role else "deploy this version of the template"
        raise NotConfigured(f"the stack has no user for Label Studio: {why}")
    return user


def new_key(client: Any, user: str) -> AccessKey:  # noqa: ANN401 - boto3's type is not installed
    """Make an access key of a user.

    Args:
        client: of IAM.
        user: name of the user.

    Raises:
        BadRequest: the user has as many keys as IAM allows.
    """
    with translated(f"making an access key of {user}"):
        older = tuple(
            key["AccessKeyId"] for key in client.list_access_keys(UserName=user)["AccessKeyMetadata"]
        )
        if len(older) >= _MOST_KEYS:
            raise BadRequest(
                f"the user {user} has the keys {' and '.join(older)}, and IAM allows no third: remove "
                f"the one that is not used, with `{_removal(user, '…')}`"
            )
        made = client.create_access_key(UserName=user)["AccessKey"]
    return AccessKey(user, made["AccessKeyId"], made["SecretAccessKey"], older)


def connected(project: int, made: AccessKey | None) -> list[str]:
    """Return what a person should know after `connect`.

    Args:
        project: id of the project.
        made: the access key that was made, if any.
    """
    lines = [f"project {project} reads the bucket and calls the webhook"]
    if made:
        lines.append(f"Label Studio has the new access key {made.key} of the user {made.user}")
        lines += [
            f"the older key {key} still works: once the images show, remove it with "
            f"`{_removal(made.user, key)}`"
            for key in made.older
        ]
    return lines


def _removal(user: str, key: str) -> str:
    return f"aws iam delete-access-key --user-name {user} --access-key-id {key}"


def _wait_until_valid(bucket: str, made: AccessKey, sleep: Callable[[float], None]) -> None:
    """Wait until S3 accepts a new key; Label Studio would refuse one that it cannot use."""
    chosen = session(None)
    client = chosen.client(
        "s3", aws_access_key_id=made.key, aws_secret_access_key=made.secret, aws_session_token=None
    )
    for _ in range(_TRIES):
        try:
            client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        except ClientError:
            sleep(_PAUSE)
        else:
            return
    raise ServiceUnavailable(
        f"AWS does not let the new key of {made.user} list {bucket} within a minute, so the key was removed: "
        "try again"
    )
