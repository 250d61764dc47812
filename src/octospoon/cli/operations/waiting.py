"""Waits for other programs, up to a time limit."""

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
        result = look()
        if result is not None:
            return result
        if time.monotonic() > deadline:
            raise ServiceUnavailable(
                f"waited {seconds:.0f} s for {what}: look into `octospoon status` and .octospoon/logs"
            )
        time.sleep(interval)
