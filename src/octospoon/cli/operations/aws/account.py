"""Checks of an AWS account before anything is created in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws.errors import translated
from octospoon.cli.deploy.deployer import check_sign_in, check_stack_name
from octospoon.cli.deploy.rules import check_rules
from octospoon.cli.operations.aws.image.repository import IMAGE
from octospoon.cli.operations.aws.training_account import check_services, check_training

if TYPE_CHECKING:
    from collections.abc import Mapping

    import boto3

    from octospoon.cli.deploy.sam_template import Template

_USUAL = 1000
"""Lambda's usual limit of invocations at once, per account and region."""
_LEAST, _MOST = 2, 500


@dataclass(frozen=True, slots=True)
class Account:
    """The account that a stack goes to.

    Attributes:
        number: of the account.
        region: AWS region.
        identity: ARN of who is signed in.
        concurrency: invocations of functions that Lambda allows at once.
        others: what else a person should know, a sentence each.
    """

    number: str
    region: str
    identity: str
    concurrency: int
    others: tuple[str, ...] = ()

    @property
    def score_concurrency(self) -> int:
        """The invocations that `score` may take: two fifths of the limit, so that others go on."""
        return max(_LEAST, min(_MOST, self.concurrency * 2 // 5))

    @property
    def notes(self) -> list[str]:
        """What a person should know before the deployment."""
        if self.concurrency >= _USUAL:
            return list(self.others)
        return [
            f"Lambda allows {self.concurrency} invocations at once here, and score gets "
            f"{self.score_concurrency} of them. For more, ask Service Quotas for 1,000 concurrent "
            "executions, and raise ScoreMaximumConcurrency",
            *self.others,
        ]


def check_parameters(template: Template, parameters: Mapping[str, str]) -> None:
    """Check the template's rules, before the deployment makes the training image.

    Raises:
        NotConfigured: a rule is broken.
    """
    check_rules(template, {**parameters, IMAGE: "made later"})


def check_account(
    session: boto3.Session, endpoint_url: str | None, stack: str, parameters: Mapping[str, str]
) -> Account:
    """Check sign-in, region, name and limits; creates nothing.

    Args:
        session: for AWS, or for LocalStack.
        endpoint_url: of LocalStack; None for AWS.
        stack: name of the stack.
        parameters: all of the template, see `with_defaults`.

    Raises:
        NotConfigured: the region, the sign-in or the name is missing or wrong, or a limit is too low.
    """
    check_stack_name(stack)
    check_sign_in(session)
    check_services(session, parameters["Launcher"])

    def client(service: Any) -> Any:  # noqa: ANN401 - boto3 has a type per service
        return session.client(service, endpoint_url=endpoint_url)

    with translated("checking the account"):
        who = client("sts").get_caller_identity()
        limits = client("lambda").get_account_settings()["AccountLimit"]
    others = () if endpoint_url else check_training(client, parameters)
    return Account(
        str(who["Account"]),
        session.region_name,
        str(who["Arn"]),
        int(limits["ConcurrentExecutions"]),
        tuple(others),
    )
