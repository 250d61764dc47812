"""A command line parser that suggests what was meant, and reads long help only when it is asked for."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

_INVALID = re.compile(r"invalid choice: '(?P<given>[^']*)' \(choose from (?P<choices>.*)\)")


class Parser(argparse.ArgumentParser):
    """A parser of octospoon.

    Attributes:
        more_help: gives what stands below the help; read only when somebody asks for help.
    """

    more_help: Callable[[], str] | None = None

    def format_help(self) -> str:
        """Return the help, with what is below."""
        text = super().format_help()
        return f"{text}\n{self.more_help()}\n" if self.more_help else text

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and what may have been meant."""
        if found := _INVALID.search(message):
            choices = re.findall(r"[\w-]+", found["choices"])
            if near := difflib.get_close_matches(found["given"], choices, n=3):
                message = f"there is no {found['given']!r}: did you mean {' or '.join(near)}?"
        super().error(message)
