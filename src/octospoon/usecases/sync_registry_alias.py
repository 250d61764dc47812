"""Keep the registry's champion alias and the champion pointer together, whichever of them moved last.

The trainer moves the pointer first and the alias after it, and remembers where it put the alias. So an alias
that is not where it was last seen was moved by a person, and is followed; one that stayed while the pointer
moved, or that was never set, was left behind (a roll-back by command, a job that died), and is brought along.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from octospoon.domain.errors import BadModel, OtherBackbone

if TYPE_CHECKING:
    from octospoon.ports.models import ChampionAlias, Champions, ModelHistory
    from octospoon.usecases.promote_version import PromoteVersion

LOG = logging.getLogger(__name__)
_GONE = (
    "version %d is in service, and the registry has it no more: somebody deleted it, or the registry was "
    "reset. It goes on serving, and our versions count on; restore the registry if you have a copy. "
    "`octospoon model rollback --to VERSION` takes one that is there, and the next promotion ends this too"
)


class Followed(NamedTuple):
    """What came of it.

    Attributes:
        version: which was put into service because of the alias, -1 for none.
        at_odds: alias and pointer stay apart until a person does something; the log says what.
    """

    version: int = -1
    at_odds: bool = False


@dataclass(frozen=True, slots=True)
class SyncRegistryAlias:
    """The use case."""

    alias: ChampionAlias
    champions: Champions
    history: ModelHistory
    serve: PromoteVersion

    def __call__(self) -> Followed:
        """Run once.

        Where nobody can read the pointer, the version that the alias names is put into service. A version of
        another backbone than the pool's embeddings is not; one in service that was deleted from the registry
        goes on serving.

        Raises:
            BadRequest, BadModel: the alias names a version that cannot serve; the one in service stays.
            RetryableError: MLflow or AWS did not answer.
        """
        named, seen = self.alias.read(), self.history.alias()
        try:
            found = self.champions.pointer()
        except BadModel:
            if named is None:
                raise
            return self._served(named, "the champion pointer could not be read")
        if found is None:
            return Followed()
        serving = found[0].version
        if named == serving:
            if named != seen:
                self.history.keep_alias(named)
        elif named is not None and seen not in (named, -1):
            return self._served(named, "somebody moved the alias in the registry")
        elif serving > 0:  # the cold-start model is in no registry
            if not self.alias.move(serving):
                LOG.error(_GONE, serving)
                return Followed(at_odds=True)
            self.history.keep_alias(serving)
        return Followed()

    def _served(self, version: int, why: str) -> Followed:
        try:
            self.serve(version)
        except OtherBackbone as error:
            LOG.error("the alias names version %d, which is not put into service: %s", version, error)  # noqa: TRY400
            return Followed(at_odds=True)
        self.history.keep_alias(version)
        LOG.warning("version %d is in service: %s", version, why)
        return Followed(version)
