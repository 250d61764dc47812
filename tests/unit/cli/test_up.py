"""The options of `octospoon up`: checked before anything starts, and remembered."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from octospoon.cli import deployment
from octospoon.cli.deploy import parameters, sam_template
from octospoon.cli.deploy.class_names import class_names
from octospoon.cli.local import saved_settings
from octospoon.cli.local.preconditions import PLUGIN, check_checkout
from octospoon.cli.local.saved_settings import Changes, UpSettings, changes, merged
from octospoon.cli.main import main
from octospoon.cli.stack.layout import Layout
from octospoon.domain.errors import BadRequest, NotConfigured, OctospoonError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing"),
        (",", "missing"),
        ("cat,,dog", "missing"),
        ("cat,dog,", "missing"),
        ("cat", "at least two"),
        ("cat,cat", "cat is there more than once"),
        ("cat, cat ,dog", "more than once"),
        ("caf\u00e9,cafe\u0301", "more than once"),
        ("cat,do\ng", "cannot be shown"),
        ("cat,dog\x00", "cannot be shown"),
        ("cat,\u202eged", "cannot be shown"),
        ("cat," + "d" * 101, "101 characters"),
        (",".join(f"{number:0100}" for number in range(30)), "bytes together"),
    ],
)
def test_class_names_that_cannot_be_used_are_refused(text: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        class_names(text)


@pytest.mark.parametrize("text", ["cat,dog", " cat , sea lion ", '<a>,"b"', "Katze,Hündin,猫", "0,1,2"])
def test_class_names_that_can_be_used_are_taken(text: str) -> None:
    assert class_names(text) == tuple(name.strip() for name in text.split(","))


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ("BatchSize", "NAME=VALUE"),
        ("Btchsize=3", "did you mean BatchSize"),
        ("Xyz=3", "up --help"),
        ("BatchSize=0", "whole number from 1 to 1000"),
        ("BatchSize=2.5", "whole number"),
        ("BatchSize=many", "whole number"),
        ("MaxOpenTasks=inf", "1 or more"),
        ("TrainingThreshold=nan", "1 or more"),
        ("AuditShare=1.5", "a number from 0 to 1"),
        ("Strategy=magic", "one of margin_diverse"),
        ("RankSchedule=hourly", "must be rate"),
        ("ModelName=", "1 to"),
        ("ScoreSnapshot=" + "x" * 65, "0 to 64"),
        ("Classes=cat,dog", "--classes"),
        ("Launcher=ecs", "worker"),
        ("LabelStudioTokenSecretArn=x", "creates the token"),
    ],
)
def test_parameters_that_are_not_allowed_are_refused_before_anything_starts(
    pair: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(OctospoonError, match=reason):
        changes(None, [pair])
    assert main(["up", "--set", pair]) == 1


@pytest.mark.parametrize(
    "pair", ["BatchSize=20", "AuditShare=0.25", "ControlShare=0.5", "MinDistance=0", "Strategy=margin"]
)
def test_parameters_that_are_allowed_are_taken(pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert changes(None, [pair]) == Changes(None, dict([pair.split("=")]))


def test_every_default_of_the_template_is_allowed() -> None:
    template = sam_template.read(ROOT / "template.yaml")
    sam_template.check_values(
        template,
        {
            name: str(parameter["Default"])
            for name, parameter in template["Parameters"].items()
            if "Default" in parameter
        },
    )


def test_a_secret_that_is_refused_is_not_quoted() -> None:
    with pytest.raises(NotConfigured) as refused:
        sam_template.check_value(
            "Token", {"Type": "String", "NoEcho": True, "AllowedPattern": "a+"}, "s3cret"
        )
    assert "s3cret" not in str(refused.value)


def test_help_lists_the_parameters_with_their_descriptions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["up", "--help"]) == 0
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    declared = sam_template.read(ROOT / "template.yaml")["Parameters"]
    for name in declared.keys() - parameters._DECIDED.keys():
        description = " ".join(declared[name]["Description"].split())
        assert f" {name} {description} (default: " in shown


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "template.yaml").symlink_to(ROOT / "template.yaml")
    return Layout(tmp_path)


def test_settings_stay_until_others_are_given(layout: Layout) -> None:
    assert saved_settings.recall(layout) == UpSettings()
    first = merged(Changes(("cat", "dog"), {"BatchSize": "20"}), saved_settings.recall(layout))
    saved_settings.remember(layout, first)
    assert stat.S_IMODE(layout.settings.stat().st_mode) == 0o600
    again = merged(Changes(None, {}), saved_settings.recall(layout))
    assert again == first
    changed = merged(Changes(("cat", "dog", "owl"), {"AuditShare": "0.3"}), again)
    assert changed == UpSettings(("cat", "dog", "owl"), {"BatchSize": "20", "AuditShare": "0.3"})
    chosen = merged(Changes(None, {}, "efficientnet-lite0"), changed)
    assert chosen.backbone == "efficientnet-lite0"
    saved_settings.remember(layout, chosen)
    assert merged(Changes(None, {}), saved_settings.recall(layout)) == chosen
    assert merged(Changes(None, {}, "scattering"), chosen).backbone == "scattering"


def test_parameters_that_exclude_each_other_are_refused(layout: Layout) -> None:
    before = UpSettings(parameters={"TaskType": "multilabel"})
    with pytest.raises(NotConfigured, match=r"Trainer must be head or command$"):
        merged(changes(None, ["Trainer=finetune"]), before)

    assert merged(changes(None, ["Trainer=head"]), before).parameters["Trainer"] == "head"


def test_a_saved_parameter_completes_a_given_one(layout: Layout) -> None:
    with pytest.raises(NotConfigured, match=r"^Trainer=command needs TrainerCommand$"):
        merged(changes(None, ["Trainer=command"]), UpSettings())

    both = merged(changes(None, ["Trainer=command", "TrainerCommand=train"]), UpSettings())

    assert merged(changes(None, ["TrainerCommand=train --long"]), both).parameters["Trainer"] == "command"


def test_unknown_backbone_is_refused_before_anything_starts(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--backbone", "resnet"]) == 1
    assert "the names are scattering, efficientnet-lite0" in capsys.readouterr().err


def test_a_stack_without_remembered_settings_keeps_its_classes(layout: Layout) -> None:
    deployment.remember(deployment.LocalProject("", {"Classes": "cat,dog"}, "", 1, ""))
    assert saved_settings.recall(layout).classes == ("cat", "dog")


@pytest.mark.parametrize("content", ["", "{", '{"classes": 3}'])
def test_settings_that_cannot_be_read_are_named(layout: Layout, content: str) -> None:
    layout.home.mkdir()
    layout.settings.write_text(content)
    with pytest.raises(NotConfigured, match=r"settings\.json cannot be read"):
        saved_settings.recall(layout)


def test_checkout_without_setup_differs_from_no_checkout(layout: Layout) -> None:
    with pytest.raises(NotConfigured, match=r"not set up yet: run `make up`.*lambda"):
        check_checkout(layout)
    (layout.root / "template.yaml").unlink()
    with pytest.raises(NotConfigured, match="not a checkout"):
        check_checkout(layout)


def test_an_environment_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    (tmp_path / "template.yaml").write_text((ROOT / "template.yaml").read_text())
    plugin = tmp_path / PLUGIN
    plugin.parent.mkdir(parents=True)
    plugin.touch()
    for name in ("label-studio", "mlflow", "localstack", "lambda"):
        program = layout.program(name, "python")
        program.parent.mkdir(parents=True)
        program.touch()
        (program.parents[1] / (".plugged" if name == "localstack" else ".installed")).touch()
    with pytest.raises(NotConfigured, match="not built yet"):
        check_checkout(layout)

    later = plugin.stat().st_mtime + 60
    os.utime(plugin, (later, later))

    with pytest.raises(NotConfigured, match=r"^localstack: installed for an earlier version"):
        check_checkout(layout)


def test_a_path_with_a_blank_is_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "my pictures"
    folder.mkdir()
    with pytest.raises(NotConfigured, match="contains a space"):
        check_checkout(Layout(folder))
    for name in ("Makefile", "infra/build/Makefile"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for arguments in (["-C", folder, "up"], ["-C", folder], ["-f", folder / "infra/build/Makefile"]):
        process = subprocess.run(["make", *arguments], capture_output=True, text=True, check=False)  # type: ignore[list-item]
        assert process.returncode != 0
        assert "contains a space" in process.stderr


def test_make_passes_names_and_parameters_on() -> None:
    given = ["CLASSES=cat,sea lion", "SET=BatchSize=20 AuditShare=0.3"]
    command = '.venv/bin/octospoon up --classes "cat,sea lion" --set "BatchSize=20" --set "AuditShare=0.3"'
    assert dry_run("up", *given) == command
    with_backbone = command.replace(" --set", ' --backbone "scattering" --set', 1)
    assert dry_run("up", *given, "BACKBONE=scattering") == with_backbone


def dry_run(*arguments: str) -> str:
    """Return the last command that make would run."""
    process = subprocess.run(
        ["make", "-n", "-o", "prepared", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return process.stdout.split("\n")[-2]


def test_data_are_removed_only_when_somebody_says_so(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [layout.kept / "2026-01-01T00-00-00Z/label-studio/work", layout.data / "label-studio/work"]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text("mine")
    layout.ports.write_text("{}")
    saved_settings.remember(layout, UpSettings(("cat", "dog")))
    assert main(["down"]) == 0
    assert main(["down", "--forget"]) == 1
    assert main(["down", "--yes"]) == 1
    assert all(file.exists() for file in files)
    assert "add --yes" in capsys.readouterr().err
    assert main(["down", "--forget", "--yes"]) == 0
    assert "removed the data of 2 stacks" in capsys.readouterr().out
    assert not any(file.exists() for file in files)
    assert not layout.ports.exists()
    assert saved_settings.recall(layout) == UpSettings()


def test_make_clean_leaves_what_was_kept(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    stays = {
        *("kept/x/work", "data/mlflow/work", "settings.json", "ports.json", "engine/data/work"),
        *("state/credentials.json", "state/compose-credentials.json"),
    }
    for name in (
        *stays,
        "state/mlflow-template/x",
        "envs/mlflow/x",
        "build/x",
    ):
        (tmp_path / ".octospoon" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / ".octospoon" / name).touch()
    (tmp_path / ".octospoon/run/up/label-studio").mkdir(parents=True)

    def clean() -> subprocess.CompletedProcess[str]:
        return subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert clean().returncode != 0, "an older version's data are where they were"
    (tmp_path / ".octospoon/run/up/label-studio").rmdir()
    assert ".octospoon" in clean().stdout
    home = tmp_path / ".octospoon"
    remaining = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert remaining == stays
