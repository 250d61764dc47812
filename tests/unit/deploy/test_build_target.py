"""The functions are built for the architecture and the Python that the stack is deployed with."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MAKEFILE = ROOT / "infra/build/Makefile"
TARGET = runpy.run_path(str(ROOT / "infra/build/target.py"))


def checkout(folder: Path, *configurations: str) -> Path:
    (folder / "template.yaml").write_text((ROOT / "template.yaml").read_text())
    for number, text in enumerate(configurations):
        (folder / f"samconfig-{number}.toml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("configurations", "name", "value"),
    [
        ([], "Architecture", "x86_64"),
        ([], "PythonRuntime", "python3.12"),
        (['parameter_overrides = ["Architecture=arm64"]\n'], "Architecture", "arm64"),
        (["parameter_overrides = [\n  'Architecture=arm64',\n]\n"], "Architecture", "arm64"),
        # as `sam deploy --guided` writes it
        (['parameter_overrides = "Classes=\\"a,b\\" Architecture=\\"arm64\\""\n'], "Architecture", "arm64"),
        (['# "Architecture=arm64"\n'], "Architecture", "x86_64"),
        (['"PythonRuntime=python3.13"', '"PythonRuntime=python3.13"'], "PythonRuntime", "python3.13"),
    ],
)
def test_the_build_reads_what_sam_deploys(
    tmp_path: Path, configurations: list[str], name: str, value: str
) -> None:
    assert TARGET["target"](name, checkout(tmp_path, *configurations)) == value


def test_two_targets_are_a_question_and_not_a_guess(tmp_path: Path) -> None:
    root = checkout(tmp_path, '"Architecture=arm64"', '"Architecture=x86_64"')
    with pytest.raises(ValueError, match="ARCHITECTURE=x86_64"):
        TARGET["target"]("Architecture", root)


def dry_run(*arguments: str, path: str | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("UV", "ARCHITECTURE")}
    done = subprocess.run(
        ["make", "-n", "-f", MAKEFILE, "build-WebhookFunction", "ARTIFACTS_DIR=/none", *arguments],
        env=environment | ({"PATH": path} if path else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_sam_build_installs_wheels_of_the_target() -> None:
    assert "--python-version 3.12 --python-platform x86_64-manylinux_2_28" in dry_run()
    chosen = dry_run("ARCHITECTURE=arm64", "PYTHON_VERSION=3.13")
    assert "--python-version 3.13 --python-platform aarch64-manylinux_2_28" in chosen


def test_sam_build_on_a_fresh_clone_brings_its_uv(tmp_path: Path) -> None:
    for name in ("make", "find", "python3"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))

    commands = dry_run(f"ROOT={tmp_path}", "PYTHON_VERSION=3.12", "ARCHITECTURE=arm64", path=str(tmp_path))

    own = f"{tmp_path}/.octospoon/envs/uv"
    assert "-m venv" in commands
    assert "infra/requirements/uv.txt" in commands
    assert f"{own}/bin/uv pip install" in commands


def test_changed_rules_of_the_build_install_the_packages_again(tmp_path: Path) -> None:
    """They say which parts of packages stay, such as the services that botocore describes."""
    stamp = tmp_path / ".webhook-3.11"
    stamp.touch()
    command = ["make", "-n", "-f", str(MAKEFILE), str(stamp), f"BUILD_DIR={tmp_path}", "LOCAL_VERSION=3.11"]
    unchanged, changed = (
        subprocess.run([*command, *more], capture_output=True, text=True, check=True).stdout
        for more in ((), ("-W", str(MAKEFILE)))
    )
    assert "dependencies" not in unchanged
    assert "packaging webhook: dependencies" in changed
