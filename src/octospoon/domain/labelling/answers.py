"""The label that a submitted annotation gives, or the reason why it gives none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_CLASS = "no-class"
UNKNOWN_CLASS = "unknown-class"
SEVERAL_CLASSES = "several-classes"
AMBIGUOUS_CLASS = "ambiguous-class"
OTHER_CONTROL = "other-control"
ROTATED_BOX = "rotated-box"
BOX_WITHOUT_AREA = "box-without-area"
BOX_WITHOUT_CLASS = "box-without-class"
TOO_MANY_BOXES = "too-many-boxes"
NOT_IN_POOL = "not-in-pool"

PROBLEMS = {
    NO_CLASS: "answered without a class",
    UNKNOWN_CLASS: "with a class that the stack does not have",
    SEVERAL_CLASSES: "with several classes",
    AMBIGUOUS_CLASS: "with a choice that has one class as value and another as alias",
    OTHER_CONTROL: "by a control that is not octospoon's",
    ROTATED_BOX: "with a rotated box",
    BOX_WITHOUT_AREA: "with a box that has no area",
    BOX_WITHOUT_CLASS: "with a box that has no class",
    TOO_MANY_BOXES: "with too many boxes",
    NOT_IN_POOL: "for an image that is not in the pool",
}
"""Reasons why an answer does not count, each with a description that follows a number."""


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
        left_out: number of parts of the answer that are no part of the label.
        note: what these parts are, see `noted`; empty if there are none, or if nobody has to know.
    """

    label: str | None
    problem: str = ""
    left_out: int = 0
    note: str = ""


def noted(left_out: Mapping[str, int]) -> str:
    """Return the numbers of parts of an answer that are left out, such as ``2 with a box that has no area``.

    Args:
        left_out: the number of parts by problem, a key of `PROBLEMS`.
    """
    parts = (f"{left_out[key]} {text}" for key, text in PROBLEMS.items() if left_out.get(key))
    return ", ".join(parts)
