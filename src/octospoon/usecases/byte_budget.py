"""Back-pressure by bytes: whoever wants to hold more than is free waits."""

from __future__ import annotations

import threading


class ByteBudget:
    """Bounds the bytes that are held at once; what alone is over the limit passes when nothing else is held.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._changed = threading.Condition()

    def reserve(self, size: int) -> Lease:
        """Wait until `size` more bytes may be held, and hold them."""
        with self._changed:
            self._changed.wait_for(lambda: self._held == 0 or self._held + size <= self._limit)
            self._held += size
        return Lease(self, size)

    def change(self, difference: int) -> None:
        """Hold more, without waiting, or less."""
        with self._changed:
            self._held += difference
            self._changed.notify_all()


class Lease:
    """Bytes held of a budget, until they are released."""

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self._budget = budget
        self._size = size

    def resize(self, size: int) -> None:
        """Hold what the thing really takes, where it is not what was reserved for it."""
        self._budget.change(size - self._size)
        self._size = size

    def release(self) -> None:
        """Hold nothing any more."""
        self.resize(0)
