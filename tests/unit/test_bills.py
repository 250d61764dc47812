"""The bills of docs/explanation/costs.md: from the templates and one list of prices, and nothing left out."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from bench import bills

from octospoon.cli.deploy import rules
from octospoon.cli.operations import prices

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/costs.md").read_text("utf-8")
ONLY_BY_USE = {
    "AWS::Batch::ComputeEnvironment",
    "AWS::Batch::JobDefinition",
    "AWS::Batch::JobQueue",
    "AWS::DynamoDB::Table",
    "AWS::EC2::LaunchTemplate",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::ECS::Cluster",
    "AWS::ElasticLoadBalancingV2::Listener",
    "AWS::ElasticLoadBalancingV2::ListenerRule",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::IAM::InstanceProfile",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::IAM::User",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBSubnetGroup",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::Serverless::Api",
}
"""Resources that cost nothing while they are idle and empty."""
BILLED = {
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::ECS::Service",
    "AWS::ECS::TaskDefinition",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::RDS::DBInstance",
    "AWS::SecretsManager::Secret",
    "AWS::Serverless::Function",
}


@pytest.mark.parametrize("table", bills.tables(), ids=lambda table: table.split("|")[1].strip())
def test_page_has_the_bills_of_templates_and_prices(table: str) -> None:
    assert table in PAGE, "python -m bench.bills prints the tables"


@pytest.mark.parametrize("template", [bills.OCTOSPOON, bills.SERVICES], ids=["octospoon", "services"])
def test_no_resource_is_left_out(template: dict[str, Any]) -> None:
    kinds = {resource["Type"] for resource in template["Resources"].values()}
    made = {kind for kind in kinds if bills.resources(template, kind)}
    assert made <= ONLY_BY_USE | BILLED


def test_stack_that_trains_on_a_gpu_costs_nothing_more_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    before = bills.total(bills.idle())
    batch = copy.deepcopy(bills.OCTOSPOON)
    batch["Parameters"]["Launcher"]["Default"] = "batch"
    monkeypatch.setattr(bills, "OCTOSPOON", batch)
    assert bills.resources(batch, "AWS::Batch::ComputeEnvironment")
    test_no_resource_is_left_out(batch)
    assert bills.total(bills.idle()) <= before, "nor has it the alarm of a queue that nobody reads"


def test_guide_names_the_prices_of_machines_with_a_gpu() -> None:
    page = (ROOT / "docs/how-to/train-on-a-gpu.md").read_text("utf-8")
    types = ("g4dn.xlarge", "g6.xlarge", "g5.xlarge")
    hours = ", ".join(f"{prices.GPU_MACHINE_HOUR[machine]:.2f}" for machine in types)
    assert f"| {', '.join(f'`{machine}`' for machine in types)} | {hours} an hour on demand" in page
    machine, disk, address = bills.gpu_hour("g4dn.xlarge")
    assert f"| the disk of a machine, {disk.amount} | {disk.dollars:.3f} an hour |" in page
    assert f"| a public address | {address.dollars} an hour |" in page
    assert machine.dollars == prices.GPU_MACHINE_HOUR["g4dn.xlarge"]
    assert f"| the image in ECR | {prices.ECR_GB_MONTH:.2f} a GB and month |" in page


@pytest.mark.parametrize(
    ("name", "kind", "dollars"),
    [("alarms", "AWS::CloudWatch::Alarm", 0.10), ("secrets", "AWS::SecretsManager::Secret", 0.40)],
)
def test_another_resource_is_on_the_next_bill(
    name: str, kind: str, dollars: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bills.total(bills.idle())
    more = copy.deepcopy(bills.OCTOSPOON)
    more["Resources"]["Another"] = {"Type": kind}
    more["Resources"]["Elsewhere"] = {"Type": kind, "Condition": "HasKmsKey"}
    monkeypatch.setattr(bills, "OCTOSPOON", more)
    assert bills.total(bills.idle()) - before == pytest.approx(dollars)
    assert bills.table(bills.idle(), "an idle stack, a month") not in PAGE, name


@pytest.mark.parametrize(
    ("condition", "expected"),
    [("LauncherIsQueue", True), ("LauncherIsEcs", False), ("HasKmsKey", False), ("TrainingHasKmsKey", False)],
)
def test_conditions_hold_as_defaults_say(condition: str, expected: bool) -> None:
    assert rules.holds(bills.OCTOSPOON, condition, rules.with_defaults(bills.OCTOSPOON, {})) is expected


def test_schedules_and_metrics_are_counted() -> None:
    assert bills.runs("rate(15 minutes)") == 2920
    assert bills.runs("rate(1 hour)") == 730
    with pytest.raises(ValueError, match="no rate"):
        bills.runs("cron(0 8 * * ? *)")
    assert bills.published("rank") == 7
    assert bills.published("watch") == 20


def named(page: str, pattern: str) -> float:
    match = re.search(pattern, (ROOT / page).read_text("utf-8"))
    assert match, f"{page} names no such price"
    return float(match[1])


@pytest.mark.parametrize(
    ("page", "pattern", "dollars"),
    [
        (
            "docs/how-to/deploy-to-aws.md",
            r"An idle stack costs about (\d+) USD a month",
            bills.total(bills.idle()),
        ),
        (
            "docs/how-to/run-label-studio-and-mlflow.md",
            r"about (\d+) USD a month",
            bills.total(bills.services()),
        ),
        (
            "docs/how-to/use-a-private-network.md",
            r"costs about (\d+) USD a month for each subnet",
            bills.endpoints()["one"],
        ),
        ("docs/how-to/use-your-kms-key.md", r"A key costs (\d+) USD a month", prices.KEY_MONTH),
    ],
)
def test_guides_name_the_same_dollars(page: str, pattern: str, dollars: float) -> None:
    assert named(page, pattern) == round(dollars)


def test_guides_name_the_price_of_a_build() -> None:
    price = named("docs/how-to/training-image.md", r"at (\d\.\d+) USD a minute")
    assert price == prices.CODEBUILD_MINUTE
    assert named("docs/explanation/costs.md", r"(\d\.\d+) USD for a minute of CodeBuild") == price


def test_guides_name_the_price_of_an_event() -> None:
    assert named("docs/how-to/connect-events.md", r"An event costs \$(\d\.\d+\d)\.") == prices.EVENT
    page = (ROOT / "docs/how-to/use-a-private-network.md").read_text("utf-8")
    assert "Seven of them in two subnets cost more than one NAT gateway" in page
    assert 7 * 2 * bills.endpoints()["one"] > bills.endpoints()["gateway"]


def test_every_price_says_where_it_comes_from() -> None:
    listed = prices.every_price()
    assert len(listed) > 30
    assert all(price > 0 and price.unit and price.page for price in listed)
    assert len({price.unit for price in listed}) == len(listed)


def test_no_other_file_has_prices_of_its_own() -> None:
    numbers = {f"{float(price):.10f}".rstrip("0") for price in prices.every_price() if price < 0.001}
    for folder in ("src", "bench", "tools"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name != "prices.py":
                assert not [number for number in numbers if number in path.read_text("utf-8")], path
