"""Loads a function's handler as Lambda does: from its file, once in a process."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

FUNCTIONS = Path(__file__).parents[3] / "functions"


class Context:
    """Lambda's context."""

    memory_limit_in_mb = 1769
    aws_request_id = "request"

    def __init__(self, name: str, left: int = 28_000) -> None:
        self.function_name, self.left = name, left
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"

    def get_remaining_time_in_millis(self) -> int:
        return self.left


@functools.cache
def load(name: str) -> ModuleType:
    """Return the module of one function; the package's logger is unchanged."""
    package = logging.getLogger("octospoon")
    before = (package.handlers, package.level, package.propagate)
    spec = importlib.util.spec_from_file_location(f"{name}_app", FUNCTIONS / name / "app.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    package.handlers, package.propagate = before[0], before[2]
    package.setLevel(before[1])
    return module


@dataclass
class Invoked:
    """A handler whose use case is a function of the test.

    Attributes:
        module: of the function.
        log: all lines that it logged.
    """

    module: Any
    log: io.StringIO = field(default_factory=io.StringIO)

    def __call__(self, event: dict[str, Any], *, left: int = 28_000) -> dict[str, Any]:
        answer: dict[str, Any] = self.module.handler(event, Context(self.module.__name__, left))
        assert json.loads(json.dumps(answer)) == answer, "Lambda sends it as JSON"
        return answer

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return the records that were logged."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@contextlib.contextmanager
def invoked(name: str, use_case: Callable[..., Any]) -> Iterator[Invoked]:
    """Return one function's handler with the given use case."""
    made = Invoked(load(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made.module, "use_case", lambda: use_case)
        for handler in made.module.logger.handlers:
            patch.setattr(handler, "stream", made.log)
        yield made


def messages(*bodies: object) -> dict[str, Any]:
    """Return an SQS event with the messages `m0`, `m1` and so on."""
    return {
        "Records": [
            {"messageId": f"m{at}", "body": body if isinstance(body, str) else json.dumps(body)}
            for at, body in enumerate(bodies)
        ]
    }


def failed(*names: str) -> dict[str, Any]:
    """Return the answer that returns these messages to the queue."""
    return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}


def uploaded(*keys: str, etag: str = "e") -> dict[str, Any]:
    """Return S3's notification of some uploads."""
    return {
        "Records": [
            {"s3": {"object": {"key": key, "eTag": etag, "sequencer": "01", "size": 9}}} for key in keys
        ]
    }


def published(out: str) -> dict[str, float | list[float]]:
    """Return the metrics of one invocation from its output, which is CloudWatch's embedded format."""
    (line,) = [json.loads(line) for line in out.splitlines() if "_aws" in line]
    names = [metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    values = {name: line[name] for name in names}
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in values.items()
    }
