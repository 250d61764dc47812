"""Object keys, and hashes of them that stand in for randomness: the same on every machine, for ever."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta

KEY_BYTES = 1024
"""The longest object key that S3 takes, in UTF-8."""
SHARDS = 16
STEP = 2.0**-53


def unit_hash(*parts: str) -> float:
    """Map strings to a number in [0, 1), uniformly.

    Args:
        parts: the strings; their order and their borders matter.

    Returns:
        A multiple of STEP, so that it survives a round trip through float64 and DynamoDB's Number.
    """
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * STEP


_SAMPLING_SALT = "lottery"  # arbitrary, but never to change: it decides which images a seed draws


def sampling_key(key: str) -> float:
    """Return the fixed sampling key of an image, uniform in [0, 1)."""
    return unit_hash(_SAMPLING_SALT, key)


def shard(key: str) -> int:
    """Return the index shard of an image, in [0, SHARDS)."""
    return int(unit_hash("shard", key) * SHARDS)


def image_id(key: str, etag: str) -> str:
    """Return the correlation id of one upload: what every log line about its bytes carries.

    Args:
        key: object key.
        etag: of the bytes, without quotes.

    Returns:
        16 hex digits, so that a line can name a hundred uploads, whatever their keys are.
    """
    return hashlib.blake2b(f"{key}\x1f{etag}".encode(), digest_size=8).hexdigest()


def is_folder_marker(key: str, size: int) -> bool:
    """Say whether an object only makes a folder appear in a list, as consoles and file systems make them."""
    return size == 0 and key.endswith(("/", "_$folder$"))


def day(now: float) -> str:
    """Return the UTC day of epoch seconds, such as 2026-01-31: uploads are told apart by it."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def day_before(day: str, days: int = 1) -> str:
    """Return the day so many days before one, both such as 2026-01-31."""
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()
