"""Object keys, and hashes of them that replace random numbers and are the same on every machine."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta

KEY_BYTES = 1024
"""Length of the longest object key in S3, in bytes of UTF-8."""
SHARDS = 16
STEP = 2.0**-53


def unit_hash(*parts: str) -> float:
    """Map strings to a number in [0, 1), uniformly.

    Args:
        parts: the strings. Their order and their boundaries change the result.

    Returns:
        A multiple of STEP, which float64 and DynamoDB's Number represent exactly.
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
    """Return the correlation id of one upload, which is in every log line about its bytes.

    Args:
        key: object key.
        etag: ETag of the bytes, without quotes.

    Returns:
        16 hex digits. They are short, so that a log line can name a hundred uploads.
    """
    return hashlib.blake2b(f"{key}\x1f{etag}".encode(), digest_size=8).hexdigest()


def is_folder_marker(key: str, size: int) -> bool:
    """Return True if an object only marks a folder; consoles and file systems create such objects."""
    return size == 0 and key.endswith(("/", "_$folder$"))


def day(now: float) -> str:
    """Return the UTC day of epoch seconds, such as 2026-01-31."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def day_before(day: str, days: int = 1) -> str:
    """Return the day `days` before `day`; both are ISO dates such as 2026-01-31."""
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()
