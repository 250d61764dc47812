"""Keep secrets of other services in Secrets Manager, for parameters of the template that name them by ARN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code, translated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import CreateSecretRequestTypeDef

DESCRIPTIONS: Mapping[str, str] = {
    "label-studio-token": "Label Studio's access token, with which tasks are created",
    "mlflow-password": "The password or token of the MLflow server",
    "dagshub-token": "The DagsHub token, with which snapshots are committed",
}
"""The secrets that a stack may need: the end of each name, and its description."""


def keep_secret(client: SecretsManagerClient, stack: str, kind: str, value: str, key: str = "") -> str:
    """Store a secret of a stack, and return its ARN; the ARN never changes.

    A stored secret gets a new version only if its value differs. A secret that is scheduled for deletion is
    restored.

    Args:
        client: of Secrets Manager.
        stack: name of the stack. The secret is named ``STACK/KIND``.
        kind: one of `DESCRIPTIONS`.
        value: the secret.
        key: ARN of the KMS key that encrypts a new secret; empty for AWS's key.

    Raises:
        ClientError: AWS refused.
        ServiceUnavailable: Secrets Manager did not answer.
    """
    name = f"{stack}/{kind}"
    new: CreateSecretRequestTypeDef = {
        "Name": name,
        "Description": DESCRIPTIONS[kind],
        "SecretString": value,
    }
    if key:
        new["KmsKeyId"] = key
    with translated(f"storing the secret {name}"):
        try:
            return client.create_secret(**new)["ARN"]
        except ClientError as error:
            if code(error) not in {"ResourceExistsException", "InvalidRequestException"}:
                raise
        if "DeletedDate" in client.describe_secret(SecretId=name):
            client.restore_secret(SecretId=name)
        stored = client.get_secret_value(SecretId=name)
        if stored.get("SecretString") != value:
            client.put_secret_value(SecretId=name, SecretString=value)
        return stored["ARN"]
