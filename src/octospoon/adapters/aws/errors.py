"""Translate AWS's errors into errors of `octospoon.domain.errors`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnectionError

from octospoon.adapters.http_errors import described
from octospoon.domain.errors import Conflict, Refused, ServiceUnavailable
from octospoon.domain.secrets import without_sign_in

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFLICTS = {
    "ConditionalCheckFailedException",
    "ConditionalRequestConflict",
    "PreconditionFailed",
    "TransactionCanceledException",
    "TransactionConflictException",
}
_BUSY = {
    "InternalError",
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}


def code(error: ClientError) -> str:
    """Return AWS's error code, such as ``NoSuchKey``."""
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Translate the errors of the AWS calls in this block.

    Args:
        doing: describes the calls in the message, such as ``reading a/b.png``.

    Raises:
        Conflict: a condition was not met, or a transaction collided with another.
        ServiceUnavailable: AWS throttled the call, answered 5xx, or could not be reached.
        Refused: AWS refuses the call whenever it comes, for example without a permission.
    """
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code(error) in _CONFLICTS:
            raise Conflict(f"{doing}: {error}") from error
        if code(error) in _BUSY or status >= 500:
            raise ServiceUnavailable(f"{doing}: {error}") from error
        raise Refused(f"{doing}: {error}") from error
    except NoConnectionError as error:
        raise ServiceUnavailable(f"{doing}: {without_sign_in(str(error))}") from None
    except HTTPClientError as error:
        # the text quotes the header that could not be sent, which may be the session token
        raise ServiceUnavailable(f"{doing}: {described(error)}") from None
