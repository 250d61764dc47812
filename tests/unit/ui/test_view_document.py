"""Documents that are kept and read again in the background."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from octospoon.domain.errors import ServiceUnavailable
from octospoon.ui.view_document import ViewDocument

if TYPE_CHECKING:
    from pathlib import Path


class Source:
    """Counts the reads, and can fail or wait."""

    def __init__(self, folder: Path) -> None:
        self.path, self.reads, self.time, self.mark = folder / "view.json", 0, 100.0, "a"
        self.fails = self.mark_fails = False
        self.gate = threading.Event()
        self.gate.set()

    def read(self) -> dict[str, Any]:
        self.gate.wait(10)
        self.reads += 1
        if self.fails:
            raise ServiceUnavailable("S3 does not answer")
        return {"reads": self.reads}

    def marked(self) -> str:
        if self.mark_fails:
            raise ServiceUnavailable("DynamoDB does not answer")
        return self.mark

    def document(self) -> ViewDocument:
        return ViewDocument(self.read, self.path, 60.0, self.marked, str, lambda: self.time)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def settled(document: ViewDocument) -> dict[str, Any]:
    """View once, wait until nothing is read, and return what is kept then."""
    document.get()
    for thread in threading.enumerate():
        if thread.name == "octospoon-ui-view":
            thread.join(10)
    return document._answer("")


def test_the_first_view_does_not_wait_for_the_read(source: Source) -> None:
    source.gate.clear()
    document = source.document()
    assert document.get() == {"document": None, "read_at": None, "reading": True, "error": ""}
    document.get()
    source.gate.set()
    assert settled(document)["document"] == {"reads": 1}


def test_a_recent_document_is_not_read_again(source: Source) -> None:
    document = source.document()
    settled(document)
    source.time += 59
    assert settled(document) == {"document": {"reads": 1}, "read_at": 100.0, "reading": False, "error": ""}
    source.time += 2
    assert settled(document)["document"] == {"reads": 2}


def test_a_changed_mark_or_a_request_reads_at_once(source: Source) -> None:
    document = source.document()
    settled(document)
    source.mark = "b"
    assert settled(document)["document"] == {"reads": 2}
    document.request()
    assert settled(document)["document"] == {"reads": 3}
    assert settled(document)["document"] == {"reads": 3}


def test_a_restart_shows_what_is_on_disk(source: Source) -> None:
    settled(source.document())
    assert settled(source.document()) == {
        "document": {"reads": 1},
        "read_at": 100.0,
        "reading": False,
        "error": "",
    }
    source.path.write_text("{}")
    assert settled(source.document())["document"] == {"reads": 2}


def test_a_failed_read_keeps_the_document_for_a_while(source: Source) -> None:
    document = source.document()
    settled(document)
    source.fails, source.mark = True, "b"
    failed = settled(document)
    assert (failed["document"], failed["error"]) == ({"reads": 1}, "S3 does not answer")
    settled(document)
    assert source.reads == 2
    source.fails = False
    source.time += 61
    assert settled(document)["error"] == ""


def test_an_unreadable_mark_is_an_error_beside_the_document(source: Source) -> None:
    document = source.document()
    settled(document)
    source.mark_fails = True
    answer = document.get()
    assert (answer["document"], answer["error"]) == ({"reads": 1}, "DynamoDB does not answer")
    assert source.reads == 1


def test_a_number_that_is_unknown_becomes_null(source: Source) -> None:
    document = ViewDocument(lambda: {"x": float("nan")}, source.path, 60.0, source.marked, str, lambda: 1.0)
    assert document.now()["document"] == {"x": None}
