"""The label in a row of the pool: its state, and the part of a transaction that changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.dynamodb.items import (
    Item,
    Value,
    dump_item,
    flag,
    integer,
    names_of,
    number,
    text,
)
from octospoon.adapters.dynamodb.label_counter import NOT_COUNTED
from octospoon.adapters.dynamodb.requests import update_expression
from octospoon.domain.labelling.imported import IMPORTED
from octospoon.domain.labelling.tasks import LabelState
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from octospoon.domain.labelling.consensus import Consensus

STATE_ATTRIBUTES = (
    *("key", "etag", "state", "label", "agreement", "annotators", "revision", "counted_in", "audit"),
)
"""The attributes that `label_state` reads."""
_UNCHANGED = "#state = :was_state AND #etag = :was_etag"
_PICKED = ("round", "pick_score", "pick_rank", "draw_probability", "blind", "task_id", "exported_at")


def label_state(item: Item) -> LabelState:
    """Return the label of an image from its row."""
    return LabelState(
        key=text(item, "key"),
        etag=text(item, "etag"),
        state=State(text(item, "state")),
        label=text(item, "label") if "label" in item else None,
        agreement=number(item, "agreement"),
        annotators=integer(item, "annotators"),
        revision=integer(item, "revision"),
        counted_in=integer(item, "counted_in", NOT_COUNTED),
        audit=flag(item, "audit"),
    )


def label_update(
    table: str, before: LabelState, agreed: Consensus, counted_in: int, now: float
) -> dict[str, Any]:
    """Return the part of a transaction that sets or removes the label of an image.

    The transaction fails if the image has changed since `before` was read. An image that no round had chosen
    and that gets an imported label is marked as chosen by the import.

    Args:
        table: name of the pool table.
        before: the state of the image.
        agreed: the new label.
        counted_in: for the row, see `LabelCounter`.
        now: epoch seconds.
    """
    values = _values(before, agreed, counted_in, now)
    gone = [name for name, value in values.items() if value is None]
    if agreed.imported and before.state is State.SCORED:
        values |= {"strategy": IMPORTED, "audit": False}
        gone += _PICKED
    update = update_expression(
        [name for name, value in values.items() if value is not None],
        ["shard", "priority_shard", "claim_until", *gone],
    )
    condition, given = unchanged(before)
    given |= {f":set_{name}": value for name, value in values.items()}
    return {
        "Update": {
            "TableName": table,
            "Key": dump_item({"key": before.key}),
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names_of(update + condition),
            "ExpressionAttributeValues": dump_item(given),
        }
    }


def _values(before: LabelState, agreed: Consensus, counted_in: int, now: float) -> dict[str, Value | None]:
    """Return the attributes of a label; None for those to remove."""
    label = agreed.label
    return {
        "state": State.EXPORTED if label is None else State.LABELLED,
        "revision": before.revision + 1,
        "label": label,
        "agreement": None if label is None else agreed.agreement,
        "annotators": None if label is None else agreed.annotators,
        "labelled_at": None if label is None else now,
        "counted_in": None if label is None else counted_in,
    }


def unchanged(before: LabelState) -> tuple[str, dict[str, Value | None]]:
    """Return the condition that an image has not changed since its state was read, and its values."""
    condition = _UNCHANGED
    given: dict[str, Value | None] = {":was_state": before.state, ":was_etag": before.etag}
    if before.revision:
        given[":was_revision"] = before.revision
        return f"{condition} AND #revision = :was_revision", given
    return f"{condition} AND attribute_not_exists(#revision)", given
