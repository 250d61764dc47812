"""Secrets and addresses, checked where they are read: an error names a setting and never quotes a secret."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, urlsplit

from octospoon.domain.errors import NotConfigured

_BYTE_ORDER_MARK = "\ufeff"
_SIGN_IN = re.compile(r"//[^/\s]*@")
_HEADER_VALUE = re.compile(r"[ -~]+")
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}
_AGAIN = "store it again, alone and without line breaks"


def checked_secret(name: str, value: str) -> str:
    """Return a secret without the white space around it, such as the line end of the file that it came from.

    Args:
        name: what the setting is called; the only thing about it that an error says.
        value: the secret as it is stored.

    Raises:
        NotConfigured: it is empty, or holds a line break or another character that cannot be printed.
    """
    text = value.strip().strip(_BYTE_ORDER_MARK).strip()
    if not text:
        raise NotConfigured(f"the secret {name} is empty: {_AGAIN}")
    if any(unicodedata.category(character) in _UNPRINTABLE for character in text):
        raise NotConfigured(f"the secret {name} holds a line break or a control character: {_AGAIN}")
    return text


def header_secret(name: str, value: str) -> str:
    """Return a secret that travels in an HTTP header, see `checked_secret`.

    Raises:
        NotConfigured: as `checked_secret`, or it holds anything but printable ASCII.
    """
    text = checked_secret(name, value)
    if not _HEADER_VALUE.fullmatch(text):
        raise NotConfigured(
            f"the secret {name} holds characters that an HTTP header cannot carry: use ASCII letters, "
            "digits and punctuation only"
        )
    return text


def split_sign_in(name: str, url: str) -> tuple[str, tuple[str, str]]:
    """Split an address into the address proper, and the user name and password that it holds.

    Args:
        name: what the setting is called.
        url: the address.

    Returns:
        The address without a slash at its end; user name and password, both empty where it holds none.

    Raises:
        NotConfigured: it is not an address of an HTTP server.
    """
    try:
        parts = urlsplit(checked_secret(name, url))
        fits = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits:
        raise NotConfigured(f"{name} is not an address: it must begin with http:// or https:// and a host")
    host = parts.netloc.rpartition("@")[2]
    address = parts._replace(netloc=host).geturl().rstrip("/")
    return address, (unquote(parts.username or ""), unquote(parts.password or ""))


def without_sign_in(text: str) -> str:
    """Return a text without the user names and passwords that addresses in it hold."""
    return _SIGN_IN.sub("//", text)


def hidden(text: str, *secrets: str) -> str:
    """Return a text that others wrote, such as a server's answer, without our secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return without_sign_in(text)
