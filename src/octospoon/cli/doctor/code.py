"""The check of `octospoon doctor` whether the functions' code fits the machines that they run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from octospoon.adapters.http_errors import described
from octospoon.adapters.tls import tls_settings
from octospoon.cli.doctor.check import Check
from octospoon.cli.operations.aws.built_for import built_for
from octospoon.domain.errors import NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment

_SECONDS = 30.0
_DIRECTORY = 2_000_000
"""Bytes at the end of a zip file that surely hold its list of names."""
_ADVICE = (
    "build for what the stack runs on, and deploy again: `octospoon aws deploy`, or `sam build && sam deploy`"
)


def checks(deployment: Deployment) -> list[Check]:
    """Return the check of the code; none for LocalStack, whose functions run on this machine."""
    return [Check("code", _code, _ADVICE)] if deployment.endpoint_url is None else []


def _code(deployment: Deployment) -> str:
    """Compare the compiled modules of `score` with its runtime and architecture."""
    function = deployment.client("lambda").get_function(FunctionName=deployment.outputs["ScoreFunctionName"])
    configuration = function["Configuration"]
    runs_on = (str(configuration["Runtime"]), str(configuration["Architectures"][0]))
    targets = built_for([_names(function["Code"]["Location"])])
    if other := targets - {runs_on}:
        raise NotConfigured(
            f"the code was built for {' and '.join(map(' on '.join, sorted(other)))}, but runs with "
            f"{' on '.join(runs_on)}"
        )
    return f"built for {' on '.join(runs_on)}, as the functions run"


def _names(address: str) -> str:
    """Return the names in a zip file that is not fetched as a whole."""
    # the address is signed: it must not be in a message
    header = {"Range": f"bytes=-{_DIRECTORY}"}
    try:
        answer = httpx.get(address, headers=header, timeout=_SECONDS, verify=tls_settings())
    except httpx.HTTPError as error:
        raise ServiceUnavailable(f"the code cannot be read: {described(error)}") from None
    if not answer.is_success:
        raise ServiceUnavailable(f"the code cannot be read: S3 answers {answer.status_code}")
    return answer.content.decode("latin-1")
