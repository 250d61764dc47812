"""The command line as a whole: it starts quickly, and everything has a help text."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command, get_group

from octospoon.cli.commands import onnx_options, overview
from octospoon.cli.main import app, main
from octospoon.domain import model_spec

HEAVY = (
    "boto3",
    "botocore",
    "numpy",
    "PIL",
    "onnx",
    "onnxruntime",
    "matplotlib",
    "httpx",
    "scipy",
    "sklearn",
)
REPORTING = {
    *(
        "drop",
        "backfill",
        "predict",
        "status",
        "report",
        "rescore",
        "rank",
        "reconcile",
        "watch",
        "logs",
        "trace",
        "doctor",
    ),
    "invite",
    "backup",
    "aws status",
    *("dlq list", "dlq redrive", "simulate", "init-model", "model rollback", "model optimize"),
    *("backbone list", "backbone pull", "backbone use"),
    *("labels import", "labels audit", "labels export", "predictions export"),
    *(f"classes {name}" for name in ("list", "add", "rename", "merge", "retire", "undo")),
}


def commands(node: Any = None, name: str = "") -> dict[str, Any]:
    node = node or get_command(app)
    nested = getattr(node, "commands", None)
    if nested is None:
        return {name.strip(): node}
    return {
        key: command
        for child, child_node in nested.items()
        for key, command in commands(child_node, f"{name} {child}").items()
    }


COMMANDS = commands()


def loaded_after(*arguments: str) -> set[str]:
    """Return the modules that a new process has loaded after a command."""
    code = (
        "import json, os, sys; from octospoon.cli.main import main; out = os.dup(1); os.dup2(2, 1)\n"
        f"status = main({list(arguments)!r}); os.write(out, json.dumps([status, list(sys.modules)]).encode())"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    status, modules = json.loads(process.stdout)
    assert status == 0
    return set(modules)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["drop", "--help"], ["model", "import", "--help"]], ids=" ".join
)
def test_help_loads_no_heavy_module(arguments: list[str]) -> None:
    assert not loaded_after(*arguments) & set(HEAVY)


def test_the_version_needs_neither_rich_nor_pydantic() -> None:
    assert not loaded_after("--version") & {*HEAVY, "rich", "pydantic", "msgspec"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_the_help_of_octospoon_imports_no_command(arguments: list[str]) -> None:
    package = "octospoon.cli.commands"
    loaded = {name for name in loaded_after(*arguments) if name.startswith(f"{package}.")}
    assert loaded == {f"{package}.definition", f"{package}.overview"}


def test_the_overview_has_every_command_with_its_first_sentence() -> None:
    folder = Path(overview.__file__).parent
    modules = [f"octospoon.cli.commands.{module.name}" for module in pkgutil.iter_modules([str(folder)])]
    declared = {
        name: command.help.split("\n\n")[0]
        for module in map(importlib.import_module, modules)
        if (own := getattr(module, "app", None))
        for name, command in get_group(own).commands.items()
    }
    assert {name: entry.line for name, entry in overview.ENTRIES.items()} == declared


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained_with_an_example(name: str) -> None:
    command = COMMANDS[name]
    first, *others = command.help.split("\n\n")
    assert first.endswith(".")
    assert first[0].isupper()
    assert any(paragraph.startswith("Use it ") for paragraph in others), "says when to use it"
    assert "[" not in command.help, "Rich would take it for markup"
    examples = command.epilog.splitlines()[1:]
    assert examples
    assert all(line.startswith(f"  octospoon {name}") for line in examples)
    assert all(parameter.help for parameter in command.params)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_can_be_typed(name: str) -> None:
    for line in COMMANDS[name].epilog.splitlines()[1:]:
        arguments = line.split()[1:]
        root = get_command(app)
        with root.make_context("octospoon", arguments, resilient_parsing=False) as context:
            command, rest = root, [*context._protected_args, *context.args]
            while nested := getattr(command, "commands", None):
                command, rest = nested[rest[0]], rest[1:]
                if getattr(command, "commands", None) is None:
                    command.make_context(name, rest, parent=context)


def test_every_reporting_command_prints_json() -> None:
    with_json = {
        name
        for name, command in COMMANDS.items()
        if any("--json" in option.opts for option in command.params)
    }
    assert with_json == REPORTING


def test_help_goes_by_both_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drop", "-h"]) == main(["drop", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown[: len(shown) // 2] == shown[len(shown) // 2 :]
    assert "octospoon drop photos/" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], ""),
        (["statsu"], "No such command 'statsu'. Did you mean 'status'?"),
        (["logs", "scroe"], "Did you mean 'score' or 'rescore'?"),
        (["drop"], "Missing argument 'DIR|FILE'."),
        (["drop", "x", "--preifx", "y"], "--prefix"),
        (["picture", "x", "--height", "high"], "Invalid value for '--height'"),
        (["model"], ""),
    ],
)
def test_a_command_line_that_makes_no_sense_is_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == (1 if message else 0)


def test_an_interrupted_command_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: str | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", interrupted)
    assert main(["status"]) == 130
    assert capsys.readouterr().err == "octospoon: interrupted\n"


def test_the_choices_are_those_of_the_model_specification() -> None:
    assert get_args(onnx_options.ResizeRule) == model_spec.RESIZE_RULES
    assert get_args(onnx_options.ChannelOrder) == model_spec.CHANNELS
    assert get_args(onnx_options.AxisOrder) == model_spec.LAYOUTS
    assert get_args(onnx_options.PoolRule) == model_spec.POOLS


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(shell: str) -> None:
    environment = {
        "_OCTOSPOON_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "octospoon sta",
        "COMP_CWORD": "1",
    }
    code = "from octospoon.cli.main import main; main()"
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=environment
        | {"_TYPER_COMPLETE_ARGS": "octospoon sta", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "status" in process.stdout
    assert "stack" not in process.stderr
