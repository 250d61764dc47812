"""The rows of the annotations table."""

from __future__ import annotations

from octospoon.adapters.dynamodb.items import Item, Value, dump_item, flag, integer, text
from octospoon.domain.labelling.tasks import Annotation

_SPARSE: dict[str, Value] = {"problem": "", "source": "", "note": "", "number": 0}
"""Attributes that are left out for these values; the first and the last would be in an index."""


def annotation_item(stored: Annotation) -> Item:
    """Return the row of an annotation."""
    values = {name: getattr(stored, name) for name in Annotation.__slots__}
    if stored.deleted:
        values["problem"] = ""
    return dump_item(
        {name: value for name, value in values.items() if name not in _SPARSE or value != _SPARSE[name]}
    )


def annotation(item: Item) -> Annotation:
    """Return the annotation of a row."""
    return Annotation(
        key=text(item, "key"),
        etag=text(item, "etag"),
        annotation_id=text(item, "annotation_id"),
        number=integer(item, "number"),
        updated_at=text(item, "updated_at"),
        annotator=text(item, "annotator"),
        label=text(item, "label") if "label" in item else None,
        deleted=flag(item, "deleted"),
        project=text(item, "project"),
        problem=text(item, "problem"),
        source=text(item, "source"),
        note=text(item, "note"),
    )
