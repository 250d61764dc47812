"""Read and write the results of annotations whose control is ``Choices``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.label_studio.interface import FROM_NAME, TO_NAME
from octospoon.domain.labelling.answers import (
    AMBIGUOUS_CLASS,
    NO_CLASS,
    OTHER_CONTROL,
    SEVERAL_CLASSES,
    UNKNOWN_CLASS,
    Answer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from octospoon.domain.labelling.classes import ClassHistory

_NAME_LENGTH = 1000
_NAMES = 200
"""The most names of one answer that are kept."""


def read(result: Sequence[Any] | None, classes: ClassHistory) -> Answer:
    """Return the class that the result of a submitted annotation names, or why it names none.

    Only results of our own control are read. An annotation may also have results of other controls. A name of
    a class that is merged or retired by now is read as that class, so that an undone change brings it back.

    Args:
        result: the result as Label Studio stores it, or reduced by `reduced`.
        classes: the classes of the project, with their earlier names.
    """
    choices = dict(_choices(result))
    if not choices:
        answered_elsewhere = bool(result) and not any(_ours(region) for region in result or ())
        return Answer(None, OTHER_CONTROL if answered_elsewhere else NO_CLASS)
    if len(choices) > 1:
        return Answer(None, SEVERAL_CLASSES)
    owners = (classes.of(name) for names in choices.items() for name in names)
    named = {owner.key for owner in owners if owner}
    if len(named) > 1:
        return Answer(None, AMBIGUOUS_CLASS)
    return Answer(named.pop()) if named else Answer(None, UNKNOWN_CLASS)


def reduced(result: Sequence[Any] | None, shown: Mapping[str, str]) -> list[dict[str, Any]]:
    """Reduce a result to what decides its class: at most two names, enough to detect ambiguity.

    Args:
        result: the result as Label Studio stores it.
        shown: the text that annotators saw, by the name that Label Studio stores; see `Interface.shown`.
    """
    names = list(dict(_choices(result)))[:2]
    if names or any(_ours(region) for region in result or ()):
        kept = _region(FROM_NAME, [name[:_NAME_LENGTH] for name in names])
        kept["shown"] = [shown.get(name, name)[:_NAME_LENGTH] for name in names]
        return [kept]
    return [_region("", [])] if result else []


def read_all(result: Sequence[Any] | None, classes: ClassHistory) -> Answer:
    """Return all classes that the result of a submitted annotation names, as a label of several classes.

    An answer without a choice means that the image shows none of the classes. Names that the stack does not
    have are left out, unless there are no others.

    Args:
        result: the result as Label Studio stores it, or reduced by `reduced_all`.
        classes: the classes of the project, with their earlier names.
    """
    if result and not any(_ours(region) for region in result):
        return Answer(None, OTHER_CONTROL)
    named: set[str] = set()
    unknown = 0
    for names in dict(_choices(result)).items():
        keys = {owner.key for name in names if (owner := classes.of(name))}
        if len(keys) > 1:
            return Answer(None, AMBIGUOUS_CLASS)
        named |= keys
        unknown += not keys
    if unknown and not named:
        return Answer(None, UNKNOWN_CLASS)
    # `webhook` is packaged without numpy, which the package of the task type loads
    from octospoon.domain.task_types.multilabel.label import ClassNames

    return Answer(ClassNames().write(frozenset(named)), left_out=unknown)


def reduced_all(result: Sequence[Any] | None, shown: Mapping[str, str]) -> list[dict[str, Any]]:
    """Reduce a result to the names of its choices; see `reduced`."""
    names = list(dict(_choices(result)))[:_NAMES]
    if names or any(_ours(region) for region in result or ()):
        kept = _region(FROM_NAME, [name[:_NAME_LENGTH] for name in names])
        kept["shown"] = [shown.get(name, name)[:_NAME_LENGTH] for name in names]
        return [kept]
    return [_region("", [])] if result else []


def chosen(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the result of an annotation with several choices; empty without one."""
    return [_region(FROM_NAME, list(names))] if names else []


def choices_by_control(result: Sequence[Any]) -> dict[str, set[str]]:
    """Return the names of the chosen choices by control, for all controls of the type ``choices``.

    Args:
        result: the result of an annotation of any project, as Label Studio stores it.
    """
    choices: dict[str, set[str]] = {}
    for region in result:
        if not isinstance(region, dict) or region.get("type") != "choices":
            continue
        value = region.get("value")
        chosen = value.get("choices") if isinstance(value, dict) else None
        if isinstance(chosen, list):
            choices.setdefault(str(region.get("from_name")), set()).update(map(_leaf, chosen))
    return choices


def choice(name: str) -> dict[str, Any]:
    """Return a choice of our control in the form of a Label Studio result, for the name that it stores."""
    return _region(FROM_NAME, [name])


def _region(from_name: str, names: list[str]) -> dict[str, Any]:
    return {"from_name": from_name, "to_name": TO_NAME, "type": "choices", "value": {"choices": names}}


def _ours(region: object) -> bool:
    wanted = {"from_name": FROM_NAME, "to_name": TO_NAME, "type": "choices"}
    return isinstance(region, dict) and all(region.get(name) == value for name, value in wanted.items())


def _choices(result: Sequence[Any] | None) -> Iterator[tuple[str, str]]:
    """Yield each choice of our control: the stored name, and the text that annotators saw."""
    for region in result or ():
        if not _ours(region):
            continue
        value = region.get("value")
        stored = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(stored, list):
            continue
        names = [_leaf(chosen) for chosen in stored]
        shown = region.get("shown")
        seen = shown if isinstance(shown, list) and len(shown) == len(names) else names
        yield from zip(names, seen, strict=True)


def _leaf(chosen: object) -> str:
    """Return the name of a choice; Label Studio stores a nested choice as a path, and its end is the name."""
    return _leaf(chosen[-1]) if isinstance(chosen, list) and chosen else str(chosen)
