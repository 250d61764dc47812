"""Read a large JSON file element by element, so that memory does not grow with the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 1 << 20
_LARGEST = 1 << 26
"""Characters of the largest element; a larger one is refused."""
_SPACE = " \t\r\n"
_NUMBER = "+-.eE0123456789"


def elements(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the elements of a JSON file.

    The elements of an array have an empty name. An object gives the elements of each array in it under the
    array's name, and every other value under its own name.

    Raises:
        BadRequest: the file is not JSON in UTF-8, or is neither an array nor an object.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _Stream(path, file).top()
    except UnicodeDecodeError as error:
        raise BadRequest(f"{path} is not text in UTF-8") from error
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror or error}") from error


class _Stream:
    """A position in a JSON text of which a part is in memory."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file
        self._text = ""
        self._at = 0
        self._passed = 0
        self._ended = False
        self._decoder = json.JSONDecoder()

    def top(self) -> Iterator[tuple[str, Any]]:
        """Yield the elements of the file's one value."""
        first = self._next()
        if first == "[":
            yield from (("", element) for element in self._array())
        elif first == "{":
            yield from self._object()
        else:
            raise self._wrong("it begins with neither [ nor {")
        if self._next():
            raise self._wrong("something follows its end")

    def _object(self) -> Iterator[tuple[str, Any]]:
        self._at += 1
        if self._next() == "}":
            self._at += 1
            return
        while True:
            name = self._value()
            if not isinstance(name, str):
                raise self._wrong("a name in quotation marks is missing")
            self._take(":")
            if self._next() == "[":
                yield from ((name, element) for element in self._array())
            else:
                yield name, self._value()
            if self._separator("}"):
                return

    def _array(self) -> Iterator[Any]:
        self._at += 1
        if self._next() == "]":
            self._at += 1
            return
        while True:
            yield self._value()
            if self._separator("]"):
                return

    def _separator(self, end: str) -> bool:
        """Pass a comma or the end; return True at the end."""
        following = self._next()
        if following not in (",", end):
            raise self._wrong(f"a comma or {end} is missing")
        self._at += 1
        return following == end

    def _take(self, wanted: str) -> None:
        if self._next() != wanted:
            raise self._wrong(f"{wanted} is missing")
        self._at += 1

    def _next(self) -> str:
        """Pass white space; return the character there, or an empty text at the end of the file."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _value(self) -> Any:  # noqa: ANN401 - JSON
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                if isinstance(error, RecursionError) or not self._more():
                    raise self._wrong("a value is incomplete or wrong") from error
                continue
            cut = isinstance(value, int | float) and not self._text[end : end + 8].strip(_NUMBER)
            if cut and self._more():
                continue
            self._at = end
            return value

    def _more(self) -> bool:
        """Read on; return False at the end of the file."""
        if self._ended:
            return False
        if len(self._text) - self._at > _LARGEST:
            raise self._wrong(f"a value has over {_LARGEST:,} characters, or is wrong")
        # the value at hand is parsed again: read more each time, so that a large value costs little
        part = self._file.read(max(_CHUNK, len(self._text) - self._at))
        self._passed += self._at
        self._text, self._at = self._text[self._at :] + part, 0
        self._ended = not part
        return bool(part)

    def _wrong(self, why: str) -> BadRequest:
        place = f"character {self._passed + self._at + 1:,}"
        return BadRequest(f"{self._path} is not JSON that can be used: {why}, at {place}")
