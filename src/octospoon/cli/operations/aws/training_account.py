"""What training asks of an account: services of the region, quotas, service-linked roles and a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code, translated
from octospoon.domain.errors import NotConfigured, OctospoonError
from octospoon.runtime.settings import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import boto3

_ALWAYS = (
    *("apigateway", "cloudformation", "cloudwatch", "dynamodb", "events", "lambda"),
    *("logs", "s3", "secretsmanager", "sqs"),
)
_OF_LAUNCHER = {
    "ecs": ("ec2", "ecr", "ecs"),
    "batch": ("batch", "ec2", "ecr", "ecs"),
}
_ROLES = {
    "ecs": {"AWSServiceRoleForECS": "ecs.amazonaws.com"},
    "batch": {
        "AWSServiceRoleForBatch": "batch.amazonaws.com",
        "AWSServiceRoleForECS": "ecs.amazonaws.com",
    },
}
"""The service-linked roles of each launcher, with the service that takes them."""
_SPOT_ROLE = {"AWSServiceRoleForEC2Spot": "spot.amazonaws.com"}
_FARGATE_VCPUS = {"FARGATE": "L-3032A538", "FARGATE_SPOT": "L-36FBB829"}
"""Quotas for the virtual processors of all Fargate tasks at a time, by the values of TrainingCapacity."""
_GPU_VCPUS = {
    "g": {"FARGATE": "L-DB2E81BA", "FARGATE_SPOT": "L-3819A6DF"},
    "p": {"FARGATE": "L-417A185B", "FARGATE_SPOT": "L-7212CCBC"},
}
"""Quotas for the virtual processors of machines with GPUs, by the first letter of their type.

