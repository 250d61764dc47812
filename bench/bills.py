"""Compute what a stack costs while it is idle, and what a million images cost, for docs/explanation/costs.md.

The templates say what there is: alarms, secrets, schedules, containers. The prices are those of
octospoon/cli/operations/prices.py. A test compares the document with the output of

    python -m bench.bills
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.scaling import LOG_BYTES, PICTURE_BYTES, ROW_BYTES, Day, peak

from octospoon.cli.deploy import rules, sam_template
from octospoon.cli.operations import prices
from octospoon.cli.operations.prices import HOURS

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
OCTOSPOON = sam_template.read(ROOT / "template.yaml")
SERVICES = sam_template.read(ROOT / "infra/services/services.yaml")
ENDPOINTS = sam_template.read(ROOT / "infra/network/endpoints.yaml")
METRICS = ROOT / "docs/reference/metrics.md"
"""The list of metrics, which a test compares with the code."""
MILLION = 1_000_000

SECONDS, LOGGED, SECRETS_READ = 3.0, 2_000, 2
"""Assumed for a run by the clock: seconds with its cold start, bytes of logs, secrets that are read."""
POLLERS, POLL_SECONDS = 5, 20
"""Lambda begins with five pollers for a queue, each of which asks it anew every 20 seconds."""
OUTSIDE_SECRETS = 2
"""Secrets that are made before the stack: the token of Label Studio, and the password of MLflow."""
ZONES = 2
"""Subnets that the load balancer, or each endpoint, is in. Each is an address."""
CONTAINER_LOGS_GB = 0.2
"""Gigabytes of logs of Label Studio and MLflow in a month, most of them about health checks. Assumed."""
CLOCKED = ("rank", "reconcile", "watch")
"""The functions that run by the clock, and publish their metrics each time."""


@dataclass(frozen=True)
class Line:
    """A line of a bill: what it is for, how much of it there is, and the dollars."""

    name: str
    amount: str
    dollars: float


def resources(template: sam_template.Template, kind: str) -> dict[str, Mapping[str, Any]]:
    """Return the properties of the resources of a type that a stack with defaults has, by logical id."""
    values = rules.with_defaults(template, {})
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
        and ("Condition" not in resource or rules.holds(template, resource["Condition"], values))
    }


def runs(schedule: str) -> float:
    """Return how often ``rate(15 minutes)`` is in a month."""
    match = re.fullmatch(r"rate\((\d+) (\w+)\)", schedule)
    if not match:
        raise ValueError(f"{schedule} is no rate")
    number, unit = int(match[1]), match[2]
    return HOURS * 60 / number if unit.startswith("minute") else HOURS / number


def published(function: str) -> int:
    """Return the number of metrics that a function publishes."""
    section = METRICS.read_text("utf-8").split(f"### {function}\n")[1].split("\n#")[0]
    return sum(
        len(re.findall("`(\\w+)`", line.split("|")[1]))
        for line in section.splitlines()
        if line.startswith("| `")
    )


def alarms(template: sam_template.Template) -> Line:
    """Return the line of the alarms. An alarm on a calculation costs as much as its metrics do."""
    alarms = resources(template, "AWS::CloudWatch::Alarm").values()
    count = sum(
        max(1, sum("MetricStat" in metric for metric in alarm.get("Metrics", ()))) for alarm in alarms
    )
    return Line("alarms", f"{count}", count * prices.ALARM_MONTH)


def secrets(template: sam_template.Template, others: int = 0) -> Line:
    """Return the line of the secrets, including those that are created outside of the template."""
    count = len(resources(template, "AWS::SecretsManager::Secret"))
    amount = f"{count} of the stack, {others} of yours" if others else f"{count}"
    return Line("secrets", amount, (count + others) * prices.SECRET_MONTH)


def idle() -> list[Line]:
    """Return the monthly bill of octospoon's stack with default parameters, to which nobody uploads."""
    functions = resources(OCTOSPOON, "AWS::Serverless::Function")
    events = [
        (function, event) for function in functions.values() for event in function.get("Events", {}).values()
    ]
    queues = sum(event["Type"] == "SQS" for _, event in events)
    clocks = [
        (function, event["Properties"]["Schedule"]["Ref"])
        for function, event in events
        if event["Type"] == "Schedule"
    ]
    times = {name: runs(OCTOSPOON["Parameters"][name]["Default"]) for _, name in clocks}
    compute = sum(
        times[name] * prices.lambda_dollars(SECONDS, function["MemorySize"], 1, "x86_64")
        for function, name in clocks
    )
    total, metrics = sum(times.values()), sum(map(published, CLOCKED))
    polls = queues * POLLERS * HOURS * 3600 / POLL_SECONDS
    logs = total * LOGGED / 1e9
    boards = len(resources(OCTOSPOON, "AWS::CloudWatch::Dashboard"))
    return [
        Line("metrics of `rank`, `reconcile` and `watch`", f"{metrics}", metrics * prices.METRIC_MONTH),
        Line("dashboards", f"{boards}", boards * prices.DASHBOARD_MONTH),
        secrets(OCTOSPOON, OUTSIDE_SECRETS),
        alarms(OCTOSPOON),
        Line("Lambda asks the queues", f"{polls / 1e6:.1f} million times", polls * prices.SQS_REQUEST),
        Line("runs by the clock", f"{total:,.0f}", compute),
        Line(
            "their reading of secrets",
            f"{SECRETS_READ * total:,.0f} times",
            SECRETS_READ * total * prices.SECRET_CALL,
        ),
        Line("their logs", f"{1000 * logs:.0f} MB", logs * (prices.LOGS_GB + prices.LOGS_GB_MONTH)),
    ]


