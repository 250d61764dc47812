"""Put a version into service, older or newer: by a command, or because the registry's alias was moved."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadModel, BadRequest, Conflict

if TYPE_CHECKING:
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.ports import Champions

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class ServeVersion:
    """The use case: no gate, because a person decided; a pointer that nobody can read is written anew."""

    champions: Champions

    def __call__(self, version: int) -> ChampionPointer:
        """Serve a version from the next image on; return its pointer.

        Raises:
            BadRequest: no such version was ever made.
            BadModel: its files are missing, or are not the ones that were made.
            Conflict: the pointer changed again and again meanwhile.
        """
        wanted = self.champions.version(version)
        if wanted is None:
            raise BadRequest(f"there is no version {version}: MLflow lists those that were trained")
        with tempfile.TemporaryDirectory() as folder:
            self.champions.fetch(wanted, Path(folder))
            if wanted.head_key:
                self.champions.fetch_head(wanted, Path(folder))
        for _ in range(_ATTEMPTS):
            try:
                found = self.champions.pointer()
            except BadModel:
                if self.champions.mend(wanted):
                    return wanted
                continue
            if found and replace(found[0], previous=None, turn=wanted.turn) == wanted:
                return wanted
            pointer = wanted.after(found[0]) if found else wanted
            if self.champions.promote(pointer, found[1] if found else None):
                return wanted
        raise Conflict("the champion pointer changed meanwhile: try again")
