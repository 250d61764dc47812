"""Decide which images of a batch annotators see without a prediction, and in which order they see them.

A prediction influences an annotator. The answers that a model is evaluated on must be free of that influence,
so the drawn shares of a batch have no prediction. The same number of other images, drawn uniformly, have none
either. So an annotator who sees no prediction cannot tell the purpose of the image.
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
    """Return the picks, with the drawn ones and as many others marked as blind.

    Args:
        picks: the picks of one batch.
        seed: fixes the choice of the others.
    """
    drawn = {pick.key for pick in picks if _drawn(pick)}
    others = [pick for pick in picks if pick.key not in drawn]
    others.sort(key=lambda pick: (unit_hash("blind", pick.key, seed), pick.key))
    blind = drawn | {pick.key for pick in others[: len(drawn)]}
    return [replace(pick, blind=pick.key in blind) for pick in picks]


def interleaved(picks: Sequence[Pick], seed: str) -> list[Pick]:
    """Return the picks in an order whose every prefix has each share of the batch in proportion.

    The order is cut into n equal parts for a share of n images, and each part gets one of them at a random
    place. So a prefix differs from the exact proportion by at most one image per share. Apart from that, the
    position of an image reveals nothing about its share.

    Args:
        picks: the picks of one batch.
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
    """Return whether predictions were hidden for the audit labels, as a text; empty without audit labels."""
    blind = [image.blind for image in images if image.audit]
    if not blind:
        return ""
    if len(set(blind)) == 1:
        return HIDDEN if blind[0] else SHOWN
    return f"{HIDDEN} for {sum(blind)} of {len(blind)} audit labels, {SHOWN} for the others"
