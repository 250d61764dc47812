"""Every error of AWS becomes an error of octospoon, so that callers can undo unfinished work."""

from __future__ import annotations

import boto3
import pytest
from aws_lambda_powertools.utilities import parameters
from aws_lambda_powertools.utilities.parameters.constants import DEFAULT_PROVIDERS
from botocore.stub import Stubber

from octospoon.adapters.dynamodb.control.table import ControlTable
from octospoon.domain.errors import Conflict, Refused, ServiceUnavailable
from octospoon.runtime import aws


def client(service):
    return boto3.client(
        service, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDeniedException", 400, Refused),
        ("ResourceNotFoundException", 400, Refused),
        ("ValidationException", 400, Refused),
        ("ThrottlingException", 400, ServiceUnavailable),
        ("ProvisionedThroughputExceededException", 400, ServiceUnavailable),
        ("InternalServerError", 500, ServiceUnavailable),
        ("TransactionConflictException", 400, Conflict),
    ],
)
def test_each_error_of_a_table_has_its_kind(code, status, kind):
    dynamodb = client("dynamodb")
    with Stubber(dynamodb) as stubber:
        stubber.add_client_error("get_item", code, "told so", status)
        with pytest.raises(kind, match=r"reading training: .*told so"):
            ControlTable(dynamodb, "control").read("training")


@pytest.mark.parametrize(
    ("code", "kind"), [("AccessDeniedException", Refused), ("ThrottlingException", ServiceUnavailable)]
)
def test_secret_that_cannot_be_read_is_named(monkeypatch, code, kind):
    secrets = client("secretsmanager")
    provider = parameters.SecretsProvider(boto3_client=secrets)
    monkeypatch.setitem(DEFAULT_PROVIDERS, "secrets", provider)
    with Stubber(secrets) as stubber:
        stubber.add_client_error("get_secret_value", code, "told so", 400)
        with pytest.raises(kind, match=r"reading the secret arn:1: .*told so"):
            aws.password("arn:1")
