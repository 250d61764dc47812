"""Metrics carry the name of their stack, so that those of two stacks are not added up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.metrics import Metrics

from octospoon.runtime.observability import NAMESPACE, count, make_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator


class Context:
    function_name = "demo-score"


@pytest.fixture(autouse=True)
def no_dimensions() -> Iterator[None]:
    """Clear the metrics that Powertools keeps for the whole process."""
    metrics = Metrics(namespace=NAMESPACE, service="score")
    metrics.clear_default_dimensions()
    metrics.clear_metrics()
    yield
    metrics.clear_default_dimensions()
    metrics.clear_metrics()


def published(metrics: Metrics, out: Any) -> dict[str, Any]:
    """Run one invocation that counts, and return what it printed for CloudWatch."""

    @metrics.log_metrics
    def handler(event: object, context: object) -> None:
        count(metrics, "scored", 1)

    handler({}, Context())
    printed: dict[str, Any] = json.loads(out.readouterr().out)
    return printed


@pytest.mark.parametrize("stack", ["octospoon-dev", "octospoon-prod"])
def test_every_invocation_publishes_service_and_stack(
    stack: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCTOSPOON_STACK_NAME", stack)
    metrics = make_metrics("score")

    for _ in range(2):
        line = published(metrics, capsys)
        (group,) = line["_aws"]["CloudWatchMetrics"]
        assert group["Namespace"] == "octospoon"
        assert [set(dimensions) for dimensions in group["Dimensions"]] == [{"service", "stack"}]
        assert (line["service"], line["stack"]) == ("score", stack)


def test_without_a_stack_there_is_no_such_dimension(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OCTOSPOON_STACK_NAME", raising=False)

    line = published(make_metrics("score"), capsys)

    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]
