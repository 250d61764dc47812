"""Put an older or newer version into service, by a command or because the registry's alias was moved."""

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
    """The use case: a person decided, so there is no gate. An unreadable pointer is replaced.

    Attributes:
        champions: the pointer and the model files.
        pool: the images, whose embeddings the version must be able to use.
    """

    champions: Champions
    pool: PoolEntries

    def __call__(self, version: int, *, new_backbone: bool = False) -> ChampionPointer:
        """Serve a version from the next image on; return its pointer.

        Args:
            version: number of the version.
            new_backbone: allow a version whose backbone requires re-scoring the pool.

        Raises:
            BadRequest: there is no such version.
            OtherBackbone: it has another backbone, and the pool has images.
            BadModel: its files are missing, or their content was changed.
            Conflict: the pointer kept changing.
        """
        wanted = self.champions.version(version)
        if wanted is None:
            raise BadRequest(f"there is no version {version}: MLflow lists those that were trained")
        if not new_backbone:
            self.check(
                wanted.backbone,
                f"to serve version {version} nevertheless, run `octospoon model rollback --to {version} "
                "--new-backbone`; the newest images are then read again, and `octospoon rescore --full` "
                "reads all others",
            )
        with tempfile.TemporaryDirectory() as folder:
            self.champions.fetch(wanted, Path(folder))
            if wanted.head_key:
                self.champions.fetch_head(wanted, Path(folder))
        for _ in range(_ATTEMPTS):
            try:
                current = self.champions.pointer()
            except BadModel:
                if self.champions.mend(wanted):
                    return wanted
                continue
            if current and replace(current[0], previous=None, generation=wanted.generation) == wanted:
                return wanted
            pointer = wanted.after(current[0]) if current else wanted
            if self.champions.promote(pointer, current[1] if current else None):
                return wanted
        raise Conflict("the champion pointer kept changing: try again")

    def check(self, backbone: str, way: str) -> None:
        """Check that a backbone may go into service: it is in service already, or there are no images yet.

        If the pointer cannot be read, every backbone passes.

        Args:
            backbone: sha256 of the backbone.
            way: the end of the error's message: what to do.

        Raises:
            OtherBackbone: the pool's embeddings were made by another backbone.
        """
        try:
            current = self.champions.pointer()
        except BadModel:
            return
        if current is not None and current[0].backbone == backbone:
            return
        if self.pool.page("", 1)[0]:
            raise OtherBackbone(f"the images in the pool have embeddings of another backbone: {way}")