A new account may have none.
"""
_CPU_UNITS = 1024
_MACHINES_OWN = 512
"""Memory in MiB that a machine of AWS Batch keeps for itself."""
_FARGATE_ZONES = {
    "ap-northeast-1": {"apne1-az1", "apne1-az2", "apne1-az4"},
    "ca-central-1": {"cac1-az1", "cac1-az2"},
    "cn-north-1": {"cnn1-az1", "cnn1-az2"},
    "us-west-1": {"usw1-az1", "usw1-az3"},
}
"""Regions in which only some availability zones have Fargate.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AWS_Fargate-Regions.html
"""


@dataclass(frozen=True, slots=True)
class Network:
    """Where training tasks run.

    Attributes:
        subnets: ids, separated by commas.
        groups: ids of security groups, separated by commas.
    """

    subnets: str
    groups: str


def lacking(session: boto3.Session, services: Sequence[str]) -> list[str]:
    """Return the services that a region does not offer, by botocore's list; sends nothing.

    A region that the list lacks altogether is newer than the list, and is not checked.
    """
    region = session.region_name
    partition = session.get_partition_for_region(region)
    if region not in session.get_available_regions("lambda", partition_name=partition):
        return []
    return [
        name
        for name in services
        if region not in session.get_available_regions(name, partition_name=partition)
    ]


def check_services(session: boto3.Session, launcher: str) -> None:
    """Check that a region offers the services that a stack needs; see `lacking`.

    Raises:
        NotConfigured: the region lacks a service.
    """
    region = session.region_name
    if missing := lacking(session, (*_ALWAYS, *_OF_LAUNCHER.get(launcher, ()))):
        raise NotConfigured(
            f"the region {region} has no {' and no '.join(missing)}, which the stack needs: choose another "
            "region, or update boto3 if AWS has added it since"
        )


def check_training(client: Callable[[str], Any], parameters: Mapping[str, str]) -> Iterator[str]:
    """Check quotas and the network of training tasks; yield what a person should know.

    Args:
        client: returns the client of a service.
        parameters: all of the template.

    Raises:
        NotConfigured: a quota is too low for one task, or the network cannot be used.
    """
    launcher, capacity = parameters["Launcher"], parameters["TrainingCapacity"]
    needs: dict[tuple[str, str], float] = {}
    if launcher == "ecs":
        needs["fargate", _FARGATE_VCPUS[capacity]] = int(parameters["TrainingCpu"]) / _CPU_UNITS
    if launcher == "batch":
        smallest = _smallest_machines(client("ec2"), parameters)
        kinds = _GPU_VCPUS.keys() & smallest
        needs = {("ec2", _GPU_VCPUS[kind][capacity]): smallest[kind] for kind in sorted(kinds)}
    if needs:
        yield from _check_quotas(client("service-quotas"), needs)
    if launcher in _OF_LAUNCHER:
        check_network(client("ec2"), parameters)
        yield from (
            f"this account lacks the role {role}: the deployment makes it"
            for role in missing_roles(client("iam"), parameters)
        )


def missing_roles(iam: Any, parameters: Mapping[str, str]) -> dict[str, str]:  # noqa: ANN401
    """Return the service-linked roles that training needs and the account lacks, with their services."""
    missing = {}
    for role, service in _roles(parameters).items():
        with translated(f"looking for the role {role}"):
            try:
                iam.get_role(RoleName=role)
            except ClientError as error:
                if code(error) not in ("NoSuchEntity", "NoSuchEntityException"):
                    raise
                missing[role] = service
    return missing


def _roles(parameters: Mapping[str, str]) -> dict[str, str]:
    launcher = parameters["Launcher"]
    on_spot = launcher == "batch" and parameters["TrainingCapacity"] == "FARGATE_SPOT"
    return _ROLES.get(launcher, {}) | (_SPOT_ROLE if on_spot else {})


def ensure_roles(
    iam: Any,  # noqa: ANN401 - boto3's type is not installed
    parameters: Mapping[str, str],
    progress: Callable[[str], None],
) -> None:
    """Make the service-linked roles that training needs, in an account that never used its services."""
    for role, service in missing_roles(iam, parameters).items():
        progress(f"making the role {role}")
        with translated(f"making the role {role}"):
            iam.create_service_linked_role(AWSServiceName=service)


def _check_quotas(client: Any, needs: Mapping[tuple[str, str], float]) -> Iterator[str]:  # noqa: ANN401
    """Refuse if every quota is too low; yield those that are too low or cannot be read."""
    low = list[str]()
    for (service, quota), needed in needs.items():
        try:
            with translated("reading a quota"):
                limit = client.get_service_quota(ServiceCode=service, QuotaCode=quota)["Quota"]
        except OctospoonError as error:  # a right or an answer is missing, and training may work nevertheless
            yield f"the quota {quota} of {service} is not known ({error})"
            continue
        if float(limit["Value"]) < needed:
            low.append(
                f'the quota "{limit["QuotaName"]}" is {limit["Value"]:g} here, but one training task needs '
                f"{needed:g}: ask Service Quotas for more, or choose another task or machine"
            )
    if low and len(low) == len(needs):
        raise NotConfigured(". ".join(low))
    yield from low


def _smallest_machines(ec2: Any, parameters: Mapping[str, str]) -> dict[str, int]:  # noqa: ANN401
    """Return the virtual processors of the smallest machine that fits, by the first letter of its type.

    Raises:
        NotConfigured: the region lacks a type, or no machine fits.
    """
    smallest = dict[str, int]()
    for name in parameters["TrainingInstanceTypes"].split(","):
        pattern = name if "." in name else f"{name}.*"
        with translated(f"looking for machines of the type {name}"):
            pages = ec2.get_paginator("describe_instance_types").paginate(
                Filters=[{"Name": "instance-type", "Values": [pattern]}]
            )
            machines = [machine for page in pages for machine in page["InstanceTypes"]]
        if not machines:
            raise NotConfigured(f"TrainingInstanceTypes: the region {ec2.meta.region_name} has no {name}")
        sizes = [machine["VCpuInfo"]["DefaultVCpus"] for machine in machines if _fits(machine, parameters)]
        if sizes:
            smallest[name[0]] = min([*sizes, smallest.get(name[0], min(sizes))])
    if not smallest:
        raise NotConfigured(
            f"no machine of TrainingInstanceTypes ({parameters['TrainingInstanceTypes']}) has an x86 "
            "processor, an NVIDIA GPU, TrainingCpu, and TrainingMemory with half a GiB more"
        )
    return smallest


def _fits(machine: Mapping[str, Any], parameters: Mapping[str, str]) -> bool:
    """Return whether a job fits on a machine, of which AWS's own programs take a part."""
    makers = {gpu.get("Manufacturer", "") for gpu in machine.get("GpuInfo", {}).get("Gpus", [])}
    return (
        "NVIDIA" in makers
        and "x86_64" in machine["ProcessorInfo"]["SupportedArchitectures"]
        and machine["VCpuInfo"]["DefaultVCpus"] * _CPU_UNITS >= int(parameters["TrainingCpu"])
        and machine["MemoryInfo"]["SizeInMiB"] >= int(parameters["TrainingMemory"]) + _MACHINES_OWN
    )


