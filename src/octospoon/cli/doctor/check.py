"""Independent checks: a check that fails does not stop the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from octospoon.domain.errors import NotConfigured, OctospoonError
from octospoon.domain.health import CheckResult
from octospoon.domain.secrets import without_sign_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.deployment import Deployment

_LENGTH = 500


class Advised(NotConfigured):
    """A problem with advice of its own.

    Attributes:
        advice: what to do.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem)
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Check:
    """A check of a deployment.

    Attributes:
        name: of the check.
        look: returns what it saw; raises an error that describes the problem, if there is a problem.
        advice: what to do about a problem.
    """

    name: str
    look: Callable[[Deployment], str]
    advice: str

    def made(self, deployment: Deployment) -> CheckResult:
        """Make the check; a problem becomes a result too."""
        try:
            return CheckResult(self.name, True, without_sign_in(self.look(deployment)))
        except Advised as error:
            return CheckResult(self.name, False, without_sign_in(str(error))[:_LENGTH], error.advice)
        except (OctospoonError, BotoCoreError, ClientError) as error:
            problem = str(error)
        except KeyError as error:
            problem = f"the stack has no {error}: it is not a stack of octospoon, or of another version"
        except ValueError as error:  # the answer is not JSON: another program listens there
            problem = f"another program answers there: {error}"
        return CheckResult(self.name, False, without_sign_in(problem)[:_LENGTH], self.advice)
