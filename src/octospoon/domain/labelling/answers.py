"""From what an annotator submitted to one class, or to the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from octospoon.domain.labelling.interface import FROM_NAME, TO_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NO_CLASS = "no-class"
UNKNOWN_CLASS = "unknown-class"
SEVERAL_CLASSES = "several-classes"
AMBIGUOUS_CLASS = "ambiguous-class"
OTHER_CONTROL = "other-control"
NOT_IN_POOL = "not-in-pool"

PROBLEMS = {
    NO_CLASS: "answered without a class",
    UNKNOWN_CLASS: "of a class that the stack does not have",
    SEVERAL_CLASSES: "with several classes",
    AMBIGUOUS_CLASS: "of a choice whose value is one class and whose alias is another",
    OTHER_CONTROL: "by a control that is not octospoon's",
    NOT_IN_POOL: "of an image that is not in the pool",
}
"""Why an answer does not count, with a description that follows a number."""

_NAME_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class UncountedAnswer:
    """An answer in Label Studio that does not count.

    Attributes:
        key: of the image.
        task: its task in Label Studio, 0 where it is not known.
        annotation: Label Studio's number of the annotation.
        problem: why, one of `PROBLEMS`.
    """

    key: str
    task: int
    annotation: int
    problem: str


@dataclass(frozen=True, slots=True)
class UncountedAnswers:
    """The answers that do not count, of images that have no label by another answer.

    Attributes:
        counts: how many there are, by their problem.
        examples: some of each problem.
    """

    counts: Mapping[str, int]
    examples: tuple[UncountedAnswer, ...] = ()

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def __str__(self) -> str:
        """Say how many there are of each problem."""
        parts = [f"{self.counts[one]:,} {told}" for one, told in PROBLEMS.items() if self.counts.get(one)]
        return ", ".join(parts) or "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one annotation says.

    Attributes:
        label: the class; None where there is not exactly one.
        problem: why there is none, one of `PROBLEMS`; empty where there is one.
    """

    label: str | None
    problem: str = ""


def read(result: Sequence[Any] | None, classes: Sequence[str]) -> Answer:
    """Return the one class that a submitted annotation's result names, or why it names none.

    Only the results of our own control are read; others may stand beside them.

    Args:
        result: as Label Studio has it, or reduced by `reduced`.
        classes: of the stack.
    """
    choices = dict(_choices(result))
    if not choices:
        answered_elsewhere = bool(result) and not any(_ours(region) for region in result or ())
        return Answer(None, OTHER_CONTROL if answered_elsewhere else NO_CLASS)
    if len(choices) > 1:
        return Answer(None, SEVERAL_CLASSES)
    named = {name for names in choices.items() for name in names} & set(classes)
    if len(named) > 1:
        return Answer(None, AMBIGUOUS_CLASS)
    return Answer(named.pop()) if named else Answer(None, UNKNOWN_CLASS)


def reduced(result: Sequence[Any] | None, shown: Mapping[str, str]) -> list[dict[str, Any]]:
    """Leave of a result what decides on its class: two choices are as good as a thousand.

    Args:
        result: as Label Studio has it.
        shown: by the name that Label Studio stores, what annotators saw; see `Interface.shown`.
    """
    names = list(dict(_choices(result)))[:2]
    if names or any(_ours(region) for region in result or ()):
        kept = _region(FROM_NAME, [name[:_NAME_LENGTH] for name in names])
        kept["shown"] = [shown.get(name, name)[:_NAME_LENGTH] for name in names]
        return [kept]
    return [_region("", [])] if result else []


def choice(name: str) -> dict[str, Any]:
    """Return one choice of our control as Label Studio's results hold it, by the name that it stores."""
    return _region(FROM_NAME, [name])


def _region(from_name: str, names: list[str]) -> dict[str, Any]:
    return {"from_name": from_name, "to_name": TO_NAME, "type": "choices", "value": {"choices": names}}


def _ours(region: object) -> bool:
    wanted = {"from_name": FROM_NAME, "to_name": TO_NAME, "type": "choices"}
    return isinstance(region, dict) and all(region.get(name) == value for name, value in wanted.items())


def _choices(result: Sequence[Any] | None) -> Iterator[tuple[str, str]]:
    """Yield each choice of our control as it is stored, and as annotators saw it."""
    for region in result or ():
        if not _ours(region):
            continue
        value = region.get("value")
        stored = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(stored, list):
            continue
        names = [_leaf(one) for one in stored]
        shown = region.get("shown")
        seen = shown if isinstance(shown, list) and len(shown) == len(names) else names
        yield from zip(names, seen, strict=True)


def _leaf(chosen: object) -> str:
    """Return the name of a choice; one that stands within another is the end of a path."""
    return _leaf(chosen[-1]) if isinstance(chosen, list) and chosen else str(chosen)
