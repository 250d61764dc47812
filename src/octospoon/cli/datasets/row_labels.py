"""The label that a row of a file gives an image, by the kind of label of the project."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from octospoon.domain.task_types.multilabel.label import ClassNames
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from octospoon.domain.labelling.classes import ClassHistory


CONTRADICTION = "with two classes in the source: correct it there"
OTHER_LIST = "with two different lists of classes in the source: correct it there"


class RowLabel(NamedTuple):
    """What one row says of its image.

    Attributes:
        label: in its stored form; None if the project has none of the row's classes.
        whole: whether another row with another label contradicts it; rows that are not whole add up.
    """

    label: str | None
    whole: bool


class RowLabels(Protocol):
    """Gives the labels of a source's rows."""

    contradiction: str
    """Why an image is left out whose rows contradict each other."""
    unknown: Counter[str]
    """Number of rows with each class that was left out, because the project does not have it."""

    def of(self, text: str) -> RowLabel:
        """Return the label that the text of a row means."""

    def joined(self, label: str, other: str) -> str:
        """Return the label of an image from two rows that are not whole."""

    def classes(self, label: str) -> tuple[str, ...]:
        """Return the names of the classes in a label."""


class OneClass:
    """Implements `RowLabels` for labels of one class: the text is its name."""

    contradiction = CONTRADICTION

    def __init__(self, class_of: Callable[[str], str]) -> None:
        self._class_of = class_of
        self.unknown: Counter[str] = Counter()

    def of(self, text: str) -> RowLabel:
        """Return the class, also one that the project does not have: it may contradict another row."""
        return RowLabel(self._class_of(text), whole=True)

    def joined(self, label: str, other: str) -> str:
        """Return the first class; two classes are a contradiction."""
        del other
        return label

    def classes(self, label: str) -> tuple[str, ...]:
        """Return the class."""
        return (label,)


class AnyClasses:
    """Implements `RowLabels` for labels of several classes.

    A text is a JSON list of all classes of an image, as octospoon exports it, Label Studio's
    ``{"choices": [...]}``, or the name of one class. Rows with one name each add up. Classes that the project
    does not have are left out, and so is an image that has no others.
    """

    contradiction = OTHER_LIST

    def __init__(self, class_of: Callable[[str], str], known: frozenset[str]) -> None:
        self._class_of, self._known, self._form = class_of, known, ClassNames()
        self.unknown: Counter[str] = Counter()

    def of(self, text: str) -> RowLabel:
        """Return the classes."""
        listed = listed_classes(text)
        names = {self._class_of(name) for name in ([text] if listed is None else listed)}
        ours = names & self._known
        self.unknown.update(names - ours)
        label = self._form.write(frozenset(ours)) if ours or not names else None
        return RowLabel(label, whole=listed is not None)

    def joined(self, label: str, other: str) -> str:
        """Return the classes of both rows."""
        return self._form.write(self._form.read(label) | self._form.read(other))

    def classes(self, label: str) -> tuple[str, ...]:
        """Return the classes."""
        return self._form.classes(self._form.read(label))


def row_labels(task_type: str, history: ClassHistory, renamed: Mapping[str, str]) -> RowLabels:
    """Return how rows are read.

    Args:
        task_type: name of the project's task type.
        history: the project's classes.
        renamed: the class by the name that the source has for it, where they differ.
    """

    def class_of(name: str) -> str:
        return history.shown(renamed.get(name, name))

    if task_type == TaskTypeName.MULTILABEL:
        return AnyClasses(class_of, frozenset(history.names))
    return OneClass(class_of)


def listed_classes(text: str) -> list[str] | None:
    """Return the names that a JSON text lists; None for any other text."""
    if not text.startswith(("[", "{")):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    names = value.get("choices") if isinstance(value, dict) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return [name.strip() for name in names]
