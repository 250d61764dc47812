"""Convert object keys to addresses for Label Studio, and find keys that it cannot show.

Label Studio parses ``s3://bucket/key`` as a URL. It strips white space from both ends, removes tabs and line
breaks, ends the path at a question mark, and removes all slashes from the beginning of the path. It does not
percent-decode.
"""

from __future__ import annotations

KEY_NOT_SHOWN = "key-not-shown"
"""The quarantine reason of an image that Label Studio cannot show."""
_DROPPED = str.maketrans("", "", "\t\r\n")


def address_of(bucket: str, key: str) -> str:
    """Return the address of an image for a task's data.

    If the key ends with white space, a question mark is added. It starts an empty query, so Label Studio
    does not strip the white space.
    """
    address = f"s3://{bucket}/{key}"
    return address if address == address.rstrip() else f"{address}?"


def shown_key(bucket: str, address: str) -> str:
    """Return the key that Label Studio shows for an address; empty if the address is not in this bucket."""
    prefix = f"s3://{bucket}/"
    address = address.strip()
    if not address.startswith(prefix):
        return ""
    path = address.removeprefix(prefix).translate(_DROPPED)
    return path.partition("?")[0].lstrip("/")


def why_not_shown(key: str) -> str:
    """Return why Label Studio cannot show the object with this key; empty if it can."""
    if "\0" in key:
        return "Label Studio cannot store a key with a NUL character: upload the image under another key"
    shown = shown_key("bucket", address_of("bucket", key))
    if shown == key:
        return ""
    seen = f"would show {shown!r}" if shown else "would show nothing"
    return f"Label Studio {seen} instead ({_cause(key)}): upload the image under another key"


def _cause(key: str) -> str:
    if key.startswith("/"):
        return "it removes slashes from the beginning of a key"
    if "?" in key:
        return "it ends a key at a question mark"
    return "it removes tabs and line breaks"
