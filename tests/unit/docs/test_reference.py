"""The reference explains everything that a user can set or see."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest
import yaml
from tools import reference

from octospoon.cli.deploy import sam_template
from octospoon.domain.evaluation.estimators import Estimate, Evaluation
from octospoon.domain.labelling.tasks import TaskCounts
from octospoon.domain.task_types.detection.estimates import DetectionEvaluation
from octospoon.domain.task_types.multilabel.estimates import MultilabelEvaluation
from octospoon.runtime import settings
from octospoon.usecases.reconcile_report import ReconcileReport
from octospoon.usecases.scoring.outcomes import Outcome

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
TEMPLATE = sam_template.read(ROOT / "template.yaml")
PARTS = reference.parts()


@pytest.mark.parametrize("command", reference.commands(), ids=lambda command: command.name)
def test_every_command_and_argument_is_explained(command):
    section = PARTS["command-line"].split(f"### {command.name}\n", 1)[1].split("\n##")[0]

    assert command.help in section
    assert command.examples
    assert "\n".join(command.examples) in section
    for argument in command.arguments:
        assert argument.help, f"{argument.names} is not explained"
        assert f"`{argument.names}`".replace("|", "\\|") in section


def test_every_parameter_stands_in_the_reference_once():
    rows = re.findall(r"^\| <span id=\"(\w+)\"", PARTS["template-parameters"], re.MULTILINE)

    assert sorted(rows) == sorted(TEMPLATE["Parameters"])


@pytest.mark.parametrize("part", ["Parameters", "Outputs"])
def test_everything_that_the_template_declares_has_a_description(part):
    assert all(entry.get("Description") for entry in TEMPLATE[part].values())


def test_every_output_and_alarm_stands_in_the_reference():
    alarms = [
        name for name, resource in TEMPLATE["Resources"].items() if resource["Type"].endswith("::Alarm")
    ]

    assert re.findall(r"^\| `(\w+)`", PARTS["template-outputs"], re.MULTILINE) == list(TEMPLATE["Outputs"])
    assert re.findall(r"^\| `(\w+)`", PARTS["alarms"], re.MULTILINE) == alarms


def test_every_generated_part_has_a_page_and_vice_versa():
    expected = [
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r"^<!-- generated: ([a-z-]+) -->$", page.read_text("utf-8"), re.MULTILINE)
    ]

    assert sorted(expected) == sorted(PARTS)


def test_every_page_can_be_reached_from_the_navigation():
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"]

    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        return [
            page for inner in (entry.values() if isinstance(entry, dict) else entry) for page in pages(inner)
        ]

    assert sorted(pages(nav)) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def rows(page, heading=""):
    """Return the cells of the tables on a page, below a heading if one is given, without their heads."""
    text = (DOCS / page).read_text("utf-8")
    if heading:
        text = text.partition(f"\n{heading}\n")[2]
        text = re.split(rf"\n#{{1,{len(heading.split()[0])}}} ", text)[0]
    lines = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    heads = {i - 1 for i, line in enumerate(lines) if re.fullmatch(r"[-:|]+", line)}
    return [
        [cell.strip() for cell in line.split(" | ")]
        for i, line in enumerate(lines)
        if i not in heads and i - 1 not in heads
    ]


def code(text):
    return re.findall(r"`([^`]+)`", text)


def test_every_setting_is_described_with_its_default():
    described = {code(cells[0])[0]: cells for cells in rows("reference/settings.md")}
    declared = {}
    for kind in vars(settings).values():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            for setting in msgspec.structs.fields(kind):
                name = settings.PREFIX + setting.name.upper()
                declared.setdefault(name, []).append(setting.default)

    assert declared.keys() <= described.keys()
    for name, defaults in declared.items():
        # only the worker requires a queue; other launchers need none
        default = min(defaults, key=lambda value: value is msgspec.NODEFAULT)
        assert as_documented(default) == described[name][1]


def as_documented(default):
    if default is msgspec.NODEFAULT:
        return "required"
    if default == "":
        return "empty"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


EVALUATIONS = (Evaluation, MultilabelEvaluation, DetectionEvaluation)
PUBLISHED = {
    "score": set(Outcome),
    "rank": {count.name for count in fields(TaskCounts)},
    "reconcile": {count.name for count in fields(ReconcileReport)} - {"job", "refused"},
    "watch": {
        name
        for evaluation in EVALUATIONS
        for name in evaluation(
            **dict.fromkeys((measure.name for measure in fields(evaluation)), Estimate(0.5, 0.4, 0.6, 10))
        ).metrics()
    },
}
"""Metrics whose names come from a type."""


@pytest.mark.parametrize("function", sorted(path.name for path in (ROOT / "functions").iterdir()))
def test_every_metric_is_described_and_every_described_metric_is_published(function):
    source = (ROOT / "functions" / function / "app.py").read_text()
    published = set(re.findall(r"(?:count|gauge)\(metrics, \"(\w+)\"", source)) | PUBLISHED.get(  # type: ignore[operator]
        function, set()
    )
    described = {name for cells in rows("reference/metrics.md", f"### {function}") for name in code(cells[0])}

    assert published == described


def test_every_attribute_index_and_item_of_the_tables_is_described():
    used = set()
    for path in (ROOT / "src/octospoon/adapters/dynamodb").rglob("*.py"):
        for pattern in USES:
            used |= set(re.findall(pattern, path.read_text()))
    for table in (
        resource for resource in TEMPLATE["Resources"].values() if resource["Type"] == "AWS::DynamoDB::Table"
    ):
        properties = table["Properties"]
        used |= {attribute["AttributeName"] for attribute in properties["AttributeDefinitions"]}
        used |= {index["IndexName"] for index in properties.get("GlobalSecondaryIndexes", ())}
    described = set(code((DOCS / "reference/storage.md").read_text("utf-8")))

    assert len(used) > 80
    assert used - NO_ATTRIBUTES <= described


USES = (
    r"#([a-z_0-9]+)\b",  # in an expression
    r"\b(?:text|number|integer|flag|_number|_time)\(\s*\w+, \"([a-z_]+)\"",  # read from an item
    r"\"([a-z_]+)\" (?:not )?in item",
    r"\.(?:read|update)\(\s*\"([a-z]+)\"",  # an item of the control table
    r"\"([a-z_0-9]+)\":",  # written
)
NO_ATTRIBUTES = {"a", "b", "name", "step_", "busy_", "seen", "left"}
"""Examples in docstrings and comments, and the beginnings of names that end with a shard."""


@pytest.mark.parametrize("index", ["by_priority", "by_sampling_key", "by_arrival", "by_number", "by_problem"])
def test_an_index_projects_what_the_page_says(index):
    (declared,) = (
        declared_index
        for table in TEMPLATE["Resources"].values()
        for declared_index in table.get("Properties", {}).get("GlobalSecondaryIndexes", ())
        if declared_index["IndexName"] == index
    )
    (cells,) = (cells for cells in rows("reference/storage.md") if code(cells[0]) == [index])

    assert code(cells[1]) == [attribute["AttributeName"] for attribute in declared["KeySchema"]]
    assert code(cells[2]) == declared["Projection"].get("NonKeyAttributes", [])


def test_every_alarm_has_something_to_do():
    alarms = {
        name for name, resource in TEMPLATE["Resources"].items() if resource["Type"].endswith("::Alarm")
    }

    assert alarms == {name for cells in rows("how-to/alarms.md") for name in code(cells[0]) if name in alarms}


def test_every_decision_is_listed():
    records = DOCS / "adr"
    listed = re.findall(r"\]\(([^)]+)\)", (records / "index.md").read_text("utf-8"))

    assert sorted([*listed, "index.md"]) == sorted(path.name for path in records.iterdir())


def test_every_object_key_is_described():
    sources = [
        *(ROOT / "src/octospoon/adapters/s3").rglob("*.py"),
        ROOT / "src/octospoon/domain/model_spec.py",
    ]
    written = {
        re.sub(r"\{[^}]+\}", "<>", key)
        for path in sources
        for key in re.findall(r"\"((?:models|predict|[a-z]+s)/[^\"]*)\"", path.read_text())
    }
    described = {
        re.sub(r"<[^>]+>", "<>", key)
        for cells in rows("reference/storage.md", "## Objects")
        for key in code(cells[1])
    }

    assert len(written) >= 10
    assert not {key for key in written if not any(prefix.startswith(key) for prefix in described)}


def test_every_environment_and_its_pinned_packages_are_described():
    described = set(code((DOCS / "reference/environments.md").read_text("utf-8")))
    environments = re.findall(r"\$\(ENVS\)/([a-z-]+)", (ROOT / "Makefile").read_text())
    pinned = {path.name for path in (ROOT / "infra/requirements").glob("*.txt")} - NO_ENVIRONMENT

    assert {*environments, *pinned} <= described


NO_ENVIRONMENT = {"localstack.constraints.txt", "uv.txt"}
