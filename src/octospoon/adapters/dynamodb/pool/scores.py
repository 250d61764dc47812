"""The attributes of a row that a prediction sets."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import Value, pack
from octospoon.adapters.dynamodb.pool import score_history
from octospoon.domain.pool import stored_boxes
from octospoon.domain.pool.boxes import classes_of, precedence, together
from octospoon.domain.pool.images import CHOSEN, State
from octospoon.domain.pool.keys import sampling_key, shard
from octospoon.domain.uncertainty import priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from octospoon.adapters.dynamodb.pool.rows import PoolTable
    from octospoon.domain.pool.images import Prediction, Uncertainty
    from octospoon.domain.task_types.task_type import TaskType

_SAME_BYTES = "#etag = :etag AND #generation <= :generation AND #state"
_INDEXED = ("shard", "priority_shard")
"""The attributes that put an image into the indexes of selectable images."""


@dataclass(frozen=True, slots=True)
class Order:
    """How the pool orders images.

    Attributes:
        strategy: stores its priority with every score.
        task_type: measures how unsure a prediction is.
    """

    strategy: str
    task_type: TaskType


def embedding_attributes(key: str, prediction: Prediction) -> dict[str, Value | None]:
    """Return the attributes that depend on the image and the backbone only, and not on the head."""
    return {
        "backbone": prediction.backbone,
        "embedding": pack(prediction.embedding),
        "shard": f"{shard(key):02d}",
        "sampling_key": sampling_key(key),
    }


def score_attributes(
    keys: Sequence[str], predictions: Sequence[Prediction], order: Order, now: float
) -> list[dict[str, Value | None]]:
    """Return for each image the attributes that depend on the head.

    Args:
        keys: of the images.
        predictions: one for each image.
        order: how the pool orders images.
        now: epoch seconds of the score.
    """
    return [
        _attributes(key, prediction, doubt, order.strategy, now)
        for key, prediction, doubt in zip(keys, predictions, _uncertainties(predictions, order), strict=True)
    ]


def refresh(table: PoolTable, key: str, etag: str, generation: int, values: dict[str, Value | None]) -> bool:
    """Replace the score of one selectable image, unless it has other bytes or a later score."""
    given: dict[str, Value] = {":etag": etag, ":scored": State.SCORED, ":generation": generation}
    return table.update(key, values, (), f"{_SAME_BYTES} = :scored", given)


def refresh_chosen(
    table: PoolTable, key: str, etag: str, generation: int, values: dict[str, Value | None]
) -> bool:
    """Replace the score of one image that a round has, unless it has other bytes or a later score.

    It stays out of the indexes of selectable images.
    """
    states = {f":{state}": state for state in CHOSEN}
    given: dict[str, Value] = {":etag": etag, ":generation": generation, **states}
    kept = {name: value for name, value in values.items() if name not in _INDEXED}
    return table.update(key, kept, (), f"{_SAME_BYTES} IN ({', '.join(states)})", given)


def _attributes(
    key: str, prediction: Prediction, doubt: Uncertainty | None, strategy: str, now: float
) -> dict[str, Value | None]:
    slot, entry = score_history.score_entry(prediction, doubt, now)
    values: dict[str, Value | None] = {
        "scored_at": now,
        "model_version": prediction.model_version,
        "generation": prediction.generation,
        slot: entry,
    }
    if doubt is None:
        return values
    return (
        values
        | _predicted(prediction.probabilities)
        | {
            "least_confidence": doubt.least_confidence,
            "margin": doubt.margin,
            "entropy": doubt.entropy,
            "confidence": doubt.confidence,
            "top_class": doubt.top_class,
            "priority_shard": f"{shard(key):02d}",
            "priority": precedence(prediction) + priority(doubt, strategy),
        }
    )


def _predicted(probabilities: npt.NDArray[np.float32] | None) -> dict[str, Value | None]:
    if probabilities is None or probabilities.ndim == 1:
        return {"probabilities": pack(probabilities)}
    return {"boxes": stored_boxes.pack(probabilities)}


def _uncertainties(predictions: Sequence[Prediction], order: Order) -> list[Uncertainty | None]:
    """Return how unsure each prediction is; None where it knows no classes.

    Predictions with equally many classes are measured together, which is several times faster.
    """
    doubts: list[Uncertainty | None] = [None] * len(predictions)
    alike: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    rows = {
        i: prediction.probabilities
        for i, prediction in enumerate(predictions)
        if prediction.probabilities is not None
    }
    for i, row in rows.items():
        alike[row.ndim, classes_of(row)].append(i)
    for places in alike.values():
        measured = order.task_type.uncertainties(together([rows[i] for i in places]))
        for i, doubt in zip(places, measured, strict=True):
            doubts[i] = doubt
    return doubts
