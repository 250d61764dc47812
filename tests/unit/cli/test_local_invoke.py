"""Local invocations of a built function: errors are reported before anything starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from octospoon.cli import deployment
from octospoon.cli.deploy import sam_template
from octospoon.cli.deployment import Deployment, LocalProject
from octospoon.cli.local import events, invoke_function, sam_local
from octospoon.cli.local.lambda_emulator import Answer
from octospoon.domain.errors import BadRequest

ROOT = Path(__file__).parents[3]
FUNCTIONS = sam_template.functions(sam_template.read(ROOT / "template.yaml"))
OUTPUTS = {"ImagesBucket": "pictures", "ScoreFunctionName": "octospoon-score"}


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(deployment, "PROJECT_FILE", tmp_path / "project.json")
    return tmp_path / "project.json"


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert invoke_function.main(arguments) == 1
    return capsys.readouterr().err


def test_every_function_has_an_event_and_every_event_a_function() -> None:
    assert sorted(f"{path.stem.capitalize()}Function" for path in Path("events").glob("*.json")) == sorted(
        FUNCTIONS
    )


@pytest.mark.parametrize("function", ["", "nope", "ScoreFunction"])
def test_a_function_that_is_not_there(function: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "one of score, rank" in refusal([function, "events/score.json"], capsys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no event file"),
        ("{", "not valid JSON"),
        ("\xff", "not valid JSON"),
        ("[]", "not contain a JSON object"),
    ],
)
def test_an_event_file_that_is_none(
    text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "event.json"
    if text is not None:
        path.write_text(text, "latin-1")

    assert message in refusal(["score", str(path)], capsys)


@pytest.mark.parametrize(
    "run",
    [lambda: invoke_function.main(["score", "events/score.json"]), lambda: sam_local.main([])],
)
def test_without_a_stack_it_says_how_to_start_one(run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 1
    assert "start it with `make up`" in capsys.readouterr().err


def test_a_stack_that_has_ended_is_said(nothing_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = LocalProject("http://127.0.0.1:1", OUTPUTS, "http://127.0.0.1:1", 1, "http://127.0.0.1:1")
    nothing_runs.write_text(json.dumps({name: getattr(stopped, name) for name in stopped.__struct_fields__}))

    assert "`make up` starts it again" in refusal(["score", "events/score.json"], capsys)


@pytest.mark.parametrize("warm", ["0", "-1", "x"])
def test_at_least_one_warm_invocation(warm: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke_function.main(["score", "events/score.json", f"--warm={warm}"]) == 2
    assert "Invalid value for '--warm'" in capsys.readouterr().err


def test_names_become_values_and_bodies_text() -> None:
    filling = events.Filling(Deployment(OUTPUTS, None), 7)

    filled = filling.fill(
        {"a": ["in ${ImagesBucket}/"], "body": {"project": "${LabelStudioProject}"}, "n": 1}
    )

    assert filled == {"a": ["in pictures/"], "body": '{"project": 7}', "n": 1}
    with pytest.raises(BadRequest, match=r"\$\{Bucket\}: known names are ImagesBucket, LabelStudioProject"):
        filling.fill({"body": {"bucket": "${Bucket}"}})


def test_cold_and_warm_are_told_apart() -> None:
    answers = [Answer({}, milliseconds) for milliseconds in (900.4, 12.0, 10.0, 11.0)]

    assert invoke_function.timings(answers, 250.0) == (
        "cold 900 ms, 250 ms of it before the handler · warm 11 ms (median of 3)"
    )