def services() -> list[Line]:
    """Return the monthly bill of the stack of Label Studio and MLflow, with default parameters."""
    parameters, sizes = SERVICES["Parameters"], SERVICES["Mappings"]["Sizes"]
    tasks = resources(SERVICES, "AWS::ECS::Service")
    cpu = gigabytes = 0.0
    for task in resources(SERVICES, "AWS::ECS::TaskDefinition").values():
        size = sizes[parameters[task["Cpu"]["Fn::FindInMap"][1]["Ref"]]["Default"]]
        cpu, gigabytes = cpu + int(size["Cpu"]) / 1024, gigabytes + int(size["Memory"]) / 1024
    (database,) = resources(SERVICES, "AWS::RDS::DBInstance").values()
    kind, storage = parameters["DatabaseClass"]["Default"], int(database["AllocatedStorage"])
    copies = 2 if parameters["DatabaseMultiAz"]["Default"] == "true" else 1
    balancers = len(resources(SERVICES, "AWS::ElasticLoadBalancingV2::LoadBalancer"))
    own = len(tasks) if parameters["TaskPublicIp"]["Default"] == "ENABLED" else 0
    addresses = balancers * ZONES + own
    fargate = HOURS * (cpu * prices.FARGATE_CPU_HOUR + gigabytes * prices.FARGATE_GB_HOUR)
    return [
        Line("containers", f"{len(tasks)}, with {cpu:g} vCPU and {gigabytes:g} GB in all", fargate),
        Line("load balancer", f"{balancers}", balancers * HOURS * prices.BALANCER_HOUR),
        Line("public addresses", f"{addresses}", addresses * HOURS * prices.ADDRESS_HOUR),
        Line("database", f"{copies} {kind}", copies * HOURS * prices.DATABASE_HOUR[kind]),
        Line("its storage", f"{storage} GB", copies * storage * prices.DATABASE_GB_MONTH),
        secrets(SERVICES),
        alarms(SERVICES),
        Line("logs", f"{CONTAINER_LOGS_GB} GB", CONTAINER_LOGS_GB * (prices.LOGS_GB + prices.LOGS_GB_MONTH)),
    ]


def gpu_hour(machine: str) -> list[Line]:
    """Return the bill of one hour of a machine that trains with Launcher=batch."""
    data = OCTOSPOON["Resources"]["TrainingLaunchTemplate"]["Properties"]["LaunchTemplateData"]
    disk = sum(int(each["Ebs"]["VolumeSize"]) for each in data["BlockDeviceMappings"])
    return [
        Line("machine", machine, prices.GPU_MACHINE_HOUR[machine]),
        Line("its disk", f"{disk} GB", disk * prices.DISK_GB_MONTH / HOURS),
        Line("public address", "1", prices.ADDRESS_HOUR),
    ]


