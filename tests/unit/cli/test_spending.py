"""What AWS has billed, by month."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from octospoon.cli.failures import sentence
from octospoon.cli.operations.spending import spent

TODAY = date(2026, 2, 14)


@pytest.fixture
def explorer() -> Any:
    client = boto3.client("ce", "eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stubber:
        yield stubber


def asked(stubber: Any) -> dict[str, Any]:
    deployment: Any = SimpleNamespace(client={"ce": stubber.client}.__getitem__)
    return spent(deployment, "prod", TODAY)


def month(start: str, amount: str) -> dict[str, Any]:
    return {
        "TimePeriod": {"Start": start, "End": start},
        "Total": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}},
    }


def test_costs_of_the_stack_come_by_month(explorer: Any) -> None:
    expected = {
        "TimePeriod": {"Start": "2025-03-01", "End": "2026-02-14"},
        "Granularity": "MONTHLY",
        "Metrics": ["UnblendedCost"],
        "Filter": {"Tags": {"Key": "aws:cloudformation:stack-name", "Values": ["prod"]}},
    }
    answer = [month("2025-03-01", "0"), month("2026-01-01", "20.708"), month("2026-02-01", "1.5")]
    explorer.add_response("get_cost_and_usage", {"ResultsByTime": answer}, expected)
    assert asked(explorer) == {
        "months": [
            {"month": "2026-01", "amount": 20.708, "unit": "USD"},
            {"month": "2026-02", "amount": 1.5, "unit": "USD"},
        ]
    }


def test_a_missing_right_is_named(explorer: Any) -> None:
    explorer.add_client_error("get_cost_and_usage", "AccessDeniedException", "not authorized")
    with pytest.raises(Exception, match="not authorized") as caught:
        asked(explorer)
    assert sentence(caught.value) == (
        "AWS denies GetCostAndUsage to this sign-in (not authorized): ask for that permission"
    )
