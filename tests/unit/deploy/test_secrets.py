"""Secrets that a stack is given: stored once, by ARN, in the words of Secrets Manager's service model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.stub import Stubber

from octospoon.cli.deploy.secrets import DESCRIPTIONS, keep_secret
from octospoon.domain.errors import Refused, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_secretsmanager import SecretsManagerClient

NAME = "demo/mlflow-password"
ARN = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{NAME}-AbC123"
NEW = {"Name": NAME, "Description": DESCRIPTIONS["mlflow-password"], "SecretString": "s3cret"}


@pytest.fixture
def manager() -> Iterator[tuple[SecretsManagerClient, Stubber]]:
    client = boto3.client(
        "secretsmanager",
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    with Stubber(client) as stubber:
        yield client, stubber
        stubber.assert_no_pending_responses()


def test_new_secret_is_encrypted_with_the_key_of_the_stack(
    manager: tuple[SecretsManagerClient, Stubber],
) -> None:
    client, stubber = manager
    stubber.add_response("create_secret", {"ARN": ARN}, NEW | {"KmsKeyId": "arn:aws:kms:eu-west-1:1:key/1"})

    assert keep_secret(client, "demo", "mlflow-password", "s3cret", "arn:aws:kms:eu-west-1:1:key/1") == ARN


@pytest.mark.parametrize("stored", ["s3cret", "another"])
def test_stored_secret_gets_a_version_only_if_it_differs(
    manager: tuple[SecretsManagerClient, Stubber], stored: str
) -> None:
    client, stubber = manager
    stubber.add_client_error("create_secret", "ResourceExistsException", expected_params=NEW)
    stubber.add_response("describe_secret", {"ARN": ARN}, {"SecretId": NAME})
    stubber.add_response("get_secret_value", {"ARN": ARN, "SecretString": stored}, {"SecretId": NAME})
    if stored != "s3cret":
        stubber.add_response("put_secret_value", {}, {"SecretId": NAME, "SecretString": "s3cret"})

    assert keep_secret(client, "demo", "mlflow-password", "s3cret") == ARN


def test_secret_that_is_scheduled_for_deletion_is_restored(
    manager: tuple[SecretsManagerClient, Stubber],
) -> None:
    client, stubber = manager
    stubber.add_client_error("create_secret", "InvalidRequestException", expected_params=NEW)
    stubber.add_response("describe_secret", {"ARN": ARN, "DeletedDate": "2026-01-01"}, {"SecretId": NAME})
    stubber.add_response("restore_secret", {"ARN": ARN}, {"SecretId": NAME})
    stubber.add_response("get_secret_value", {"ARN": ARN, "SecretString": "s3cret"}, {"SecretId": NAME})

    assert keep_secret(client, "demo", "mlflow-password", "s3cret") == ARN


@pytest.mark.parametrize(
    ("refusal", "raised"),
    [("AccessDeniedException", Refused), ("ThrottlingException", ServiceUnavailable)],
)
def test_refusal_quotes_no_secret(
    manager: tuple[SecretsManagerClient, Stubber], refusal: str, raised: Any
) -> None:
    client, stubber = manager
    stubber.add_client_error("create_secret", refusal)

    with pytest.raises(raised) as caught:
        keep_secret(client, "demo", "mlflow-password", "s3cret")

    assert "s3cret" not in str(caught.value)
