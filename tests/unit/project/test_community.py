"""The files that GitHub and editors look for exist and are valid, and their links work."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[3]
FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / ".github").rglob("*.md"), ROOT / "docs/reference/versioning.md"]
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name(name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives to a document's headings."""
    headings = re.findall(r"^#+ +(.+?) *$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "name",
    [
        "CHANGELOG.md",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "MAINTAINERS.md",
        "README.md",
        "SECURITY.md",
        ".devcontainer/devcontainer.json",
        ".editorconfig",
        ".github/ISSUE_TEMPLATE/bug.yml",
        ".github/ISSUE_TEMPLATE/feature.yml",
        ".github/dependabot.yml",
        ".github/pull_request_template.md",
        ".pre-commit-config.yaml",
    ],
)
def test_the_file_exists_and_says_something(name):
    assert len((ROOT / name).read_text("utf-8")) > 100


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_and_its_anchor_exist(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_guide_lists_the_packages_of_each_layer():
    layers = next(
        re.findall(r"octospoon\.(\w+)", " ".join(contract["layers"]))
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    guide = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z]+)` \|[^|\n]*\|([^|\n]*)\|$", guide, re.MULTILINE)
    listed = {layer: set(re.findall(r"`([a-z0-9_]+)`", packages)) for layer, packages in rows}
    source = ROOT / "src/octospoon"
    existing = {
        layer: {path.parent.name for path in (source / layer).glob("*/__init__.py")} for layer in layers
    }

    assert layers
    assert {layer: listed.get(layer) for layer in layers} == existing


def test_the_issue_forms_follow_githubs_schema():
    forms = tool("check-jsonschema", "--builtin-schema", "vendor.github-issue-forms", *FORMS)
    config = ROOT / ".github/ISSUE_TEMPLATE/config.yml"
    chooser = tool("check-jsonschema", "--builtin-schema", "vendor.github-issue-config", config)

    assert {path.stem for path in FORMS} == {"bug", "feature"}
    assert forms.returncode == 0, forms.stdout + forms.stderr
    assert chooser.returncode == 0, chooser.stdout + chooser.stderr


def test_the_pre_commit_configuration_is_valid():
    result = tool("pre-commit", "validate-config", ROOT / ".pre-commit-config.yaml")

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_each_hook_runs_an_installed_and_pinned_tool(hook):
    program = Path(hook["entry"].split()[0])
    package = {"lint-imports": "import-linter"}.get(program.name, program.name)
    pinned = (ROOT / "infra/requirements/dev.txt").read_text("utf-8")

    assert hook["language"] == "system"
    assert program.parent == Path(".venv/bin")
    assert Path(sys.executable).with_name(program.name).exists()
    assert re.search(rf"^{package}==", pinned, re.MULTILINE)


def test_the_hooks_find_an_error(tmp_path):
    if not shutil.which("git"):
        pytest.skip("there is no git here")
    shutil.copy(ROOT / ".pre-commit-config.yaml", tmp_path)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tmp_path / "module.py").write_text("import os\n")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    subprocess.run(["git", "add", "module.py", ".pre-commit-config.yaml"], check=True, cwd=tmp_path)

    pre_commit = Path(sys.executable).with_name("pre-commit")
    run = subprocess.run(
        [pre_commit, "run", "--all-files"], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert run.returncode == 1
    assert "F401" in run.stdout


def test_editors_and_formatter_break_lines_alike():
    settings = configparser.ConfigParser()
    settings.read_string("[top]\n" + (ROOT / ".editorconfig").read_text("utf-8"))

    assert settings.getint("*.py", "max_line_length") == PROJECT["tool"]["ruff"]["line-length"]
    assert settings.get("Makefile", "indent_style") == "tab"


def test_the_devcontainer_has_a_supported_python_and_runs_existing_targets():
    text = (ROOT / ".devcontainer/devcontainer.json").read_text("utf-8")
    container = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    version = container["image"].rpartition(":")[2].partition("-")[0]
    targets = re.findall(r"\bmake ([a-z-]+)", container["postCreateCommand"])
    makefile = (ROOT / "Makefile").read_text("utf-8")

    assert version in SpecifierSet(PROJECT["project"]["requires-python"])
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
