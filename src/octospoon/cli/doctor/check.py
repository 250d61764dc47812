"""Checks that each stand alone: one that fails keeps no other from being made."""

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
    """Something that is not well, with what to do about this alone.

    Attributes:
        advice: what to do.
    """

    def __init__(self, told: str, advice: str) -> None:
        super().__init__(told)
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: of it.
        look: tells what is well; where something is not, it raises an error that says what.
        advice: what to do then.
    """

    name: str
    look: Callable[[Deployment], str]
    advice: str

    def made(self, deployment: Deployment) -> CheckResult:
        """Make the check, whatever becomes of it."""
        try:
            return CheckResult(self.name, True, without_sign_in(self.look(deployment)))
        except Advised as error:
            return CheckResult(self.name, False, without_sign_in(str(error))[:_LENGTH], error.advice)
        except (OctospoonError, BotoCoreError, ClientError) as error:
            told = str(error)
        except KeyError as error:
            told = f"the stack has no {error}: it is not octospoon's, or of another version"
        except ValueError as error:  # an answer that is no JSON: another program answers there
            told = f"not the answer of what should be there: {error}"
        return CheckResult(self.name, False, without_sign_in(told)[:_LENGTH], self.advice)
