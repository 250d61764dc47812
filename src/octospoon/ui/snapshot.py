"""A snapshot of the pool: what the map shows of each image, in columns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from octospoon.adapters.files import draft_of
from octospoon.domain.pool.images import State
from octospoon.domain.pool.keys import image_id
from octospoon.ui.layout import Projection
from octospoon.ui.packing import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from octospoon.domain.pool.images import PoolImage
    from octospoon.ui.predictions import Seen
    from octospoon.ui.sample import Sample

STATES = tuple(State)
FORMAT = 2
"""Changes with the content of the file; a file of another format is read anew from the pool."""
PCA, MAP = "components", "map"
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The pool at one time.

    Attributes:
        facts: what holds for the whole pool: ``read_at`` (epoch seconds), ``seconds`` that reading took,
            ``counts`` by state, ``model_version``, ``backbone``, ``method`` (`PCA` or `MAP`), and the names
            that ``predicted``, ``label`` and ``strategy`` refer to.
        keys: object keys of the N images shown.
        etags: identity of their bytes.
        columns: those of `columns`, each of length N, and ``place``, float32 [N, 2], NaN for an image that is
            not on the map.
        reduced: float32 [N, K], the embeddings after the projection; NaN likewise.
        projection: of the embeddings; None if no image has a comparable one.
    """

    facts: dict[str, Any]
    keys: list[str]
    etags: list[str]
    columns: dict[str, npt.NDArray[Any]]
    reduced: npt.NDArray[np.float32]
    projection: Projection | None = None

    def document(self) -> bytes:
        """Return the snapshot as the browser reads it, see `octospoon.ui.packing`."""
        ids = [image_id(key, etag) for key, etag in zip(self.keys, self.etags, strict=True)]
        return pack({**self.facts, "states": list(STATES), "keys": self.keys, "ids": ids}, self.columns)

    def save(self, path: Path) -> None:
        """Write the snapshot into a file, whole or not at all."""
        texts = {"format": FORMAT, "facts": self.facts, "keys": self.keys, "etags": self.etags}
        arrays = {**self.columns, "reduced": self.reduced}
        if self.projection is not None:
            arrays |= {"mean": self.projection.mean, "axes": self.projection.axes}
        with draft_of(path) as draft:
            draft.write_bytes(pack(texts, arrays))

    @classmethod
    def load(cls, path: Path) -> Snapshot | None:
        """Return the snapshot in a file; None if there is none, or none that this version can read."""
        try:
            header, arrays = unpack(path.read_bytes())
            if header["format"] != FORMAT:
                return None
            reduced, mean, axes = arrays.pop("reduced"), arrays.pop("mean", None), arrays.pop("axes", None)
            projection = Projection(mean, axes) if mean is not None and axes is not None else None
            return cls(header["facts"], header["keys"], header["etags"], arrays, reduced, projection)
        except (OSError, ValueError, KeyError, json.JSONDecodeError):
            return None


class Names:
    """Numbers for names, in the order in which they are first asked for."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, name: str | None) -> int:
        """Return the number of a name; -1 for None."""
        return -1 if name is None else self._numbers.setdefault(name, len(self._numbers))

    def names(self) -> list[str]:
        """Return the names by number."""
        return list(self._numbers)


@dataclass(frozen=True, slots=True)
class Shown:
    """How classes and labels are shown.

    Attributes:
        predicted: gives what a model sees in each image; None without a prediction.
        label: gives a stored label as people read it.
        members: gives the present names of the classes in a stored label.
    """

    predicted: Callable[[Sequence[PoolImage]], Sequence[Seen | None]]
    label: Callable[[str], str]
    members: Callable[[str], Sequence[str]]


class ClassNumbers:
    """Numbers for predicted classes and labels, which share one list of names.

    Args:
        shown: how they are shown.
    """

    def __init__(self, shown: Shown) -> None:
        self._shown, self._names, self._members = shown, Names(), dict[int, "Sequence[str]"]()

    def predicted(self, seen: Seen | None) -> int:
        """Return the number of a prediction; -1 for none."""
        if seen is None:
            return -1
        number = self._names.number(seen.text)
        self._members.setdefault(number, seen.classes)
        return number

    def label(self, image: PoolImage) -> int:
        """Return the number of an image's label; -1 for none."""
        if image.label is None:
            return -1
        number = self._names.number(self._shown.label(image.label))
        if number not in self._members:
            self._members[number] = self._shown.members(image.label)
        return number

    def names(self) -> dict[str, Any]:
        """Return the names by number as ``classes``, and the classes that each stands for as ``members``."""
        names = self._names.names()
        members = [list(self._members.get(number, (name,))) for number, name in enumerate(names)]
        return {"classes": names, "members": members}


def columns(
    images: Sequence[PoolImage], shown: Shown, drifted: Mapping[str, float]
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the columns of the images, and the names that they refer to.

    A missing number is -1 in a column of integers, and NaN in a column of floats.

    Args:
        images: the N images.
        shown: how classes and labels are shown.
        drifted: the novelty of the images that differ most from the model's reference, by key.

    Returns:
        ``state`` (in `STATES`), ``predicted``, ``label``, ``strategy`` and ``reason`` (numbers of names),
        ``confidence``, ``round``, ``day`` (since 1970), ``drift`` and ``audit``, of a detector the number of
        predicted ``boxes``; and the names. For each name in ``classes``, ``members`` has the classes that it
        stands for: a label may have several, or none.
    """
    classes, strategies, reasons = ClassNumbers(shown), Names(), Names()
    column = partial(_column, images)
    seen = shown.predicted(images)
    made = {
        "state": column("u1", lambda image: STATES.index(image.state)),
        # predictions and labels with several classes have many texts
        "predicted": np.array([classes.predicted(guess) for guess in seen], "i4"),
        "label": column("i4", classes.label),
        "confidence": column("f4", lambda image: np.nan if image.top_class is None else image.confidence),
        "round": column("i4", lambda image: image.round_number or -1),
        "strategy": column("i2", lambda image: strategies.number(image.strategy or None)),
        "audit": column("u1", lambda image: image.audit),
        "day": column("i4", lambda image: _day(image.arrived)),
        "drift": column("f4", lambda image: drifted.get(image.key, np.nan)),
        "reason": column("i2", lambda image: reasons.number(image.reason or None)),
    }
    if any(guess is not None and guess.boxes >= 0 for guess in seen):
        made["boxes"] = np.array([guess.boxes if guess else -1 for guess in seen], "i2")
    return made, {**classes.names(), "strategies": strategies.names(), "reasons": reasons.names()}


def _column(images: Sequence[PoolImage], kind: str, values: Callable[[PoolImage], float]) -> npt.NDArray[Any]:
    return np.array([values(image) for image in images], kind)


def spread_over(sample: Sample, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return values of the stored embeddings, float32 [M, K], for all images, float32 [N, K], else NaN."""
    result = np.full((len(sample.rows), values.shape[1]), np.nan, np.float32)
    known = sample.rows >= 0
    result[known] = values[sample.rows[known]]
    return result


def _day(arrived: str) -> int:
    try:
        return date.fromisoformat(arrived).toordinal() - _EPOCH
    except ValueError:
        return -1
