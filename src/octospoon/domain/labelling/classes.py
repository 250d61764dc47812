"""The classes of a project, and the history of their changes: added, renamed, merged, retired, undone.

No change rewrites a recorded label or a stored prediction. Both keep the name that a class had then, and the
history says which class it is now. So an undone change gives every image its earlier label again.

Every class has a key, which is its first name and never changes. A name belongs to one class for ever, even
after the class is renamed. Otherwise a recorded name could mean two classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LEAST = 2
"""The least number of classes of a project."""


class ChangeKind(StrEnum):
    """The kinds of changes."""

    ADD = "add"
    RENAME = "rename"
    MERGE = "merge"
    RETIRE = "retire"


@dataclass(frozen=True, slots=True)
class ClassChange:
    """One change of the classes.

    Attributes:
        kind: of the change.
        names: the classes that it changes, by their names at that time.
        into: the new name, or the class that the others are merged into; empty for other kinds.
        at: epoch seconds of the change.
        undone_at: epoch seconds at which it was undone; 0 if it is in effect.
    """

    kind: ChangeKind
    names: tuple[str, ...]
    into: str = ""
    at: float = 0.0
    undone_at: float = 0.0

    @property
    def undone(self) -> bool:
        """Whether the change is no longer in effect."""
        return self.undone_at > 0

    def __str__(self) -> str:
        """Return the change as the arguments of `octospoon classes`."""
        into = {ChangeKind.RENAME: f" {self.into}", ChangeKind.MERGE: f" --into {self.into}"}
        return f"{self.kind} {','.join(self.names)}{into.get(self.kind, '')}"


@dataclass(frozen=True, slots=True)
class KnownClass:
    """A class that the project has or had.

    Attributes:
        key: its first name, which Label Studio stores.
        name: its name now.
        names: every name that it ever had.
        into: key of the class that it is merged into; empty for none.
        retired: whether its labels no longer count.
    """

    key: str
    name: str
    names: tuple[str, ...]
    into: str = ""
    retired: bool = False

    @property
    def active(self) -> bool:
        """Whether annotators can choose it."""
        return not self.retired and not self.into


@dataclass(frozen=True, slots=True)
class ClassHistory:
    """The classes that a project began with, and every change since.

    Without first classes, the project's classes are unknown, and every name stands for itself.

    Attributes:
        first: names of the first classes, in order.
        changes: the changes, oldest first, undone ones included.
        known: every class by key, in order; derived from the other two.
    """

    first: tuple[str, ...] = ()
    changes: tuple[ClassChange, ...] = ()
    known: dict[str, KnownClass] = field(init=False, compare=False, repr=False)
    _by_name: dict[str, KnownClass] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Derive the classes."""
        known = {name: KnownClass(name, name, (name,)) for name in self.first}
        for change in self.changes:
            _apply(known, change)
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "_by_name", {name: own for own in known.values() for name in own.names})

    @property
    def revision(self) -> int:
        """A number that grows with every change and with every undo."""
        return len(self.changes) + sum(change.undone for change in self.changes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the project's classes now, in order; empty while they are unknown."""
        return tuple(known.name for known in self.known.values() if known.active)

    @property
    def stored(self) -> dict[str, str]:
        """The key of each class that was renamed, by its name now: the name that Label Studio stores."""
        return {
            known.name: known.key for known in self.known.values() if known.active and known.name != known.key
        }

    @property
    def earlier(self) -> dict[str, str]:
        """The key of each class by every later name that it has or had."""
        return {name: own.key for name, own in self._by_name.items() if name != own.key}

    def of(self, name: str) -> KnownClass | None:
        """Return the class that has or had a name; None if there is none."""
        return self._by_name.get(name)

    def target(self, name: str) -> KnownClass | None:
        """Return the class that a name counts for, after all merges; None if no class has or had the name."""
        known_class = self.of(name)
        while known_class and known_class.into:
            known_class = self.known[known_class.into]
        return known_class

    def current(self, label: str) -> str | None:
        """Return the class that a recorded label stands for now; None if that class is retired.

        A label that no class ever had stands for itself.
        """
        known_class = self.target(label)
        if known_class is None:
            return label
        return None if known_class.retired else known_class.name

    def shown(self, label: str) -> str:
        """Return the name of a recorded label's own class now, even if that class is merged or retired.

        Lists of what happened show this name. What counts has the class of `current`.
        """
        known_class = self.of(label)
        return known_class.name if known_class else label

    def identity(self, label: str) -> str:
        """Return the key of the class that a recorded label counts for; the label if no class ever had it.

        Two labels with one identity mean one class now.
        """
        known_class = self.target(label)
        return known_class.key if known_class else label

    def fate(self, label: str) -> str:
        """Return the change to the class of a label, such as ``merged into pet``; empty if it is active."""
        own, target = self.of(label), self.target(label)
        if own is None or target is None:
            return ""
        if own is not target:
            return f"merged into {'a retired class' if target.retired else target.name}"
        return "retired" if own.retired else ""

    def add(self, names: Iterable[str], at: float) -> ClassHistory:
        """Return the history with new classes at the end of the list; a retired class comes back.

        Raises:
            BadRequest: a name belongs or belonged to another class.
        """
        new = []
        for name in dict.fromkeys(names):
            known_class = self.of(name)
            if known_class and known_class.name != name:
                raise BadRequest(f"{name} was a name of {known_class.name} before: choose another name")
            if known_class and known_class.into:
                raise BadRequest(f"{name} is merged into {self.current(name)}: choose another name")
            if known_class is None or known_class.retired:
                new.append(name)
        return self._with(ClassChange(ChangeKind.ADD, tuple(new), at=at)) if new else self

    def rename(self, old: str, new: str, at: float) -> ClassHistory:
        """Return the history with another name for a class; its labels stay.

        Raises:
            BadRequest: there is no such class, or the new name belongs or belonged to another class.
        """
        renamed, other = self.of(old), self.of(new)
        if renamed and renamed.active and renamed is other and renamed.name == new:
            return self  # done already
        self._check_active([old])
        if other is not None and other is not renamed:
            raise BadRequest(f"{new} is or was a name of {other.name}: choose another name")
        return self._with(ClassChange(ChangeKind.RENAME, (old,), new, at))

    def merge(self, names: Iterable[str], into: str, at: float) -> ClassHistory:
        """Return the history with several classes as one, which is one of them, another or a new one.

        Raises:
            BadRequest: a class is missing, too few classes are left, or the name belongs to another class.
        """
        parts = [name for name in dict.fromkeys(names) if name != into]
        target = self.of(into)
        if target and parts and all((own := self.of(part)) and own.into == target.key for part in parts):
            return self  # done already
        comes_back = target is not None and target.retired and target.name == into
        new = target is None or comes_back
        self._check_active(parts if new else [*parts, into])
        if not parts or (new and len(parts) < LEAST):
            raise BadRequest(f"merge at least {LEAST} classes, such as `merge a,b --into c`")
        return self._with(ClassChange(ChangeKind.MERGE, tuple(parts), into, at))

    def retire(self, names: Iterable[str], at: float) -> ClassHistory:
        """Return the history without some classes; their labels are kept and no longer count.

        Raises:
            BadRequest: there is no such class, or too few classes are left.
        """
        left = [name for name in dict.fromkeys(names) if not ((own := self.of(name)) and own.retired)]
        self._check_active(left)
        return self._with(ClassChange(ChangeKind.RETIRE, tuple(left), at=at)) if left else self

    def undo(self, at: float) -> ClassHistory:
        """Return the history with its newest change in effect undone.

        Raises:
            BadRequest: no change is in effect.
        """
        last = max((i for i, change in enumerate(self.changes) if not change.undone), default=-1)
        if last < 0:
            raise BadRequest("there is no change of the classes to undo")
        undone = replace(self.changes[last], undone_at=at)
        return ClassHistory(self.first, (*self.changes[:last], undone, *self.changes[last + 1 :]))

    def _check_active(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.names:
                raise BadRequest(f"{name} is not a class of the project, which has {', '.join(self.names)}")

    def _with(self, change: ClassChange) -> ClassHistory:
        history = ClassHistory(self.first, (*self.changes, change))
        if len(history.names) < LEAST:
            raise BadRequest(f"{change}: a project needs at least {LEAST} classes")
        return history


def _of(known: dict[str, KnownClass], name: str) -> KnownClass | None:
    return next((entry for entry in known.values() if name in entry.names), None)


def _apply(known: dict[str, KnownClass], change: ClassChange) -> None:
    """Apply a change. An undone change leaves only its new names behind, because labels may have them."""
    done = not change.undone
    added = change.names if change.kind is ChangeKind.ADD else ()
    for name in (*added, change.into) if change.kind is ChangeKind.MERGE else added:
        own = _of(known, name)
        if own is None:
            known[name] = KnownClass(name, name, (name,), retired=not done)
        elif done:
            known[own.key] = replace(own, retired=False)
    for own in [own for name in change.names if (own := _of(known, name))]:
        if change.kind is ChangeKind.RENAME:
            names = tuple(dict.fromkeys((*own.names, change.into)))
            known[own.key] = replace(own, names=names, name=change.into if done else own.name)
        elif change.kind is ChangeKind.RETIRE and done:
            known[own.key] = replace(own, retired=True)
        elif change.kind is ChangeKind.MERGE and done and (target := _of(known, change.into)):
            known[own.key] = replace(own, into=target.key)
