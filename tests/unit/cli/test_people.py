"""The instruction and the invitation for annotators, and the pages that the command opens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from octospoon.cli.main import main
from octospoon.cli.operations.instruction import read_instruction
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from pathlib import Path

DEPLOYMENT = SimpleNamespace(
    label_studio_url="https://labels.example.com",
    label_studio_project=7,
    mlflow_url="",
    outputs={"ImagesBucket": "images"},
    endpoint_url=None,
)


@pytest.fixture(autouse=True)
def deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: DEPLOYMENT)
    monkeypatch.setattr("octospoon.cli.operations.addresses.local_project", lambda: None)


def test_a_text_becomes_paragraphs_and_its_signs_stay(tmp_path: Path) -> None:
    file = tmp_path / "rules.txt"
    file.write_bytes("\ufeffOwls < cats & dogs\r\nLook twice.\r\n\r\nSkip blurred images.\n".encode())

    assert read_instruction(file) == (
        "<p>Owls &lt; cats &amp; dogs<br>Look twice.</p><p>Skip blurred images.</p>"
    )


def test_html_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "rules.HTML"
    file.write_text("<h1>Owls</h1>\n")

    assert read_instruction(file) == "<h1>Owls</h1>"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file"),
        (b" \n", "is empty"),
        (b"\xff\xfe\x00", "is not a text file in UTF-8"),
        (b"x" * 100_001, "has 100,001 characters, at most 100,000"),
    ],
)
def test_an_instruction_without_a_text_is_refused(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "rules.txt"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(BadRequest, match=problem):
        read_instruction(file)


def test_the_page_is_opened_and_its_address_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    assert main(["open", "label-studio"]) == 0

    assert opened == ["https://labels.example.com/projects/7/data"]
    assert capsys.readouterr().out == "https://labels.example.com/projects/7/data\n"


def test_a_page_that_does_not_exist_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("webbrowser.open", pytest.fail)

    assert main(["open", "mlflow"]) == 1

    assert "set the parameter MlflowTrackingUri" in capsys.readouterr().err
