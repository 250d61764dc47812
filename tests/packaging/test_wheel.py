"""The wheel in its own environment: every command for a deployed stack works, and it stays small."""

from __future__ import annotations

import json
import resource
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest
from installed import Installed, build, install
from typer.main import get_command

from octospoon import __version__
from octospoon.cli.datasets import digits
from octospoon.cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octospoon.cli.local.assemble import LocalStack

MOST_BYTES = 150_000_000
MOST_CPU_SECONDS = 0.6
"""Twice what the command may take: the machine that runs the tests may be slow or busy."""
SLOW = {"boto3", "botocore", "httpx", "msgspec", "numpy"}
"""What takes long to import: help needs none of it."""

NEEDS = {
    ("demo",): "local",
    ("up",): "local",
    ("simulate", "--digits"): "simulate",
    ("init-model",): "models",
    ("model", "import", "model.onnx"): "models",
    ("model", "optimize"): "models",
    ("backbone", "list"): "models",
    ("backbone", "pull", "scattering"): "models",
    ("rescore", "--full"): "models",
    ("picture", "cat.jpg"): "pictures",
    ("ui",): "ui",
    ("aws", "init"): "local",
    ("aws", "deploy"): "local",
    ("aws", "image"): "local",
    ("aws", "status"): "local",
}
LOCAL_ONLY = {
    *("assemble", "compose", "compose_files", "events", "first_model", "invoke_function", "preconditions"),
    *("resume", "sam_local"),
}
OPTIONAL = {
    "octospoon.cli.datasets.boxed",
    "octospoon.cli.datasets.digits",
    "octospoon.cli.datasets.labelled",
    "octospoon.cli.datasets.mosaics",
    "octospoon.cli.datasets.several_classes",
    *(
        f"octospoon.cli.demo.{name}"
        for name in ("boxes", "loop", "mosaic_images", "random_control", "random_detectors", "tasks")
    ),
    "octospoon.cli.deploy.deployer",
    "octospoon.cli.deploy.sam_template",
    *(f"octospoon.cli.local.{name}" for name in LOCAL_ONLY),
    *(
        f"octospoon.cli.operations.{name}"
        for name in (
            *("backbone_plan", "backbones", "change_backbone", "first_model", "import_model", "optimize"),
            *(
                "picture",
                "plots",
                "simulate",
                "simulate_boxes",
                "simulation_boxes",
                "simulation_page",
                "simulation_report",
                "simulation_tables",
                "simulation_time",
            ),
        )
    ),
    *(
        f"octospoon.cli.operations.aws.{name}"
        for name in ("account", "deployment_steps", "image.build", "parameter_file", "setup", "stack_status")
    ),
}
"""The modules that need an extra."""

IMPORT_ALL = """
import importlib, pkgutil
import octospoon.cli
for module in pkgutil.walk_packages(octospoon.cli.__path__, "octospoon.cli."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError:
            print(module.name)
"""
HELP_OF_ALL = """
import json, sys
from octospoon.cli.main import main
for path in json.loads(sys.argv[1]):
    assert main([*path, "--help"]) == 0, path
"""

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return an environment made by `pip install octospoon`."""
    return install(tmp_path_factory.mktemp("plain"), wheel)


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


def python(installed: Installed, code: str, *arguments: str) -> str:
    process = subprocess.run(
        [str(installed.folder / "bin" / "python"), "-I", "-c", code, *arguments],
        cwd=installed.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_installed_files_stay_under_the_size_limit(plain: Installed) -> None:
    size = sum(path.stat().st_size for path in plain.packages.rglob("*") if path.is_file())
    assert size < MOST_BYTES, f"{size:,} bytes"


def test_wheel_holds_the_package_and_nothing_else(plain: Installed) -> None:
    (record,) = plain.packages.glob("octospoon-*.dist-info/RECORD")
    tops = {line.split(",")[0].split("/")[0] for line in record.read_text().splitlines()}
    assert tops == {"octospoon", record.parent.name, ".."}  # the command is beside the packages


def test_version_and_help_answer_quickly(plain: Installed) -> None:
    for option, expected in (("--version", __version__), ("--help", "reconcile")):
        spent = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            process = plain.octospoon(option)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert process.returncode == 0, process.stderr
            assert expected in process.stdout
            spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        assert min(spent) < MOST_CPU_SECONDS


def test_help_imports_nothing_slow(plain: Installed) -> None:
    code = "import json, sys, octospoon.cli.main; print(json.dumps(sorted(sys.modules)))"
    assert not SLOW & set(json.loads(python(plain, code)))


def test_every_command_has_help_without_extras(plain: Installed) -> None:
    paths = list(commands(get_command(app)))
    assert ("model", "rollback") in paths
    python(plain, HELP_OF_ALL, json.dumps(paths))


def test_only_modules_with_an_extra_cannot_be_imported(plain: Installed) -> None:
    assert set(python(plain, IMPORT_ALL).split()) == OPTIONAL


@pytest.mark.parametrize(("arguments", "extra"), NEEDS.items(), ids=map(" ".join, NEEDS))
def test_command_without_its_packages_names_the_extra(
    plain: Installed, arguments: tuple[str, ...], extra: str
) -> None:
    process = plain.octospoon(*arguments)
    assert process.returncode == 1
    assert process.stderr.strip().endswith(f'needs more packages: pip install "octospoon[{extra}]"')
    assert process.stderr.startswith("octospoon: `octospoon ")
    assert len(process.stderr.splitlines()) == 1


@pytest.mark.stack
def test_plain_installation_works_with_a_deployed_stack(plain: Installed, stack: LocalStack) -> None:
    # a bucket that no function scores: other tests count the images of the shared stack
    s3, bucket = stack.deployment.client("s3"), "octospoon-tests-wheel"
    s3.create_bucket(Bucket=bucket)
    project = msgspec.structs.replace(
        stack.project, outputs={**stack.project.outputs, "ImagesBucket": bucket}
    )
    file = plain.home / ".octospoon" / "run" / "project.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(msgspec.json.encode(project))
    image = plain.home / "pictures" / "seven.png"
    image.parent.mkdir()
    image.write_bytes(digits.png_bytes(7))

    dropped = plain.octospoon("drop", "pictures")
    assert dropped.returncode == 0, dropped.stderr
    assert "1 images uploaded" in dropped.stdout
    assert s3.get_object(Bucket=bucket, Key="seven.png")["Body"].read() == digits.png_bytes(7)

    status = json.loads(plain.octospoon("status", "--json").stdout)
    assert status

    doctor = plain.octospoon("doctor", "--json")
    results = {result["check"]: result for result in json.loads(doctor.stdout)}
    assert results["versions"]["ok"]
    assert results["Label Studio"]["ok"]
    assert results["champion"]["ok"], results["champion"]
    assert "not run here" in json.dumps(results["champion"])

    for command in (["report"], ["dlq", "list"], ["logs", "reconcile"], ["trace", "no-such-image"]):
        process = plain.octospoon(*command)
        assert process.returncode in (0, 1)
        assert "No module" not in process.stderr, command


def test_simulation_runs_with_its_extra(wheel: Path, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--wheel"):
        pytest.skip("installs 400 MB: `make wheel` does")
    installed = install(tmp_path, wheel, "octospoon-simulate")
    process = installed.octospoon("simulate", "--digits", "--seeds", "2")
    print(process.stdout)
    assert process.returncode == 0, process.stderr
    assert "margin_diverse" in process.stdout
    assert (installed.home / ".octospoon" / "simulation").is_dir()
