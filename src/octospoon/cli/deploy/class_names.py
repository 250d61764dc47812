"""Class names as people give them on the command line."""

from __future__ import annotations

import unicodedata

from octospoon.domain.errors import BadRequest

_LONGEST = 100
_MOST_BYTES = 2_500
"""Of all names together: AWS gives a function 4 KB for all of its settings."""


def class_names(text: str, option: str = "--classes") -> tuple[str, ...]:
    """Return comma-separated class names.

    Args:
        text: such as ``cat,dog``; blanks around a name do not count.
        option: where they were given, for messages.

    Raises:
        BadRequest: there are fewer than two, one stands twice, or one cannot be stored or shown.
    """
    names = [unicodedata.normalize("NFC", name.strip()) for name in text.split(",")]
    if not all(names):
        raise BadRequest(f"{option} {text!r}: a name is missing beside a comma; write them as in cat,dog")
    if len(names) < 2:
        raise BadRequest(f"{option} {text!r}: there must be at least two class names, as in cat,dog")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadRequest(f"{option} {text!r}: {', '.join(twice)} stands there more than once")
    for name in names:
        _check(name, option)
    if (size := len(",".join(names).encode())) > _MOST_BYTES:
        raise BadRequest(
            f"{option}: the names are {size:,} bytes together, and the functions' settings have room for "
            f"{_MOST_BYTES:,}: shorten them"
        )
    return tuple(names)


def _check(name: str, option: str) -> None:
    if len(name) > _LONGEST:
        raise BadRequest(
            f"{option}: {name[:40]}… has {len(name)} characters: at most {_LONGEST} can be shown"
        )
    if not name.isprintable():
        raise BadRequest(f"{option}: {name!r} holds a character that cannot be shown: use another name")
