"""Keep the registry's champion alias and the champion pointer together, whichever of them moved last.

The trainer moves the pointer first and the alias after it, and remembers where it put the alias. So an alias
that is not where it was last seen was moved by a person, and is followed; one that stayed while the pointer
moved, or that was never set, was left behind (a roll-back by command, a job that died), and is brought along.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from octospoon.ports import ChampionAlias, Champions, ModelHistory
    from octospoon.usecases.serve import ServeVersion

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FollowAlias:
    """The use case."""

    alias: ChampionAlias
    champions: Champions
    history: ModelHistory
    serve: ServeVersion

    def __call__(self) -> int:
        """Run once; return the version that was put into service because of the alias, -1 for none.

        Raises:
            BadRequest, BadModel: the alias names a version that cannot serve; the one in service stays.
            RetryableError: MLflow or AWS did not answer.
        """
        named, found, seen = self.alias.read(), self.champions.pointer(), self.history.alias()
        if found is None:
            return -1
        serving = found[0].version
        if named == serving:
            if named != seen:
                self.history.keep_alias(named)
        elif named is not None and seen not in (named, -1):
            self.serve(named)
            self.history.keep_alias(named)
            LOG.warning("version %d is in service: somebody moved the alias in the registry", named)
            return named
        elif serving > 0:  # the cold-start model is in no registry
            self.alias.move(serving)
            self.history.keep_alias(serving)
        return -1
