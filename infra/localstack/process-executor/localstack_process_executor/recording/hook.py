"""Record every request in the file that RECORD_REQUESTS names, one JSON object a line."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

from localstack.runtime import hooks

from localstack_process_executor.recording.rights import Asked, conditions, needs
from localstack_process_executor.recording.wire import Sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from localstack_process_executor.recording.callers import Callers
    from localstack_process_executor.recording.models import Models

FILE = "RECORD_REQUESTS"
MODELS = "RECORD_REQUESTS_MODELS"


class Recorder:
    """A handler of LocalStack's that writes a line for each answered request.

    Args:
        write: appends text.
        models: by which requests are checked.
        callers: who makes requests.
        policies: returns the policies of a caller.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        models: Models,
        callers: Callers,
        policies: Callable[[str, str], dict[str, Any]],
    ) -> None:
        self._write = write
        self._models = models
        self._callers = callers
        self._policies = policies
        self._written: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, _chain: object, context: Any, response: Any) -> None:  # noqa: ANN401
        """Record a request, unless it is none to AWS or LocalStack's own."""
        if context.service is None:
            return
        try:
            self._record(context, response)
        except Exception as error:
            # LocalStack would only log it, and nobody would know what is missing
            self._write(json.dumps({"problems": [f"not recorded: {error!r}"]}) + "\n")
            raise

    def _record(self, context: Any, response: Any) -> None:  # noqa: ANN401
        service = context.service.service_name
        if context.operation is None or context.service_request is None:
            what = f"LocalStack finds no operation in a request to {service}"
            self._write(json.dumps({"service": service, "problems": [what]}) + "\n")
            return
        headers, query = context.request.headers, context.request.args
        caller = self._callers.of(context.account_id, headers, query)
        if context.is_internal_call and not caller.startswith("role/"):
            return  # of LocalStack to itself
        operation = context.operation.name
        parameters = dict(context.service_request)
        asked = Asked(
            service, operation, parameters, response.status_code, context.region, context.account_id
        )
        line = {
            "caller": caller,
            "for": "aws" if context.is_internal_call else "itself",
            "service": service,
            "operation": operation,
            "status": response.status_code,
            "problems": self._models.problems(service, operation, sent(context)),
            "needs": needs(asked),
            "conditions": conditions(asked),
        }
        with self._lock:
            self._write(self._changed(context.account_id, caller) + json.dumps(line) + "\n")

    def _changed(self, account: str, caller: str) -> str:
        """Return a line with the policies of a caller, where they are not those of its last request."""
        if "/" not in caller:
            return ""
        text = json.dumps({"policies_of": caller, "policies": self._policies(account, caller)})
        if self._written.get(caller) == text:
            return ""
        self._written[caller] = text
        return text + "\n"


def sent(context: Any) -> Sent:  # noqa: ANN401
    """Return a request as it was sent."""
    request, protocol = context.request, context.protocol or context.service.protocol
    streams = protocol == "rest-xml" and context.operation.has_streaming_input
    return Sent(
        protocol,
        dict(context.service_request),
        b"" if streams or protocol == "query" else request.get_data(),
        dict(request.values if protocol == "query" else request.args),
        [name.lower() for name, _ in request.headers],
    )


@hooks.on_infra_start(should_load=lambda: bool(os.environ.get(FILE)))
def record_requests() -> None:
    """Record from LocalStack's first request on."""
    from localstack.aws.handlers import run_custom_response_handlers

    from localstack_process_executor.recording.callers import Callers, policies
    from localstack_process_executor.recording.models import Models

    # several LocalStacks may share the file: each line is one write
    file = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    models = Models(os.environ.get(MODELS))
    recorder = Recorder(lambda text: os.write(file, text.encode()), models, Callers(), policies)
    run_custom_response_handlers.append(recorder)
