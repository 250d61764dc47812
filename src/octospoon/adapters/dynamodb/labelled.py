"""A labelled image from its row in the pool."""

from __future__ import annotations

from octospoon.adapters.dynamodb.items import Item, flag, integer, number, text
from octospoon.domain.labelling.tasks import LabelledImage

ATTRIBUTES = (
    *("key", "etag", "label", "agreement", "annotators", "audit", "blind", "strategy"),
    *("draw_probability", "round", "arrival"),
)
"""The attributes that are read."""


def labelled_image(item: Item) -> LabelledImage:
    """Return a labelled image from its row."""
    return LabelledImage(
        key=text(item, "key"),
        etag=text(item, "etag"),
        label=text(item, "label"),
        agreement=number(item, "agreement"),
        annotators=integer(item, "annotators"),
        audit=flag(item, "audit"),
        blind=flag(item, "blind"),
        strategy=text(item, "strategy"),
        draw_probability=number(item, "draw_probability") if "draw_probability" in item else None,
        round_number=integer(item, "round"),
        arrived=text(item, "arrival").partition("/")[0],
    )