def default_network(ec2: Any) -> Network | None:  # noqa: ANN401 - boto3's type is not installed
    """Return the subnets of the region's default VPC, and its default security group if it lets all out.

    Returns:
        The network, in which `groups` may be empty; None if there is no default VPC with subnets.
    """
    with translated("looking for the default VPC"):
        vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if not vpcs:
            return None
        of_vpc = {"Name": "vpc-id", "Values": [vpcs[0]["VpcId"]]}
        subnets = ec2.describe_subnets(Filters=[of_vpc, {"Name": "default-for-az", "Values": ["true"]}])
        groups = ec2.describe_security_groups(
            Filters=[of_vpc, {"Name": "group-name", "Values": ["default"]}]
        )["SecurityGroups"]
    usable = [subnet["SubnetId"] for subnet in subnets["Subnets"] if _has_fargate(ec2, subnet)]
    if not usable:
        return None
    return Network(
        ",".join(sorted(usable)), ",".join(group["GroupId"] for group in groups if _lets_out(group))
    )


def check_network(ec2: Any, parameters: Mapping[str, str]) -> None:  # noqa: ANN401 - not installed
    """Check that subnets and security groups of training tasks exist and belong together.

    Raises:
        NotConfigured: they are in several VPCs, or Fargate is not in one of their zones.
        Refused: one does not exist.
    """
    subnets, groups = (
        list(listed(parameters[name])) for name in ("TrainingSubnets", "TrainingSecurityGroups")
    )
    with translated("looking for TrainingSubnets and TrainingSecurityGroups"):
        places = ec2.describe_subnets(SubnetIds=subnets)["Subnets"] if subnets else []
        members = ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"] if groups else []
    networks = sorted({place["VpcId"] for place in [*places, *members]})
    if len(networks) > 1:
        raise NotConfigured(
            f"TrainingSubnets and TrainingSecurityGroups are in several VPCs: {', '.join(networks)}"
        )
    without = [subnet["SubnetId"] for subnet in places if not _has_fargate(ec2, subnet)]
    if without and parameters["Launcher"] == "ecs":
        raise NotConfigured(f"Fargate is not in the availability zone of {', '.join(without)}: leave it out")


def _has_fargate(ec2: Any, subnet: Mapping[str, Any]) -> bool:  # noqa: ANN401 - not installed
    zones = _FARGATE_ZONES.get(ec2.meta.region_name)
    return zones is None or subnet["AvailabilityZoneId"] in zones


def _lets_out(group: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
    return any(
        rule["IpProtocol"] == "-1" and any(source.get("CidrIp") == "0.0.0.0/0" for source in rule["IpRanges"])
        for rule in group["IpPermissionsEgress"]
    )
