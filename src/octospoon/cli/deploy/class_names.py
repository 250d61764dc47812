"""Read class names from the command line."""

from __future__ import annotations

import unicodedata

from octospoon.domain.errors import BadRequest

_LONGEST = 100
_MOST_BYTES = 2_500
"""Bytes of all names together: AWS gives a function 4 KB for all of its settings."""


def class_names(text: str, option: str = "--classes") -> tuple[str, ...]:
    """Return comma-separated class names.

    Args:
        text: such as ``cat,dog``; spaces around a name are ignored.
        option: the option that they were given with, for error messages.

    Raises:
        BadRequest: there are fewer than two names, a name is repeated, or a name cannot be stored or shown.
    """
    names = checked_names(text, option)
    if len(names) < 2:
        raise BadRequest(f"{option} {text!r}: give at least two class names, like cat,dog")
    return names


def checked_names(text: str, option: str) -> tuple[str, ...]:
    """Return comma-separated class names, one or more; see `class_names`."""
    names = [unicodedata.normalize("NFC", name.strip()) for name in text.split(",")]
    if not all(names):
        raise BadRequest(f"{option} {text!r}: a name is missing beside a comma; write names like cat,dog")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise BadRequest(f"{option} {text!r}: {', '.join(repeated)} is there more than once")
    for name in names:
        _check(name, option)
    if (size := len(",".join(names).encode())) > _MOST_BYTES:
        raise BadRequest(
            f"{option}: the names have {size:,} bytes together, but the settings of the functions have room "
            f"for {_MOST_BYTES:,}: shorten the names"
        )
    return tuple(names)


def _check(name: str, option: str) -> None:
    if len(name) > _LONGEST:
        raise BadRequest(
            f"{option}: {name[:40]}… has {len(name)} characters: a name can have at most {_LONGEST}"
        )
    if not name.isprintable():
        raise BadRequest(f"{option}: {name!r} contains a character that cannot be shown: use another name")
