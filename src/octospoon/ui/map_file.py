"""The map of one backbone: computed once, kept on disk, and extended by the images that arrive later."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from octospoon.adapters.files import draft_of
from octospoon.domain.errors import ServiceUnavailable
from octospoon.ui.layout import REFIT, Projection, fit_projection, placed, plane
from octospoon.ui.packing import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

FEWEST = 50
"""Fewer images are placed by their first two components: a neighbour embedding shows nothing of so few."""
PROGRAM = (sys.executable, "-m", "octospoon.ui.fit_map")
_LONGEST = 3 * 3600.0
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class PoolMap:
    """Places of images.

    Attributes:
        projection: of the embeddings.
        ids: of the N images, see `image_id`.
        reduced: float32 [N, K], their embeddings after the projection.
        places: float32 [N, 2].
    """

    projection: Projection
    ids: list[str]
    reduced: npt.NDArray[np.float32]
    places: npt.NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write the map into a file, whole or not at all."""
        arrays = {
            "mean": self.projection.mean,
            "axes": self.projection.axes,
            "reduced": self.reduced,
            "places": self.places,
        }
        with draft_of(path) as draft:
            draft.write_bytes(pack({"format": _FORMAT, "ids": self.ids}, arrays))

    @classmethod
    def load(cls, path: Path) -> PoolMap | None:
        """Return the map in a file; None if there is none, or none that this version can read."""
        try:
            header, arrays = unpack(path.read_bytes())
            if header["format"] != _FORMAT:
                return None
            projection = Projection(arrays["mean"], arrays["axes"])
            return cls(projection, header["ids"], arrays["reduced"], arrays["places"])
        except (OSError, ValueError, KeyError):
            return None

    def place(
        self, ids: Sequence[str], reduced: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], float]:
        """Return the places of images, and the share of them that the map did not know.

        Args:
            ids: of M images.
            reduced: float32 [M, K], by the map's own projection.
        """
        at = {id_: i for i, id_ in enumerate(self.ids)}
        known = np.array([at.get(id_, -1) for id_ in ids], np.int64)
        new = known < 0
        places = np.empty((len(ids), 2), np.float32)
        places[~new] = self.places[known[~new]]
        if new.any():
            places[new] = placed(reduced[new], self.reduced, self.places)
        return places, float(new.mean()) if len(ids) else 0.0


@dataclass(frozen=True, slots=True)
class Placed:
    """Where images are now, and whether the map should be computed anew.

    Attributes:
        projection: of the embeddings.
        reduced: float32 [M, K].
        places: float32 [M, 2].
        mapped: whether the places are of a map, or else the first two components.
        outdated: whether there is no map yet, or too many images are new to it.
    """

    projection: Projection
    reduced: npt.NDArray[np.float32]
    places: npt.NDArray[np.float32]
    mapped: bool
    outdated: bool


def place(stored: PoolMap | None, ids: Sequence[str], embeddings: npt.NDArray[np.float16]) -> Placed:
    """Place images without computing a map: on the stored one, or else by their first two components.

    Args:
        stored: the map of this backbone; None for none.
        ids: of M > 0 images.
        embeddings: float16 [M, D].
    """
    if stored is not None and len(stored.projection.mean) == embeddings.shape[1]:
        reduced = stored.projection(embeddings)
        places, new = stored.place(ids, reduced)
        return Placed(stored.projection, reduced, places, True, new > REFIT)
    projection = fit_projection(embeddings)
    reduced = projection(embeddings)
    return Placed(projection, reduced, plane(reduced), False, len(ids) >= FEWEST)


def compute(ids: Sequence[str], embeddings: npt.NDArray[np.float16], folder: Path) -> PoolMap:
    """Compute a map in a process of its own, which may take minutes; it leaves the page a processor.

    Args:
        ids: of M images, at least `FEWEST`.
        embeddings: float16 [M, D].
        folder: for temporary files.

    Raises:
        ServiceUnavailable: the process failed.
    """
    projection = fit_projection(embeddings)
    reduced = projection(embeddings)
    given, made = folder / "reduced.npy", folder / "places.npy"
    np.save(given, reduced)
    try:
        program = [*PROGRAM, str(given), str(made)]
        ended = subprocess.run(program, capture_output=True, text=True, timeout=_LONGEST, check=False)
        if ended.returncode:
            last = (ended.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            raise ServiceUnavailable(f"the map could not be computed: {last}")
        return PoolMap(projection, list(ids), reduced, np.load(made))
    except subprocess.TimeoutExpired as error:
        raise ServiceUnavailable(f"the map was not computed within {_LONGEST / 3600:.0f} hours") from error
    finally:
        given.unlink(missing_ok=True)
        made.unlink(missing_ok=True)
