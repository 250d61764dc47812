"""Name how a labelled image came to be chosen, for exports and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.batch.class_share import NEW_CLASS
from octospoon.domain.batch.compose import CONTROL
from octospoon.domain.batch.drift_share import DRIFT
from octospoon.domain.labelling.imported import IMPORTED
from octospoon.domain.labelling.manual import MANUAL

if TYPE_CHECKING:
    from octospoon.domain.labelling.tasks import LabelledImage

AUDIT_SHARE = "audit"
CONTROL_SHARE = "control"
DRIFT_SHARE = "drift"
CLASS_SHARE = "new-class"
STRATEGY = "strategy"
UNCHOSEN = ""
"""The selection of an image whose task was not made by a labelling round."""


def selection(image: LabelledImage) -> str:
    """Return the part of a batch that an image belongs to, such as audit, control, manual or strategy."""
    if image.audit:
        return AUDIT_SHARE
    named = {
        CONTROL: CONTROL_SHARE,
        DRIFT: DRIFT_SHARE,
        NEW_CLASS: CLASS_SHARE,
        IMPORTED: IMPORTED,
        MANUAL: MANUAL,
        "": UNCHOSEN,
    }
    return named.get(image.strategy, STRATEGY)


def source(image: LabelledImage) -> str:
    """Return who gave a label: ``people``, or ``imported`` if no annotator of this stack did."""
    return "people" if image.annotators else IMPORTED
