"""Every built function under AWS's emulator, with its event file, on the stack's own tables and buckets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from octospoon.cli import deployment
from octospoon.cli.datasets.digits import CLASSES, png_bytes
from octospoon.cli.local import invoke_function, sam_local
from octospoon.cli.local.lambda_emulator import emulated
from octospoon.cli.stack.layout import Layout
from octospoon.domain.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[2]
FIRST = "-größe.png"
"""Before all other keys, and written otherwise in S3's events."""


@pytest.fixture(autouse=True)
def left_running(stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' stack, as `make up` would have left it."""
    file = tmp_path / "project.json"
    file.write_bytes(msgspec.json.encode(stack.project))
    monkeypatch.setattr(deployment, "PROJECT_FILE", file)
    stack.deployment.client("s3").put_object(
        Bucket=stack.project.outputs["ImagesBucket"], Key=FIRST, Body=png_bytes(0)
    )


def nothing_failed(answer: Any) -> bool:
    return bool(answer == {"batchItemFailures": []})


def predicted(answer: Any) -> bool:
    body = json.loads(answer["body"])
    if answer["statusCode"] == 409:  # where no job has trained a head yet
        return "has no classes yet" in body["error"]
    return answer["statusCode"] == 200 and body["label"] in CLASSES and len(body["probabilities"]) == 10


EXPECTED: dict[str, Callable[[Any], bool]] = {
    "score": nothing_failed,
    "collect": nothing_failed,
    "rescore": nothing_failed,
    "rank": lambda answer: answer["round_number"] >= 0 and answer["exported"] >= 0,
    "reconcile": lambda answer: answer["finished"] and answer["audited"],
    "watch": lambda answer: answer["drift"] != "" and answer["version"] >= -1,
    "webhook": lambda answer: (answer["statusCode"], answer["body"]) == (200, "queued"),
    "predict": predicted,
}


@pytest.mark.parametrize("function", EXPECTED)
def test_a_function_answers_its_event(function: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = invoke_function.main([function, f"events/{function}.json", "--warm=1"])

    shown = capsys.readouterr()
    assert status == 0, shown.err
    answer, _, timings = shown.out.strip().rpartition("\n")
    assert EXPECTED[function](json.loads(answer)), answer
    match = re.fullmatch(r"cold (\d+) ms, (\d+) ms of it before the handler · warm (\d+) ms .*", timings)
    assert match, timings
    cold, init, warm = (int(number) for number in match.groups())
    assert cold > init > 0
    if function != "reconcile":  # seconds of requests, of which there may be more the second time
        assert cold > warm


def test_what_was_invoked_is_in_the_tables(stack: LocalStack) -> None:
    invoke_function.main(["score", "events/score.json", "--warm=1"])
    assert stack.deployment.pool.rows([FIRST])[FIRST].key == FIRST

    invoke_function.main(["collect", "events/collect.json", "--warm=1"])
    (nobodys,) = stack.deployment.labels.of("events/nobody.png")
    assert (nobodys.number, nobodys.label) == (0, "0")
    assert stack.deployment.labels.label_state("events/nobody.png") is None, "no pool row is made of it"


def test_every_function_is_tried() -> None:
    assert {f"{name.capitalize()}Function" for name in EXPECTED} == set(invoke_function.functions())


FAILS = """
import os, time
def handler(event, context):
    if event["how"] == "raise": raise ValueError("on purpose")
    if event["how"] == "sleep": time.sleep(30)
    if event["how"] == "exit": os._exit(3)
    return os.environ["MINE"]
"""


def test_failed_function_is_reported_and_the_next_invocation_served(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(FAILS)
    configuration = {
        "FunctionName": "fails",
        "Handler": "app.handler",
        "Timeout": 1,
        "MemorySize": 128,
        "Environment": {"Variables": {"MINE": "given"}},
    }
    with emulated(Layout(ROOT), tmp_path, configuration, {}) as emulator:
        for how, message in (
            ("raise", "on purpose"),
            ("sleep", "timed out after 1.00"),
            ("exit", "exit status 3"),
        ):
            with pytest.raises(ServiceUnavailable, match=message):
                emulator.invoke({"how": how})
            assert emulator.invoke({"how": "answer"}).value == "given"


def test_sam_local_gets_the_stacks_own_names(stack: LocalStack, tmp_path: Path) -> None:
    sam_local.write(stack.project, tmp_path)

    resources = json.loads((tmp_path / "template.json").read_text())["Resources"]
    for name in invoke_function.functions():
        properties = resources[name]["Properties"]
        assert properties["CodeUri"] == str(ROOT / sam_local.BUILD_DIR / name)
        assert properties["Environment"]["Variables"]["AWS_ENDPOINT_URL"] == stack.project.endpoint_url
    score = resources["ScoreFunction"]["Properties"]["Environment"]["Variables"]
    assert score["OCTOSPOON_IMAGES_BUCKET"] == stack.project.outputs["ImagesBucket"]
    for name in EXPECTED:
        assert "${" not in (tmp_path / f"events/{name}.json").read_text()
