"""octospoon doctor: check that every part of a stack exists, answers and fits the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError

from octospoon.cli.deployment import find_deployment
from octospoon.cli.doctor import aws as checks_aws
from octospoon.cli.doctor import code as checks_code
from octospoon.cli.doctor import existing_bucket as checks_bucket
from octospoon.cli.doctor import services as checks_services
from octospoon.cli.doctor import training as checks_training
from octospoon.cli.failures import sentence
from octospoon.domain.errors import OctospoonError
from octospoon.domain.health import CheckResult

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment


def findings(deployment: Deployment) -> list[CheckResult]:
    """Make every check of a deployment; changes nothing."""
    every = (
        *checks_aws.checks(),
        *checks_code.checks(deployment),
        *checks_bucket.checks(deployment),
        *checks_services.checks(),
        *checks_training.checks(deployment),
    )
    return [check.made(deployment) for check in every]


def of_stack(name: str | None) -> list[CheckResult]:
    """Make every check of a stack.

    Args:
        name: of the stack; None for the default stack, see `find_deployment`.
    """
    try:
        deployment = find_deployment(name)
    except (OctospoonError, BotoCoreError) as error:
        advice = (
            "name it with --stack and its region with --region, and sign in to its account; or start it "
            "here: `make up`"
        )
        return [CheckResult("stack", False, sentence(error), advice)]
    return findings(deployment)
