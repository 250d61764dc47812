"""Back-pressure by bytes: a caller waits until the bytes that it asks for are free."""

from __future__ import annotations

import threading


class ByteBudget:
    """Bounds the bytes that are held at once. A single larger request passes when nothing else is held.

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
        """Change the held bytes, without waiting."""
        with self._changed:
            self._held += difference
            self._changed.notify_all()


class Lease:
    """Bytes that are held until they are released."""

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self._budget = budget
        self._size = size

    def resize(self, size: int) -> None:
        """Correct the reserved bytes to the real size."""
        self._budget.change(size - self._size)
        self._size = size

    def release(self) -> None:
        """Release all bytes."""
        self.resize(0)
