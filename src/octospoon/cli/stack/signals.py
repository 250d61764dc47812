"""Let SIGTERM and SIGHUP end a program as Ctrl-C does: by an exception, so that it can end its processes."""

from __future__ import annotations

import signal
import threading
from typing import NoReturn

NUMBERS = (signal.SIGTERM, signal.SIGHUP)


class TerminationAsExit:
    """Converts the two signals into SystemExit until restored, unless other code handles them."""

    def __init__(self) -> None:
        self._changed: list[signal.Signals] = []
        if threading.current_thread() is threading.main_thread():
            for number in NUMBERS:
                if signal.getsignal(number) is signal.SIG_DFL:
                    signal.signal(number, _exit)
                    self._changed.append(number)

    def restore(self) -> None:
        """Restore the default handlers."""
        while self._changed:
            signal.signal(self._changed.pop(), signal.SIG_DFL)


def _exit(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)
