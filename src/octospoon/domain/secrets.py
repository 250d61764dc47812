"""Check secrets and addresses where they are read. An error names the setting and never quotes a secret."""

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
    """Return a secret without surrounding white space, such as a line break at the end of its file.

    Args:
        name: name of the setting. Errors contain this name and no part of the value.
        value: the secret as it is stored.

    Raises:
        NotConfigured: the secret is empty, or contains a line break or another unprintable character.
    """
    text = value.strip().strip(_BYTE_ORDER_MARK).strip()
    if not text:
        raise NotConfigured(f"the secret {name} is empty: {_AGAIN}")
    if any(unicodedata.category(character) in _UNPRINTABLE for character in text):
        raise NotConfigured(f"the secret {name} holds a line break or a control character: {_AGAIN}")
    return text


def header_secret(name: str, value: str) -> str:
    """Return a secret that is sent in an HTTP header; see `checked_secret`.

    Raises:
        NotConfigured: as in `checked_secret`, or the secret contains anything but printable ASCII.
    """
    text = checked_secret(name, value)
    if not _HEADER_VALUE.fullmatch(text):
        raise NotConfigured(
            f"the secret {name} holds characters that an HTTP header cannot carry: use ASCII letters, "
            "digits and punctuation only"
        )
    return text


def split_sign_in(name: str, url: str) -> tuple[str, tuple[str, str]]:
    """Split a URL into the address without credentials, and the user name and password.

    Args:
        name: name of the setting, for errors.
        url: the URL.

    Returns:
        The address without a slash at its end, and user name and password (empty if the URL has none).

    Raises:
        NotConfigured: the URL is not an HTTP or HTTPS address.
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
    """Return the text without user names and passwords in its URLs."""
    return _SIGN_IN.sub("//", text)


def hidden(text: str, *secrets: str) -> str:
    """Return the text, such as a server's answer, with every secret replaced by ``***``."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return without_sign_in(text)
