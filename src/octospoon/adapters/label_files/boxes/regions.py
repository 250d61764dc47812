"""Read the rectangles of any Label Studio project, as its exports have them, with the rules for answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from octospoon.adapters.label_studio import rectangles
from octospoon.adapters.label_studio.interface import FROM_NAME, TO_NAME
from octospoon.domain.labelling.answers import PROBLEMS
from octospoon.domain.labelling.classes import ClassHistory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SEVERAL_CONTROLS = "answered by several controls: --control names the one with the classes"
_LEFT_OUT = "parts of answers "


class Read(NamedTuple):
    """The boxes of one answer.

    Attributes:
        label: in its stored form; None if the answer is no label.
        problem: why it is none; empty if it is one.
        left_out: why and where a part of the answer is left out.
    """

    label: str | None
    problem: str = ""
    left_out: tuple[tuple[str, str], ...] = ()


def read(result: Sequence[Any], control: str, place: str) -> Read:
    """Return the boxes of an answer, under the names that Label Studio stores.

    Args:
        result: the result of the annotation.
        control: name of the control with the classes; empty for octospoon's own, or the only one.
        place: of the answer, for people.
    """
    regions = [region for region in result if isinstance(region, dict)]
    controls = {str(region.get("from_name")) for region in regions if region.get("type") == rectangles.KIND}
    chosen = control or (FROM_NAME if FROM_NAME in controls else next(iter(controls), ""))
    if not control and chosen != FROM_NAME and len(controls) > 1:
        return Read(None, SEVERAL_CONTROLS)
    ours = [_as_ours(region, chosen) for region in regions]
    history = ClassHistory(tuple(sorted(set(_names(ours)))))
    answer = rectangles.read(ours, history)
    if answer.label is None:
        return Read(None, PROBLEMS[answer.problem])
    left_out = tuple(
        (_LEFT_OUT + PROBLEMS[alone.problem], f"{place}, region {number}")
        for number, region in enumerate(ours, 1)
        if (alone := rectangles.read([region], history)).label is None
    )
    return Read(answer.label, "", left_out)


def flat(value: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the result that a list of ``JSON_MIN`` or ``CSV`` means, whose items are values of regions."""
    return [
        {
            "type": rectangles.KIND if isinstance(item, dict) and rectangles.KIND in item else "other",
            "from_name": FROM_NAME,
            "value": item,
        }
        for item in value
    ]


def _as_ours(region: dict[str, Any], control: str) -> dict[str, Any]:
    """Return a region with the names of octospoon's own control, if it is of the chosen control."""
    if region.get("type") == rectangles.KIND and str(region.get("from_name")) == control:
        return region | {"from_name": FROM_NAME, "to_name": TO_NAME}
    return region | {"from_name": ""}


def _names(regions: Sequence[dict[str, Any]]) -> Iterator[str]:
    for region in regions:
        value = region.get("value")
        names = value.get(rectangles.KIND) if isinstance(value, dict) else None
        yield from map(str, names if isinstance(names, list) else ())
