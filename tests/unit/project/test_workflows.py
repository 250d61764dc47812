"""The workflows on GitHub are valid and pinned, have few rights, and run only what exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
JOBS = [
    pytest.param(job, id=f"{path.stem}-{name}")
    for path in WORKFLOWS
    for name, job in yaml.safe_load(path.read_text("utf-8"))["jobs"].items()
]


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name(name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def steps() -> Iterator[dict[str, Any]]:
    for job in JOBS:
        yield from job.values[0].get("steps", [])


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def oldest_python() -> str:
    requires = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert requires is not None
    return requires[1]


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_each_workflow_follows_githubs_schema(schema):
    result = tool("check-jsonschema", "--builtin-schema", schema, *WORKFLOWS)

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_dependency_updates_follow_dependabots_schema():
    result = tool("check-jsonschema", "--builtin-schema", "vendor.dependabot", GITHUB / "dependabot.yml")

    assert result.returncode == 0, result.stdout + result.stderr


def test_zizmor_sees_no_weakness_in_the_workflows():
    result = tool("zizmor", "--offline", "--no-progress", GITHUB)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_action_is_pinned_by_hash_and_names_its_version(path):
    text = path.read_text("utf-8")
    uses = re.findall(r"^\s*(?:- )?uses: *(.+)$", text, re.MULTILINE)
    others = [action for action in uses if not action.startswith("./.github/")]

    assert len(uses) == text.count("uses:")
    for action in others:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_each_action_has_one_hash_and_each_hash_one_version():
    text = "".join(path.read_text("utf-8") for path in WORKFLOWS)
    pins = set(re.findall(r"uses: ([\w.-]+/[\w.-]+)[\w./-]*@([0-9a-f]{40} # v[\d.]+)", text))

    assert len(pins) == len({action for action, _ in pins})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_rights_but_those_of_its_jobs(path):
    workflow = yaml.safe_load(path.read_text("utf-8"))

    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert job["permissions"]


def test_only_releases_and_updates_may_write_to_the_repository():
    writers = {
        (path.stem, name, right)
        for path in WORKFLOWS
        for name, job in yaml.safe_load(path.read_text("utf-8"))["jobs"].items()
        for right, level in job["permissions"].items()
        if level == "write"
    }

    assert writers == {
        ("code-scanning", "codeql", "security-events"),
        ("dependencies", "propose", "actions"),
        ("dependencies", "propose", "contents"),
        ("dependencies", "propose", "pull-requests"),
        ("release", "publish", "attestations"),
        ("release", "publish", "id-token"),
        ("release", "attach", "contents"),
    }


@pytest.mark.parametrize("job", JOBS)
def test_no_job_that_writes_runs_make_or_python(job):
    if "write" in job["permissions"].values():
        for step in job["steps"]:
            assert not re.search(r"(?<!`)\b(make|python|pip|uv)\b", step.get("run", ""))


def test_no_checkout_leaves_its_token_behind():
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]

    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_make_target_that_a_workflow_runs_exists():
    run = "\n".join(step.get("run", "") for step in steps())
    lanes = yaml.safe_load((GITHUB / "workflows/long-lanes.yml").read_text("utf-8"))["jobs"]["lane"]
    named = set(re.findall(r"\bmake ([a-z-]+)", run))
    chosen = set(lanes["strategy"]["matrix"]["target"])

    assert run.count('make "$TARGET"') == 1
    assert {"check", "unit", "test", "docs", "dist", "requirements"} <= named
    assert named | chosen <= make_targets()


def test_every_module_that_a_workflow_runs_exists():
    run = "\n".join(step.get("run", "") for step in steps())
    modules = re.findall(r"python -m ([\w.]+)", run)

    assert modules
    for module in modules:
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file()


def test_every_workflow_that_a_job_calls_exists():
    called = [job.values[0]["uses"] for job in JOBS if "uses" in job.values[0]]  # type: ignore[operator]

    assert called
    assert all((ROOT / path).is_file() for path in called)


def test_the_unit_tests_run_on_every_supported_python():
    checks = yaml.safe_load((GITHUB / "workflows/checks.yml").read_text("utf-8"))
    versions = checks["jobs"]["unit"]["strategy"]["matrix"]["python"]
    template = (ROOT / "template.yaml").read_text("utf-8")

    assert versions[0] == oldest_python()
    assert {f"python{version}" for version in versions} >= set(re.findall(r"\bpython3\.\d+\b", template))


def test_everything_else_runs_on_the_oldest_supported_python():
    versions = {
        str(step["with"]["python-version"]) for step in steps() if "setup-python" in step.get("uses", "")
    }

    assert versions == {oldest_python(), "${{ matrix.python }}"}
