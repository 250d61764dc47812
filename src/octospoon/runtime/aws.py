"""The process' connection to AWS: session, clients and secrets; and its clock."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

from octospoon.adapters.aws.errors import translated
from octospoon.domain.secrets import checked_secret, header_secret

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

CONNECTIONS = 12
"""Connections that each client keeps open: one for each thread of a function."""
_SECRET_MAX_AGE = 300


class SystemClock:
    """Implements `octospoon.ports.clock.Clock`."""

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return time.time()


CLOCK = SystemClock()


@cache
def session() -> botocore.session.Session:
    """Return the session of this process.

    It is botocore's own, because boto3 would make a cold start a tenth longer.
    """
    return botocore.session.Session()


def client(service: str, **settings: Any) -> Any:  # noqa: ANN401 - a type for each service
    """Create a client for a service; the settings go into botocore's `Config`."""
    return session().create_client(service, config=Config(**settings))


@cache
def s3() -> S3Client:
    """Return the S3 client of this process."""
    created: S3Client = client("s3", max_pool_connections=CONNECTIONS)
    return created


@cache
def dynamodb() -> DynamoDBClient:
    """Return the DynamoDB client of this process."""
    # all requests are typed already; botocore's own checks would take as long as signing the request
    created: DynamoDBClient = client("dynamodb", max_pool_connections=CONNECTIONS, parameter_validation=False)
    return created


def secret(name: str) -> str:
    """Return a secret that is sent in an HTTP header.

    It is read from Secrets Manager and kept for five minutes, so that a rotated secret takes effect.

    Raises:
        NotConfigured: an HTTP header cannot hold it. The message has its name, never its value.
        ServiceUnavailable: Secrets Manager did not answer.
        Refused: the secret does not exist, or may not be read.
    """
    return header_secret(name, _stored_secret(name))


def password(name: str) -> str:
    """Return a secret that is not sent in a separate header; see `secret`."""
    return checked_secret(name, _stored_secret(name))


def _stored_secret(name: str) -> str:
    # brings boto3 along, which functions without secrets do not need
    from aws_lambda_powertools.utilities import parameters

    with translated(f"reading the secret {name}"):
        try:
            value: str | bytes = parameters.get_secret(name, max_age=_SECRET_MAX_AGE)
        except parameters.GetParameterError as error:
            raise error.__context__ or error from None  # Powertools hides the error of botocore
    return value if isinstance(value, str) else value.decode(errors="replace")
