"""Which images of a batch annotators see without the model's prediction, and in which order they see them.

A prediction pulls an annotator towards it. Answers that a model is judged by must be free of that, so the
drawn shares of a batch go without one. As many of the other images, drawn uniformly, go without one too: an
annotator who sees no prediction cannot tell what the image is for.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from octospoon.domain.pool.keys import unit_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from octospoon.domain.labelling.tasks import LabelledImage, Pick

HIDDEN = "hidden"
SHOWN = "shown"


def blinded(picks: Sequence[Pick], seed: str) -> list[Pick]:
    """Return the picks with the drawn ones, and as many others as there are, without a prediction.

    Args:
        picks: of one batch.
        seed: fixes which others.
    """
    drawn = {pick.key for pick in picks if _drawn(pick)}
    others = [pick for pick in picks if pick.key not in drawn]
    others.sort(key=lambda pick: (unit_hash("blind", pick.key, seed), pick.key))
    blind = drawn | {pick.key for pick in others[: len(drawn)]}
    return [replace(pick, blind=pick.key in blind) for pick in picks]


def interleaved(picks: Sequence[Pick], seed: str) -> list[Pick]:
    """Return the picks in an order in which every beginning holds each share of the batch in proportion.

    A share of n images has one of them, at a random place, in each n-th part of the order, so that no
    beginning holds more than one image more or less of it than its part. Within that, places tell nothing.

    Args:
        picks: of one batch.
        seed: fixes the order.
    """
    shares: dict[tuple[bool, bool, str, bool], list[Pick]] = defaultdict(list)
    for pick in sorted(picks, key=lambda pick: (unit_hash("batch", pick.key, seed), pick.key)):
        shares[pick.audit, _drawn(pick), pick.strategy, pick.blind].append(pick)
    placed = [
        ((i + unit_hash("place", pick.key, seed)) / len(share), pick.key, pick)
        for share in shares.values()
        for i, pick in enumerate(share)
    ]
    return [pick for _, _, pick in sorted(placed, key=lambda place: place[:2])]


def _drawn(pick: Pick) -> bool:
    return pick.audit or pick.draw_probability is not None


def audit_rule(images: Iterable[LabelledImage]) -> str:
    """Return under which rule the answers on the audit share were given; empty where there are none."""
    blind = [image.blind for image in images if image.audit]
    if not blind:
        return ""
    if len(set(blind)) == 1:
        return HIDDEN if blind[0] else SHOWN
    return f"{HIDDEN} for {sum(blind)} of {len(blind)} audit labels, {SHOWN} for the others"
