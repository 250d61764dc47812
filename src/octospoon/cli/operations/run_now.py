"""octospoon rank, reconcile and watch: run a function now instead of waiting for its schedule."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TypeVar

import msgspec
from botocore.config import Config

from octospoon.adapters.aws.errors import translated
from octospoon.domain import errors
from octospoon.domain.errors import NotConfigured, ServiceUnavailable
from octospoon.usecases.rank import RankReport
from octospoon.usecases.reconcile_report import ReconcileReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.labelling.removals import Proposal

T = TypeVar("T")

REMOVALS_ADVICE = (
    "restore Label Studio or connect the project that has them; or, if the labels are not wanted, run "
    "`octospoon reconcile --accept-removals`"
)


class WatchAnswer(msgspec.Struct, frozen=True):
    """The answer of the watch function: version, drift or why it is unknown, and requested training."""

    version: int
    drift: str
    asked: str


class _Failure(msgspec.Struct):
    """Lambda's report of an error that a function did not catch."""

    errorMessage: str = ""  # noqa: N815 - Lambda's name
    errorType: str = ""  # noqa: N815 - Lambda's name


_OURS = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
_LONGEST = 500
_LONGER_THAN_THE_FUNCTION = Config(read_timeout=310, retries={"max_attempts": 0})


def rank(deployment: Deployment) -> RankReport:
    """Choose and export a batch; return the function's report.

    Raises:
        ServiceUnavailable: the function failed; the message carries its error.
    """
    return _invoke(deployment, "Rank", {}, RankReport)


def reconcile(deployment: Deployment, *, full: bool = False) -> ReconcileReport:
    """Count the labels whose webhooks were lost; return the function's report.

    Args:
        deployment: the deployment.
        full: look at every task, not only at those that changed.

    Raises:
        ServiceUnavailable: the function failed; the message carries its error.
    """
    return _invoke(deployment, "Reconcile", {"full": full}, ReconcileReport)


def accept_removals(deployment: Deployment, proposal: Proposal) -> ReconcileReport:
    """Have the labels removed that a proposal names; return the function's report.

    Raises:
        NotConfigured: other annotations are missing by now.
        ServiceUnavailable: the function failed; the message carries its error.
    """
    report = _invoke(deployment, "Reconcile", {"accept_removals": proposal.id}, ReconcileReport)
    if report.refused:
        raise NotConfigured(report.refused)
    return report


def watch(deployment: Deployment) -> WatchAnswer:
    """Measure the model in service and test yesterday's uploads now; return the function's answer.

    Raises:
        ServiceUnavailable: the function failed; the message carries its error.
    """
    return _invoke(deployment, "Watch", {}, WatchAnswer)


def _invoke(deployment: Deployment, name: str, event: Mapping[str, bool | str], report: type[T]) -> T:
    client = deployment.client("lambda", _LONGER_THAN_THE_FUNCTION)
    function = deployment.outputs[f"{name}FunctionName"]
    with translated(f"running {name.lower()}"):
        answer = client.invoke(FunctionName=function, Payload=json.dumps(event).encode())
        payload = answer["Payload"].read()
    if "FunctionError" in answer:
        raise ServiceUnavailable(failed(name.lower(), payload))
    try:
        return msgspec.json.decode(payload, type=report)
    except msgspec.MsgspecError as error:
        raise ServiceUnavailable(
            f"the {name.lower()} function gave an answer of another version of octospoon ({error}): "
            "deploy the stack again"
        ) from error


def failed(name: str, payload: bytes) -> str:
    """Return in one sentence why a function failed.

    Args:
        name: of the function, as `octospoon logs` takes it.
        payload: Lambda's answer: JSON of an error's type and message, as a rule.
    """
    more = f"`octospoon doctor` and `octospoon logs {name}` show more"
    try:
        failure = msgspec.json.decode(payload, type=_Failure)
    except msgspec.MsgspecError:
        return f"the {name} function failed without a reason: {more}"
    message = failure.errorMessage.strip()
    if out_of_time := re.search(r"Task timed out after ([\d.]+) seconds", message):
        limit = float(out_of_time[1])
        return f"the {name} function did not end within {limit:.0f} s: run it again to continue; {more}"
    if failure.errorType.startswith("Runtime.") or not message:
        return f"the {name} function ended without an answer ({failure.errorType or 'no reason'}): {more}"
    kind = "" if failure.errorType in _OURS else f"{failure.errorType}: "
    return f"the {name} function failed: {kind}{message[:_LONGEST]}; {more}"
