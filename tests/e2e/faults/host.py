"""Runs the functions' own handlers, each invocation in a separate process that can be killed.

Reads one JSON request a line: ``{"function", "event", "env", "offset", …}``. Forks; writes the child's
process id; waits for a line, then lets the child go; writes what became of it. Everything is imported before
the first fork, so that an invocation costs milliseconds. Notes every call to AWS: what a policy must allow.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import botocore.client
import botocore.config
import httpx
from e2e.faults.trainer import Later

from octospoon.adapters.label_studio import api as label_studio
from octospoon.adapters.mlflow import rest as mlflow_rest
from octospoon.runtime import aws
from octospoon.usecases import full_audit

ROOT = Path(__file__).parents[3]
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
FUNCTIONS = ("score", "rank", "webhook", "collect", "reconcile", "rescore", "predict")


class Context:
    function_name = "function"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:function"
    aws_request_id = "request"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


def main() -> None:
    handlers = {name: load(name) for name in FUNCTIONS}
    for service in ("dynamodb", "s3", "sqs"):
        aws.client(service)  # reads the service's description once for all children
    for line in sys.stdin:
        request = json.loads(line)
        gate, opener = os.pipe()
        answers, answer = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(answers)
            os.read(gate, 1)
            child(handlers[request["function"]], request, answer)
        os.close(answer)
        say({"pid": pid})
        sys.stdin.readline()
        os.write(opener, b"g")
        with os.fdopen(answers) as stream:
            text = stream.read()
        _, status = os.waitpid(pid, 0)
        os.close(gate)
        os.close(opener)
        say({"status": os.waitstatus_to_exitcode(status), "answer": json.loads(text) if text else None})


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"app_{name}", ROOT / "functions" / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def child(module: Any, request: dict[str, Any], answer: int) -> None:
    # the output of a handler is its log
    log = os.open(os.environ["HOST_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 0
    try:
        os.environ.update(request["env"])
        # the session of all children has read those of the host
        aws.session().set_credentials(*(os.environ.get(name) for name in CREDENTIALS))  # type: ignore[arg-type]
        aws.CLOCK = Later(request["offset"])  # type: ignore[assignment]
        watch(request["function"], request["patience"])
        if request["function"] == "reconcile":
            full_audit.SETTLING = request.get("settling", full_audit.SETTLING)
        result = module.handler(request["event"], Context())
        os.write(answer, json.dumps(result).encode())
    except BaseException:  # noqa: BLE001 - the child ends here, whatever happened
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


def watch(function: str, patience: float) -> None:
    """Limit the time to wait for an answer, and record every call to AWS before it is made."""
    botocore.config.Config.OPTION_DEFAULTS["read_timeout"] = patience  # type: ignore[assignment]
    label_studio._TIMEOUT = httpx.Timeout(patience)
    mlflow_rest._SECONDS = patience
    calls = os.open(os.environ["HOST_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    make = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def noted(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        named = {
            name: value
            for name, value in parameters.items()
            if name in ("Bucket", "Key", "TableName", "IndexName", "QueueUrl", "SecretId", "FunctionName")
            and isinstance(value, str)
        }
        tables = list(parameters.get("RequestItems", {}))
        writes = [
            [kind, value["TableName"]]
            for item in parameters.get("TransactItems", [])
            for kind, value in item.items()
        ] + [
            [statement.split()[0].capitalize(), statement.split('"')[1]]
            for statement in {entry["Statement"] for entry in parameters.get("Statements", [])}
        ]
        line = {
            "function": function,
            "service": self.meta.service_model.service_name,
            "operation": operation,
            **named,
            "tables": tables,
            "writes": writes,
        }
        os.write(calls, (json.dumps(line) + "\n").encode())
        return make(self, operation, parameters)

    botocore.client.BaseClient._make_api_call = noted  # type: ignore[attr-defined]


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
