"""What AWS has billed for a stack, as Cost Explorer knows it. Each question costs 0.01 USD."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws.errors import translated

if TYPE_CHECKING:
    from datetime import date

    from octospoon.cli.deployment import Deployment

TAG = "aws:cloudformation:stack-name"
"""CloudFormation gives this tag to what it makes. The account must activate it for cost allocation."""
MONTHS = 12
_METRIC = "UnblendedCost"


def spent(deployment: Deployment, stack: str, today: date) -> dict[str, Any]:
    """Return the costs of a stack in each of the newest `MONTHS` months, without today.

    Args:
        deployment: the deployment.
        stack: name of the stack.
        today: UTC day.

    Returns:
        ``months``, each with ``month`` such as 2026-01, ``amount`` and ``unit``, oldest first. Months without
        costs are left out: so there are none while the tag is not active for cost allocation.

    Raises:
        Refused: the sign-in has no right to `ce:GetCostAndUsage`.
    """
    months = today.year * 12 + today.month - MONTHS
    first = today.replace(year=months // 12, month=months % 12 + 1, day=1)
    with translated("asking Cost Explorer"):
        answer = deployment.client("ce").get_cost_and_usage(
            TimePeriod={"Start": first.isoformat(), "End": today.isoformat()},
            Granularity="MONTHLY",
            Metrics=[_METRIC],
            Filter={"Tags": {"Key": TAG, "Values": [stack]}},
        )
    costs = [(month["TimePeriod"]["Start"][:7], month["Total"][_METRIC]) for month in answer["ResultsByTime"]]
    return {
        "months": [
            {"month": month, "amount": float(cost["Amount"]), "unit": cost["Unit"]}
            for month, cost in costs
            if float(cost["Amount"])
        ]
    }
