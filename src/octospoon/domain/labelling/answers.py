"""Convert a submitted annotation to one class, or to the reason why it has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from octospoon.domain.labelling.interface import FROM_NAME, TO_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from octospoon.domain.labelling.classes import ClassHistory

NO_CLASS = "no-class"
UNKNOWN_CLASS = "unknown-class"
SEVERAL_CLASSES = "several-classes"
AMBIGUOUS_CLASS = "ambiguous-class"
OTHER_CONTROL = "other-control"
NOT_IN_POOL = "not-in-pool"

PROBLEMS = {
    NO_CLASS: "answered without a class",
    UNKNOWN_CLASS: "with a class that the stack does not have",
    SEVERAL_CLASSES: "with several classes",
    AMBIGUOUS_CLASS: "with a choice that has one class as value and another as alias",
    OTHER_CONTROL: "by a control that is not octospoon's",
    NOT_IN_POOL: "for an image that is not in the pool",
}
"""Reasons why an answer does not count, each with a description that follows a number."""

_NAME_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class UncountedAnswer:
    """An answer in Label Studio that does not count.

    Attributes:
        key: object key of the image.
        task: number of its task in Label Studio, 0 if unknown.
        annotation: number of the annotation in Label Studio.
        problem: the reason, a key of `PROBLEMS`.
    """

    key: str
    task: int
    annotation: int
    problem: str


@dataclass(frozen=True, slots=True)
class UncountedAnswers:
    """The answers that do not count, for images without a label from another answer.

    Attributes:
        counts: number of such answers, by problem.
        examples: some answers for each problem.
    """

    counts: Mapping[str, int]
    examples: tuple[UncountedAnswer, ...] = ()

    @property
    def total(self) -> int:
        """Number of answers that do not count."""
        return sum(self.counts.values())

    def __str__(self) -> str:
        """Return a text with the number of answers for each problem."""
        parts = [
            f"{self.counts[problem]:,} {description}"
            for problem, description in PROBLEMS.items()
            if self.counts.get(problem)
        ]
        return ", ".join(parts) or "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """The class that one annotation names.

    Attributes:
        label: key of the class, its first name; None unless there is exactly one.
        problem: why there is no class, a key of `PROBLEMS`; empty if there is one.
    """

    label: str | None
    problem: str = ""


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
