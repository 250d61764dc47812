"""The label of an image with any number of classes: the set of their names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable

NONE = "none of the classes"
"""The text for people of a label without a class."""


class ClassNames:
    """Implements `octospoon.domain.task_types.task_type.LabelForm`: the text is a JSON list in order."""

    def read(self, stored: str) -> frozenset[str]:
        """Return the classes that a text stores.

        Raises:
            BadRequest: the text is not a JSON list of names.
        """
        try:
            names = json.loads(stored)
        except ValueError:
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadRequest(f"{stored[:100]!r} is no label with several classes: it must be a JSON list")
        return frozenset(names)

    def write(self, value: frozenset[str]) -> str:
        """Return the names as a JSON list in alphabetical order, without white space."""
        return json.dumps(sorted(value), ensure_ascii=False, separators=(",", ":"))

    def classes(self, value: frozenset[str]) -> tuple[str, ...]:
        """Return the classes in alphabetical order."""
        return tuple(sorted(value))

    def renamed(self, value: frozenset[str], name: Callable[[str], str | None]) -> frozenset[str] | None:
        """Return the new names of the classes that count.

        An image whose classes are all retired shows none of the present classes, which is a label too.
        """
        return frozenset(new for old in value if (new := name(old)) is not None)

    def text(self, value: frozenset[str]) -> str:
        """Return the names, separated by commas, or `NONE`."""
        return ", ".join(sorted(value)) or NONE
