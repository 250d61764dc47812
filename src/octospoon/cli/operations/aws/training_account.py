"""What training asks of an account: services of the region, quotas, service-linked roles and a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code, translated
from octospoon.domain.errors import NotConfigured, OctospoonError

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
        "AWSServiceRoleForEC2Spot": "spot.amazonaws.com",
        "AWSServiceRoleForECS": "ecs.amazonaws.com",
    },
}
"""The service-linked roles of each launcher, with the service that takes them."""
_FARGATE_VCPUS = {"FARGATE": "L-3032A538", "FARGATE_SPOT": "L-36FBB829"}
"""Quotas for the virtual processors of all Fargate tasks at a time, by the values of TrainingCapacity."""
_CPU_UNITS = 1024
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


def check_services(session: boto3.Session, launcher: str) -> None:
    """Check that a region offers the services that a stack needs, by botocore's list; sends nothing.

    A region that the list lacks altogether is newer than the list, and is not checked.

    Raises:
        NotConfigured: the region lacks a service.
    """
    region = session.region_name
    partition = session.get_partition_for_region(region)
    if region not in session.get_available_regions("lambda", partition_name=partition):
        return
    missing = [
        name
        for name in (*_ALWAYS, *_OF_LAUNCHER.get(launcher, ()))
        if region not in session.get_available_regions(name, partition_name=partition)
    ]
    if missing:
        raise NotConfigured(
            f"the region {region} has no {' and no '.join(missing)}, which the stack needs: choose another "
            "region, or update boto3 if AWS has added it since"
        )


def check_training(client: Callable[[str], Any], parameters: Mapping[str, str]) -> Iterator[str]:
    """Check quotas and the network of training tasks; yield what a person should know.

    Args:
        client: returns the client of a service.
        parameters: of the template.

    Raises:
        NotConfigured: a quota is too low for one task, or the network cannot be used.
    """
    launcher = parameters.get("Launcher", "queue")
    if launcher == "ecs":
        quota = _FARGATE_VCPUS[parameters.get("TrainingCapacity", "FARGATE")]
        wanted = int(parameters.get("TrainingCpu", "2048")) / _CPU_UNITS
        yield from _check_quota(client("service-quotas"), "fargate", quota, wanted)
    if launcher in _OF_LAUNCHER:
        check_network(client("ec2"), parameters)
        yield from (
            f"this account lacks the role {role}: the deployment makes it"
            for role in missing_roles(client("iam"), launcher)
        )


def missing_roles(iam: Any, launcher: str) -> list[str]:  # noqa: ANN401 - boto3's type is not installed
    """Return the service-linked roles that a launcher needs and the account lacks."""
    missing = []
    for role in _ROLES.get(launcher, {}):
        with translated(f"looking for the role {role}"):
            try:
                iam.get_role(RoleName=role)
            except ClientError as error:
                if code(error) not in ("NoSuchEntity", "NoSuchEntityException"):
                    raise
                missing.append(role)
    return missing


def ensure_roles(iam: Any, launcher: str, progress: Callable[[str], None]) -> None:  # noqa: ANN401
    """Make the service-linked roles that a launcher needs, in an account that never used its services."""
    for role in missing_roles(iam, launcher):
        progress(f"making the role {role}")
        with translated(f"making the role {role}"):
            iam.create_service_linked_role(AWSServiceName=_ROLES[launcher][role])


def _check_quota(client: Any, service: str, quota: str, wanted: float) -> Iterator[str]:  # noqa: ANN401
    try:
        with translated("reading a quota"):
            found = client.get_service_quota(ServiceCode=service, QuotaCode=quota)["Quota"]
    except OctospoonError as error:  # a right or an answer is missing, and training may work nevertheless
        yield f"the quota {quota} of {service} is not known ({error})"
        return
    if float(found["Value"]) < wanted:
        raise NotConfigured(
            f'the quota "{found["QuotaName"]}" is {found["Value"]:g} here, but one training task needs '
            f"{wanted:g}: ask Service Quotas for more, or choose a smaller task"
        )


def default_network(ec2: Any) -> Network | None:  # noqa: ANN401 - boto3's type is not installed
    """Return the subnets of the region's default VPC, and its default security group if it lets all out.

    Returns:
        The network, in which `groups` may be empty; None if there is no default VPC with subnets.
    """
    with translated("looking for the default VPC"):
        found = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        if not found:
            return None
        of_vpc = {"Name": "vpc-id", "Values": [found[0]["VpcId"]]}
        subnets = ec2.describe_subnets(Filters=[of_vpc, {"Name": "default-for-az", "Values": ["true"]}])
        groups = ec2.describe_security_groups(
            Filters=[of_vpc, {"Name": "group-name", "Values": ["default"]}]
        )["SecurityGroups"]
    usable = [each["SubnetId"] for each in subnets["Subnets"] if _has_fargate(ec2, each)]
    if not usable:
        return None
    return Network(",".join(sorted(usable)), ",".join(each["GroupId"] for each in groups if _lets_out(each)))


def check_network(ec2: Any, parameters: Mapping[str, str]) -> None:  # noqa: ANN401 - not installed
    """Check that subnets and security groups of training tasks exist and belong together.

    Raises:
        NotConfigured: they are in several VPCs, or Fargate is not in one of their zones.
        Refused: one does not exist.
    """
    subnets, groups = (_listed(parameters, name) for name in ("TrainingSubnets", "TrainingSecurityGroups"))
    with translated("looking for TrainingSubnets and TrainingSecurityGroups"):
        places = ec2.describe_subnets(SubnetIds=subnets)["Subnets"] if subnets else []
        members = ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"] if groups else []
    networks = sorted({each["VpcId"] for each in [*places, *members]})
    if len(networks) > 1:
        raise NotConfigured(
            f"TrainingSubnets and TrainingSecurityGroups are in several VPCs: {', '.join(networks)}"
        )
    without = [each["SubnetId"] for each in places if not _has_fargate(ec2, each)]
    if without and parameters.get("Launcher") == "ecs":
        raise NotConfigured(f"Fargate is not in the availability zone of {', '.join(without)}: leave it out")


def _listed(parameters: Mapping[str, str], name: str) -> list[str]:
    return [each for each in parameters.get(name, "").split(",") if each]


def _has_fargate(ec2: Any, subnet: Mapping[str, Any]) -> bool:  # noqa: ANN401 - not installed
    zones = _FARGATE_ZONES.get(ec2.meta.region_name)
    return zones is None or subnet["AvailabilityZoneId"] in zones


def _lets_out(group: Mapping[str, Sequence[Mapping[str, Any]]]) -> bool:
    return any(
        rule["IpProtocol"] == "-1" and any(each.get("CidrIp") == "0.0.0.0/0" for each in rule["IpRanges"])
        for rule in group["IpPermissionsEgress"]
    )
