"""What annotators can choose in a labelling interface.

The annotation tool stores a choice under its alias if it has one, otherwise under the text that annotators
see. Either may be the name of a class.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of our control.

    Attributes:
        value: the text that annotators see.
        alias: the name under which Label Studio stores it; None if it stores the value.
    """

    value: str
    alias: str | None = None

    @property
    def stored(self) -> str:
        """The name in annotations and predictions."""
        return self.alias or self.value

    @property
    def names(self) -> set[str]:
        """The value and the stored name; either may be the name of a class."""
        return {self.value, self.stored}


@dataclass(frozen=True, slots=True)
class Interface:
    """A labelling interface.

    Attributes:
        choices: the choices of our control, in their order.
        required: whether Label Studio refuses an answer without a choice.
        multiple: whether annotators may select several choices.
        others: names of the other controls; their answers are not read.
    """

    choices: tuple[Choice, ...]
    required: bool = True
    multiple: bool = False
    others: tuple[str, ...] = ()

    @property
    def shown(self) -> dict[str, str]:
        """The text that annotators see, by stored name, for choices whose two names differ."""
        return {choice.stored: choice.value for choice in self.choices if choice.stored != choice.value}

    @property
    def stored(self) -> dict[str, str]:
        """The stored name, by each name that belongs to one choice only."""
        times = Counter(name for choice in self.choices for name in choice.names)
        return {name: choice.stored for choice in self.choices for name in choice.names if times[name] == 1}
