"""Waiting for what other programs do, with a limit, and with the reason when it is reached."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T | None], *, seconds: float = 120.0, interval: float = 0.25) -> T:
    """Call `look` until it returns something, and return that.

    Raises:
        ServiceUnavailable: it returned nothing for `seconds` seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            raise ServiceUnavailable(
                f"waited {seconds:.0f} s for {what}: look into `octospoon status` and .octospoon/logs"
            )
        time.sleep(interval)
