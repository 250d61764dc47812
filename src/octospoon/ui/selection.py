"""The selected images that an action is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_KEYS = 20_000
"""Most images that one action may name."""


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an action: the keys of the selected images."""

    keys: list[str]


def checked(keys: Sequence[str]) -> Sequence[str]:
    """Return the keys of a selection.

    Raises:
        BadRequest: there is none, or there are too many.
    """
    if not keys:
        raise BadRequest("no image is selected")
    if len(keys) > MOST_KEYS:
        raise BadRequest(f"{len(keys):,} images are selected: at most {MOST_KEYS:,} are possible at once")
    return keys
