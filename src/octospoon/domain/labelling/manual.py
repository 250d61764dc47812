"""Rounds of images that a person chose, for example with the lasso of `octospoon ui`.

Such images are not drawn at random. They may be trained on, but no figure about a model or a strategy is
measured on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.domain.labelling.tasks import Pick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.pool.images import PoolRow

MANUAL = "manual"
"""The strategy of an image that a person chose."""
NOTE = "a person chose these images, and they were not drawn at random"
MOST = 500
"""Most images of one such round: annotators get all of them at once."""


def manual_picks(rows: Sequence[PoolRow]) -> tuple[Pick, ...]:
    """Return the picks of a round with these images, in this order."""
    return tuple(
        Pick(row.key, row.etag, audit=False, strategy=MANUAL, score=None, rank=rank, draw_probability=None)
        for rank, row in enumerate(rows)
    )
