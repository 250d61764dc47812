"""Sync the registry's champion alias and the champion pointer, whichever of them moved last.

The trainer moves the pointer first and then the alias, and records where it put the alias. If the alias is
elsewhere, a person moved it, and its version is put into service. If only the pointer moved, or the alias was
never set (after a rollback by command, or an interrupted job), the alias is moved to the pointer's version.
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
    "version %d is serving but was deleted from the registry, or the registry was reset. Restore the "
    "registry from a backup, roll back with `octospoon model rollback --to VERSION`, or wait for the next "
    "promotion"
)


class Followed(NamedTuple):
    """The result of one sync.

    Attributes:
        version: the version that was put into service because of the alias; -1 for none.
        at_odds: whether alias and pointer differ until a person acts; the log says how.
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

        If the pointer cannot be read, the alias's version is put into service. A version whose backbone did
        not make the pool's embeddings is never put into service. A version in service that was deleted from
        the registry keeps serving.

        Raises:
            BadRequest, BadModel: the alias names a version that cannot serve; the version in service stays.
            RetryableError: MLflow or AWS did not answer.
        """
        named, seen = self.alias.read(), self.history.alias()
        try:
            current = self.champions.pointer()
        except BadModel:
            if named is None:
                raise
            return self._served(named, "the champion pointer could not be read")
        if current is None:
            return Followed()
        serving = current[0].version
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
            LOG.error("the alias names version %d, which cannot be put into service: %s", version, error)  # noqa: TRY400
            return Followed(at_odds=True)
        self.history.keep_alias(version)
        LOG.warning("version %d is in service: %s", version, why)
        return Followed(version)
