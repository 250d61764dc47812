"""Put a version into service, older or newer: by a command, or because the registry's alias was moved."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadModel, BadRequest, Conflict, OtherBackbone

if TYPE_CHECKING:
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.ports.models import Champions
    from octospoon.ports.pool import PoolEntries

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class PromoteVersion:
    """The use case: no gate, because a person decided; a pointer that nobody can read is written anew.

    Attributes:
        champions: the pointer, and the files.
        pool: whose embeddings a version must be able to use.
    """

    champions: Champions
    pool: PoolEntries

    def __call__(self, version: int, *, new_backbone: bool = False) -> ChampionPointer:
        """Serve a version from the next image on; return its pointer.

        Args:
            version: which.
            new_backbone: whoever asks knows that the pool's images must be scored again, if it comes to that.

        Raises:
            BadRequest: no such version was ever made.
            OtherBackbone: it has another backbone, and there are images.
            BadModel: its files are missing, or are not the ones that were made.
            Conflict: the pointer changed again and again meanwhile.
        """
        wanted = self.champions.version(version)
        if wanted is None:
            raise BadRequest(f"there is no version {version}: MLflow lists those that were trained")
        if not new_backbone:
            self.check(
                wanted.backbone,
                f"`octospoon model rollback --to {version} --new-backbone` serves version {version} all the "
                "same, and then `octospoon rescore --full` has the images scored again by it",
            )
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
            if found and replace(found[0], previous=None, generation=wanted.generation) == wanted:
                return wanted
            pointer = wanted.after(found[0]) if found else wanted
            if self.champions.promote(pointer, found[1] if found else None):
                return wanted
        raise Conflict("the champion pointer changed meanwhile: try again")

    def check(self, backbone: str, way: str) -> None:
        """Make sure that a backbone may go into service: it is there already, or there are no images yet.

        Where nobody can read the pointer, whoever asks knows best.

        Args:
            backbone: sha256 of the backbone.
            way: what to do where it may not.

        Raises:
            OtherBackbone: the pool's embeddings are those of another one.
        """
        try:
            found = self.champions.pointer()
        except BadModel:
            return
        if found is not None and found[0].backbone == backbone:
            return
        if self.pool.page("", 1)[0]:
            raise OtherBackbone(
                f"there are images in the pool, and their embeddings are those of another backbone: {way}"
            )
