"""Keeps a document of a view: shown at once from memory or disk, and read again in the background."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from octospoon.adapters.files import draft_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG = logging.getLogger(__name__)
FORMAT = 2
"""Changes with the content of the documents; a file of another format is read anew."""


class _Stored(msgspec.Struct, frozen=True):
    """The file of a document."""

    format: int
    read_at: float
    mark: str
    document: dict[str, Any]


class ViewDocument:
    """The newest document, and the thread that renews it while somebody looks at it.

    Args:
        read: makes the document, which JSON can hold.
        path: of the file that keeps it.
        every: seconds after which it is read again.
        mark: a text that changes when the document is outdated at once; asked for at each view.
        sentence: says in one sentence why a read failed.
        now: the time in epoch seconds.
    """

    def __init__(
        self,
        read: Callable[[], dict[str, Any]],
        path: Path,
        every: float,
        mark: Callable[[], str],
        sentence: Callable[[BaseException], str],
        now: Callable[[], float],
    ) -> None:
        self._read, self._path, self._every, self._mark = read, path, every, mark
        self._sentence, self._now = sentence, now
        self._lock = threading.Lock()
        self._stored = _load(path)
        self._reading, self._wanted = False, False
        self._error, self._failed_at, self._failed_mark = "", 0.0, ""

    def get(self) -> dict[str, Any]:
        """Return the newest document, and begin to read it anew if it is outdated.

        Returns:
            ``document`` (None before the first), ``read_at`` in epoch seconds, ``reading``, and ``error``,
            the sentence why the newest read failed.
        """
        mark, mark_error = self._marked()
        if self._begins(mark):
            threading.Thread(target=self._renew, args=(mark,), name="octospoon-ui-view", daemon=True).start()
        return self._answer(mark_error)

    def now(self) -> dict[str, Any]:
        """Read the document now, and return it as `get` does."""
        mark, _ = self._marked()
        self._reading = True
        self._renew(mark)
        return self._answer("")

    def last(self) -> dict[str, Any]:
        """Return the newest document as `get` does, and read nothing."""
        return self._answer("")

    def fresh(self) -> dict[str, Any]:
        """Return the document as `get` does, and read it first if it is outdated."""
        mark, _ = self._marked()
        if self._begins(mark):
            self._renew(mark)
        return self._answer("")

    def request(self) -> None:
        """Read the document again at the next view."""
        self._wanted = True

    def _answer(self, mark_error: str) -> dict[str, Any]:
        stored = self._stored
        return {
            "document": stored.document if stored else None,
            "read_at": stored.read_at if stored else None,
            "reading": self._reading,
            "error": self._error or mark_error,
        }

    def _marked(self) -> tuple[str, str]:
        try:
            return self._mark(), ""
        except Exception as error:  # noqa: BLE001 - the page shows it beside the last document
            return (self._stored.mark if self._stored else ""), self._sentence(error)

    def _begins(self, mark: str) -> bool:
        """Return whether the caller must read the document anew; one caller alone must."""
        with self._lock:
            if self._reading or not self._outdated(mark):
                return False
            self._reading, self._wanted = True, False
            return True

    def _outdated(self, mark: str) -> bool:
        if self._wanted:
            return True
        if self._error:
            # a read that failed has cost money too
            return self._failed_mark != mark or self._now() >= self._failed_at + self._every
        stored = self._stored
        return stored is None or stored.mark != mark or self._now() >= stored.read_at + self._every

    def _renew(self, mark: str) -> None:
        at = self._now()
        try:
            document = msgspec.json.decode(msgspec.json.encode(self._read()))  # the same from disk or not
            stored = _Stored(FORMAT, at, mark, document)
            with draft_of(self._path) as draft:
                draft.write_bytes(msgspec.json.encode(stored))
            self._stored, self._error = stored, ""
        except Exception as error:  # the page shows it, and the next read may succeed
            LOG.info("reading %s failed", self._path.name, exc_info=True)
            self._error, self._failed_at, self._failed_mark = self._sentence(error), at, mark
        finally:
            self._reading = False


def _load(path: Path) -> _Stored | None:
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
    except (OSError, msgspec.MsgspecError):
        return None
    return stored if stored.format == FORMAT else None
