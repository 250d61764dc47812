"""The label of an image with one class: the name of the class."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ClassName:
    """Implements `octospoon.domain.task_types.task_type.LabelForm`: the stored form is the name itself."""

    def read(self, stored: str) -> str:
        """Return the class that a text stores."""
        return stored

    def write(self, value: str) -> str:
        """Return the text of a class."""
        return value

    def classes(self, value: str) -> tuple[str, ...]:
        """Return the class."""
        return (value,)

    def renamed(self, value: str, name: Callable[[str], str | None]) -> str | None:
        """Return the new name of the class; None for a class that no longer counts."""
        return name(value)

    def text(self, value: str) -> str:
        """Return the name of the class."""
        return value