def endpoints() -> dict[str, float]:
    """Return the monthly dollars of one endpoint in one subnet, of all in two, and of a NAT gateway."""
    kinds = [
        endpoint.get("Properties", {})
        for endpoint in ENDPOINTS["Resources"].values()
        if endpoint["Type"] == "AWS::EC2::VPCEndpoint"
    ]
    count = sum(endpoint["VpcEndpointType"] == "Interface" for endpoint in kinds)
    hourly = HOURS * prices.ENDPOINT_HOUR
    return {
        "one": hourly,
        "gateway": HOURS * (prices.NAT_HOUR + prices.ADDRESS_HOUR),
        "all": ZONES * count * hourly,
    }


def million() -> list[Line]:
    """Return the bill of a million images that arrive within a day."""
    day = Day(MILLION, peak(MILLION))
    seconds = day.peak.busy / len(day.peak.arrivals)
    scoring = {
        kind: MILLION * prices.lambda_dollars(seconds, prices.MB_A_CORE, day.batch, kind)
        for kind in prices.LAMBDA_GB_SECOND
    }
    queue = MILLION * prices.around_dollars(day.batch, write_units=0) - MILLION * prices.S3_GET
    logs = MILLION * LOG_BYTES / 1e9
    took = f"{1000 * seconds:.0f} ms each, {prices.MB_A_CORE:,} MB"
    return [
        Line("uploads", "a PUT each", MILLION * prices.S3_PUT),
        Line("reading them", "a GET each", MILLION * prices.S3_GET),
        Line("queue", "sent, received and deleted", queue),
        Line("scoring on x86_64 (the default)", took, scoring["x86_64"]),
        Line("rows of the pool", "5 write units each", MILLION * 5 * prices.DYNAMODB_WRITE_UNIT),
        Line("logs", f"{1000 * logs:.0f} MB", logs * (prices.LOGS_GB + prices.LOGS_GB_MONTH)),
    ]


def keeping() -> list[Line]:
    """Return the monthly cost of storing a million images."""
    rows, image_gigabytes = MILLION * ROW_BYTES / 1e9, MILLION * PICTURE_BYTES / 1e9
    return [
        Line("rows", f"{rows:.2f} GB", rows * prices.DYNAMODB_GB_MONTH),
        Line("their point-in-time recovery", f"{rows:.2f} GB", rows * prices.DYNAMODB_BACKUP_GB_MONTH),
        Line("images of 0.5 MB", f"{image_gigabytes:.0f} GB", image_gigabytes * prices.S3_GB_MONTH),
    ]


def total(lines: list[Line]) -> float:
    return sum(line.dollars for line in lines)


def table(lines: list[Line], head: str) -> str:
    """Return a bill in Markdown."""
    rows = [f"| {line.name} | {line.amount} | {line.dollars:,.2f} |" for line in lines]
    return "\n".join(
        [
            f"| {head} | how much | USD |",
            "|---|---|---:|",
            *rows,
            f"| **total** | | **{total(lines):,.2f}** |",
        ]
    )


def price_list() -> str:
    """Return the list of prices in Markdown."""
    rows = [
        f"| {price.unit} | {float(price):.10f}".rstrip("0").rstrip(".")
        + f" | {price.page} | {price.seen or '–'} |"
        for price in prices.every_price()
    ]
    return "\n".join(["| for each | USD | aws.amazon.com/ | seen at |", "|---|---:|---|---|", *rows])


def tables() -> list[str]:
    """Return all tables of the document, in its order."""
    return [
        table(idle(), "an idle stack, a month"),
        table(million(), "a million images"),
        table(keeping(), "keeping them, a month"),
        table(gpu_hour("g4dn.xlarge"), "training on a GPU, an hour"),
        table(services(), "Label Studio and MLflow, a month"),
        price_list(),
    ]


if __name__ == "__main__":
    print("\n\n".join(tables()))
