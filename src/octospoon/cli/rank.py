"""octospoon rank: run the rank function now instead of waiting for its schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from botocore.config import Config

from octospoon.domain.errors import ServiceUnavailable
from octospoon.usecases.rank import RankReport

if TYPE_CHECKING:
    from octospoon.cli.context import Deployment

_LONGER_THAN_THE_FUNCTION = Config(read_timeout=310, retries={"max_attempts": 0})


def rank(deployment: Deployment) -> RankReport:
    """Invoke the function and return its report.

    Raises:
        ServiceUnavailable: the function failed; the message carries its error.
    """
    client = deployment.client("lambda", _LONGER_THAN_THE_FUNCTION)
    answer = client.invoke(FunctionName=deployment.outputs["RankFunctionName"], Payload=b"{}")
    payload = answer["Payload"].read()
    if "FunctionError" in answer:
        raise ServiceUnavailable(f"the rank function failed: {payload.decode()[:2000]}")
    return msgspec.json.decode(payload, type=RankReport)
