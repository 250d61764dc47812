"""Check every template in every region that offers the services: ``make check-regions REGIONS="cn-north-1"``.

It runs in the environment of the SAM command line, which has cfn-lint and botocore. cfn-lint can check all
regions at once, but its time grows with the square of their number. One region takes six seconds.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from multiprocessing import Pool
from pathlib import Path

import botocore.session
import cfnlint
from cfnlint.api import ManualArgs, lint_file
from cfnlint.helpers import REGIONS

ROOT = Path(__file__).parents[1]
NEEDED = (
    *("apigateway", "cloudformation", "cloudwatch", "dynamodb", "events", "iam", "kms", "lambda", "logs"),
    *("s3", "secretsmanager", "sqs", "sts"),
)
"""The services that every stack uses, as botocore names them."""
OF_TEMPLATE = {"infra/training/image.yaml": "codebuild"}
"""Services without which one template cannot be used, but all others can."""


def main() -> int:
    """Check all templates; return the exit status, 1 if a template is wrong in a region."""
    offered, left_out = offering_regions()
    if chosen := sys.argv[1:]:
        if unknown := [region for region in chosen if region not in offered]:
            raise SystemExit(f"{', '.join(unknown)}: choose from {', '.join(sorted(offered))}")
        offered, left_out = {region: offered[region] for region in chosen}, {}
    files = templates()
    checked = [(usable(files, region, partition), region) for region, partition in offered.items()]
    with Pool(os.cpu_count()) as pool:
        by_region = dict(zip(offered, pool.starmap(findings, checked, chunksize=1), strict=True))
    by_partition = defaultdict(list)
    for region, partition in offered.items():
        by_partition[partition].append(region)
    for partition, regions in sorted(by_partition.items()):
        wrong = sum(bool(by_region[region]) for region in regions)
        print(f"{partition}: {len(regions)} regions, {wrong} with findings ({', '.join(sorted(regions))})")
    for region, why in left_out.items():
        print(f"left out: {region}, {why}")
    for name, service in OF_TEMPLATE.items():
        if without := sorted(region for used, region in checked if ROOT / name not in used):
            print(f"{name}: not in {', '.join(without)}, without {service}")
    lines = sorted({line for of_region in by_region.values() for line in of_region})
    for line in lines:
        print(f"{line} [{', '.join(sorted(region for region in by_region if line in by_region[region]))}]")
    print(f"{len(files)} templates, {len(offered)} regions, {len(lines)} findings")
    return 1 if lines else 0


def templates() -> list[Path]:
    """Return template.yaml and every other CloudFormation template of the checkout."""
    others = sorted((ROOT / "infra").rglob("*.yaml"))
    return [ROOT / "template.yaml", *(path for path in others if "\nResources:\n" in path.read_text())]


def offering_regions() -> tuple[dict[str, str], dict[str, str]]:
    """Return the partition of each region that offers the services, and why each other one is left out."""
    offered, left_out = {}, {}
    described = {
        path.stem for path in (Path(cfnlint.__file__).parent / "data/schemas/providers").glob("*.json")
    }
    aws = botocore.session.get_session()
    partitions = {
        region: partition
        for partition in aws.get_available_partitions()
        for region in aws.get_available_regions("sts", partition)
    }
    for region in REGIONS:
        partition = partitions.get(region)
        lacks = [name for name in NEEDED if partition and not offers(aws, name, partition, region)]
        if region not in described:
            left_out[region] = "cfn-lint has no description of its resources"
        elif partition is None:
            left_out[region] = "botocore does not know it"
        elif lacks:
            left_out[region] = f"it lacks {', '.join(lacks)}"
        else:
            offered[region] = partition
    return offered, left_out


def offers(aws: botocore.session.Session, service: str, partition: str, region: str) -> bool:
    """Return whether a region offers a service; one without regions is in its whole partition."""
    regions = aws.get_available_regions(service, partition)
    return not regions or region in regions


def usable(files: list[Path], region: str, partition: str) -> list[Path]:
    """Return the templates whose own services a region offers."""
    aws = botocore.session.get_session()
    lacking = {
        ROOT / name for name, service in OF_TEMPLATE.items() if not offers(aws, service, partition, region)
    }
    return [file for file in files if file not in lacking]


def findings(files: list[Path], region: str) -> list[str]:
    """Return what cfn-lint finds in the templates in one region: place, rule and message."""
    return [
        f"{file.relative_to(ROOT)}:{match.linenumber}: {match.rule.id} {match.message}"
        for file in files
        for match in lint_file(file, ManualArgs(regions=[region]))
    ]


if __name__ == "__main__":
    sys.exit(main())
