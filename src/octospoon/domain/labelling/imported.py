"""Labels that existed before octospoon: how they are stored, and what an import does with each of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.labelling.tasks import LabelState

IMPORTED = "imported"
"""The source of an imported label, and the name of the strategy by which its image was chosen."""
DRAWN = "drawn-for-audit"
"""The problem of an imported label whose image was drawn for people to confirm: it never counts again."""


class Outcome(StrEnum):
    """The outcome of importing one label; the value is a text that follows a number of labels."""

    NEW = "new labels"
    SAME = "imported before with the same class"
    CONFIRMED = "labelled by people with the same class"
    CONTRADICTED = "labelled by people with another class: theirs stays"
    OTHER_IMPORT = "imported before with another class: that one stays, unless --replace is given"
    REPLACED = "imported before with another class, which is replaced"
    AUDIT = "of the audit share: people label these images"
    OTHER_BYTES = "for other bytes than the pool has under that key"
    QUARANTINED = "of images in quarantine: `octospoon status` names the reasons"
    MISSING = "of images that are neither in the pool nor on this disk"
    UNSCORED = "of images that are not scored yet: run the import again later"
    UNSETTLED = "of images that other programs change now, or that were drawn for people to confirm"

    @property
    def stores(self) -> bool:
        """True if the label is stored."""
        return self in (Outcome.NEW, Outcome.REPLACED)

    @property
    def conflicts(self) -> bool:
        """True if a person should look at it."""
        return self in (Outcome.CONTRADICTED, Outcome.OTHER_IMPORT, Outcome.OTHER_BYTES)


@dataclass(frozen=True, slots=True)
class ImportedLabel:
    """One label to import, for an image of the pool.

    Attributes:
        key: object key of the image.
        label: the class.
        etag: identity of the bytes that were labelled; empty for whatever the pool has.
    """

    key: str
    label: str
    etag: str = ""


def annotation_id(etag: str) -> str:
    """Return the id under which the imported label of these bytes is stored, one for each image."""
    return f"{IMPORTED}-{etag}"


def decide(
    label: ImportedLabel,
    state: LabelState | None,
    same_label: Callable[[str, str], bool],
    *,
    replace: bool = False,
) -> Outcome:
    """Return what an import does with a label.

    Args:
        label: the label to import.
        state: of its image; None if the image is not in the pool.
        same_label: returns whether two labels mean the same now.
        replace: whether an earlier import's label is replaced by another class.
    """
    if state is None:
        return Outcome.MISSING
    if state.state is State.QUARANTINED:
        return Outcome.QUARANTINED
    if label.etag and label.etag != state.etag:
        return Outcome.OTHER_BYTES
    if state.state is not State.LABELLED:
        return Outcome.AUDIT if state.reserved else Outcome.NEW
    same = same_label(state.label or "", label.label)
    if state.annotators:
        return Outcome.CONFIRMED if same else Outcome.CONTRADICTED
    if same:
        return Outcome.SAME
    return Outcome.REPLACED if replace else Outcome.OTHER_IMPORT


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An imported label that was drawn for people to confirm.

    Attributes:
        key: object key of the image.
        imported: the class that was imported.
        answered: the class that people agree on; None while nobody has answered.
    """

    key: str
    imported: str
    answered: str | None
