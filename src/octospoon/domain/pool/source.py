"""The source of the images: a bucket that the stack made, or a part of an existing bucket."""

from __future__ import annotations

from dataclasses import dataclass

EXISTING = "existing"
"""The value of ``ImagesSource`` for a bucket that octospoon only reads."""


@dataclass(frozen=True, slots=True)
class ImagesSource:
    """The images bucket.

    Attributes:
        existing: True if it is the user's own bucket, which is only read.
        prefixes: beginnings of the keys that are read; none for all.
    """

    existing: bool = False
    prefixes: tuple[str, ...] = ()

    def ranges(self, prefix: str = "") -> tuple[str, ...]:
        """Return the prefixes that hold every key that is read and begins with `prefix`.

        They are in the order of keys, and no key begins with two of them.
        """
        wanted = {
            longer
            for ours in self.prefixes or ("",)
            for longer, shorter in [(prefix, ours) if len(prefix) > len(ours) else (ours, prefix)]
            if longer.startswith(shorter)
        }
        return tuple(sorted(key for key in wanted if not _covered(key, wanted)))

    def reads(self, key: str) -> bool:
        """Return whether a key is among those that are read."""
        return not self.prefixes or key.startswith(self.prefixes)


MADE = ImagesSource()
"""A bucket that the stack made."""


def source_of(kind: str, prefixes: str) -> ImagesSource:
    """Return a source as settings and outputs describe it.

    Args:
        kind: `EXISTING`, or anything else for a bucket of the stack.
        prefixes: beginnings of keys separated by commas, with any spaces; empty for all.
    """
    return ImagesSource(kind == EXISTING, tuple(prefixes.split(",")) if prefixes else ())


def _covered(prefix: str, others: set[str]) -> bool:
    return any(prefix != other and prefix.startswith(other) for other in others)
