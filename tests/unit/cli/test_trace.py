"""`octospoon trace`, run from the command line."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from fakes.pool import FakeRecords
from unit.usecases.test_trace import KEY, FakeRuns, World, labelled

from octospoon.cli.main import main
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.task_types.classification import CLASSIFICATION

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    made: World = labelled()
    made.runs = FakeRuns(down=True)
    deployment = SimpleNamespace(
        task_type=CLASSIFICATION,
        records=FakeRecords(made.pool),
        image_versions=made.versions,
        rounds=made.rounds,
        labels=made.labels,
        control=made.control,
        history=made.history,
        snapshots=made.snapshots,
        champions=made.champions,
        runs=made.runs,
        class_record=lambda: SimpleNamespace(
            read=lambda: ClassHistory(("cat", "dog")).rename("dog", "hound", 1)
        ),
        task_address=lambda task: f"http://labels/[{task}]",
    )
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: deployment)
    return lambda *options: main(["trace", *options])


def test_each_event_is_one_line_however_long(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(KEY) == 0

    title, header, *rows, note, hint = capsys.readouterr().out.splitlines()
    assert title == f"{KEY}: labelled"
    assert header.split() == ["when", "(UTC)", "what", "particulars"]
    assert len(rows) == 10
    assert rows[0].startswith("1970-01-12 13:46:40  uploaded")
    assert "http://labels/[77]" in rows[4], "an address in brackets is no markup"
    assert note == "the addresses of the runs are unknown: MLflow does not answer"
    assert "octospoon logs score --search" in hint


def test_json_holds_the_same(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(KEY, "--json") == 0

    trace = json.loads(capsys.readouterr().out)
    assert (trace["key"], trace["label"]["label"], trace["choices"][0]["pick"]["audit"]) == (
        KEY,
        "hound",
        True,
    )
    assert [score["confidence"] for score in trace["uploads"][0]["scores"]] == [None, 0.75]


def test_unknown_key_is_an_error_with_advice(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("A/1.png") == 1

    written = capsys.readouterr()
    assert written.out == ""
    assert "there is no image 'A/1.png': give the whole object key" in written.err
