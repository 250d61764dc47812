"""The label that a row of a file gives an image, by the kind of label of the project."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from octospoon.cli.datasets.row_boxes import OTHER_BOXES, boxes_of, too_many
from octospoon.domain.task_types.detection.label import Boxes
from octospoon.domain.task_types.multilabel.label import ClassNames
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from octospoon.adapters.label_files.rows import LabelRow
    from octospoon.domain.labelling.classes import ClassHistory


CONTRADICTION = "with two classes in the source: correct it there"
_LONGEST = 4_000_000
"""Characters of boxes that are more than a label may have, whatever their classes are called."""
OTHER_LIST = "with two different lists of classes in the source: correct it there"


class RowLabel(NamedTuple):
    """What one row says of its image.

    Attributes:
        label: in its stored form; None if the project has none of the row's classes.
        whole: whether another row with another label contradicts it; rows that are not whole add up.
        left_out: why and where a part of the label is left out.
        cut: the place of each box that was cut off at an edge of the image.
    """

    label: str | None
    whole: bool
    left_out: Sequence[tuple[str, str]] = ()
    cut: Sequence[str] = ()


class RowLabels(Protocol):
    """Gives the labels of a source's rows."""

    contradiction: str
    """Why an image is left out whose rows contradict each other."""
    unknown: Counter[str]
    """How often each class was left out, because the project does not have it."""

    def of(self, row: LabelRow, file: str | None) -> RowLabel:
        """Return the label that a row means.

        Args:
            row: without a problem.
            file: its image on this disk; None if it is not there.
        """

    def joined(self, label: str, other: str) -> str:
        """Return the label of an image from two rows that are not whole; `settled` ends it."""

    def settled(self, label: str) -> str:
        """Return the stored form of what `joined` made of all rows of an image."""

    def problem(self, label: str) -> str:
        """Return why the label of all rows of an image cannot be stored; empty if it can."""

    def classes(self, label: str) -> tuple[str, ...]:
        """Return the names of the classes in a label."""


class OneClass:
    """Implements `RowLabels` for labels of one class: the text is its name."""

    contradiction = CONTRADICTION

    def __init__(self, class_of: Callable[[str], str]) -> None:
        self._class_of = class_of
        self.unknown: Counter[str] = Counter()

    def of(self, row: LabelRow, file: str | None) -> RowLabel:
        """Return the class, also one that the project does not have: it may contradict another row."""
        del file
        return RowLabel(self._class_of(row.label), whole=True)

    def joined(self, label: str, other: str) -> str:
        """Return the first class; two classes are a contradiction."""
        del other
        return label

    def settled(self, label: str) -> str:
        """Return the label."""
        return label

    def problem(self, label: str) -> str:
        """Return nothing: a class can always be stored."""
        del label
        return ""

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

    def of(self, row: LabelRow, file: str | None) -> RowLabel:
        """Return the classes."""
        del file
        listed = listed_classes(row.label)
        names = {self._class_of(name) for name in ([row.label] if listed is None else listed)}
        ours = names & self._known
        self.unknown.update(names - ours)
        label = self._form.write(frozenset(ours)) if ours or not names else None
        return RowLabel(label, whole=listed is not None)

    def joined(self, label: str, other: str) -> str:
        """Return the classes of both rows."""
        return self._form.write(self._form.read(label) | self._form.read(other))

    def settled(self, label: str) -> str:
        """Return the label."""
        return label

    def problem(self, label: str) -> str:
        """Return nothing: classes can always be stored."""
        del label
        return ""

    def classes(self, label: str) -> tuple[str, ...]:
        """Return the classes."""
        return self._form.classes(self._form.read(label))


class AnyBoxes:
    """Implements `RowLabels` for labels with boxes; see `octospoon.cli.datasets.row_boxes`.

    Boxes of classes that the project does not have are left out. An image with no others has no label,
    because that does not mean "no objects".
    """

    contradiction = OTHER_BOXES

    def __init__(self, class_of: Callable[[str], str], known: frozenset[str]) -> None:
        self._class_of, self._known, self._form = class_of, known, Boxes()
        self.unknown: Counter[str] = Counter()

    def of(self, row: LabelRow, file: str | None) -> RowLabel:
        """Return the boxes."""
        given = boxes_of(row, file)
        named = [box._replace(name=self._class_of(box.name)) for box in given.boxes]
        ours = tuple(box for box in named if box.name in self._known)
        self.unknown.update(box.name for box in named if box.name not in self._known)
        lost = len(ours) < len(named) or bool(given.left_out)
        label = None if lost and not ours else self._form.write(ours)
        return RowLabel(label, row.drawn is None or row.drawn.whole, given.left_out, given.cut)

    def joined(self, label: str, other: str) -> str:
        """Return the boxes of both rows, not yet in order; once they are far too many, no more are added."""
        return label if len(label) > _LONGEST else f"{label[:-1]},{other[1:]}"

    def settled(self, label: str) -> str:
        """Return the boxes in order."""
        return self._form.write(self._form.read(label))

    def problem(self, label: str) -> str:
        """Return that there are more boxes than a label may have; empty if there are not."""
        return too_many(self._form.read(label))

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
    if task_type == TaskTypeName.DETECTION:
        return AnyBoxes(class_of, frozenset(history.names))
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
