"""The addresses under which Label Studio shows images, and the keys that it cannot address.

Label Studio reads ``s3://bucket/key`` as a URL: it takes blanks off both ends, drops tabs and line breaks,
ends the path at a question mark, and takes every slash off the beginning of the path. Nothing is
percent-decoded.
"""

from __future__ import annotations

KEY_NOT_SHOWN = "key-not-shown"
"""Reason of the quarantine of an image that Label Studio cannot show."""
_DROPPED = str.maketrans("", "", "\t\r\n")


def address_of(bucket: str, key: str) -> str:
    """Return the address of an image in a task's data.

    A question mark at its end, which names nothing, keeps the blanks before it.
    """
    address = f"s3://{bucket}/{key}"
    return address if address == address.rstrip() else f"{address}?"


def shown_key(bucket: str, address: str) -> str:
    """Return the key of the object that Label Studio shows for an address; empty for none of this bucket."""
    prefix = f"s3://{bucket}/"
    address = address.strip()
    if not address.startswith(prefix):
        return ""
    path = address.removeprefix(prefix).translate(_DROPPED)
    return path.partition("?")[0].lstrip("/")


def why_not_shown(key: str) -> str:
    """Return why Label Studio cannot show the object of this key; empty where it can."""
    if "\0" in key:
        return "Label Studio cannot store a key with a NUL character: upload the picture under another key"
    shown = shown_key("bucket", address_of("bucket", key))
    if shown == key:
        return ""
    seen = f"would show {shown!r}" if shown else "would show nothing"
    return f"Label Studio {seen} in its place ({_cause(key)}): upload the picture under another key"


def _cause(key: str) -> str:
    if key.startswith("/"):
        return "it takes slashes off the beginning of a key"
    if "?" in key:
        return "it ends a key at a question mark"
    return "it drops tabs and line breaks"
