"""The checks of an AWS account for training, before anything is made in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from octospoon.cli.deploy import sam_template
from octospoon.cli.operations.aws import training_account as account
from octospoon.domain.errors import NotConfigured, Refused

ROOT = Path(__file__).parents[3]
FARGATE = {
    "Launcher": "ecs",
    "TrainingSubnets": "subnet-1,subnet-2",
    "TrainingSecurityGroups": "sg-1",
    "TrainingCapacity": "FARGATE",
    "TrainingCpu": "2048",
    "TrainingMemory": "8192",
    "TrainingInstanceTypes": "g4dn.xlarge,g6",
}


def client(service: Any, region: str = "eu-west-1") -> Any:
    return boto3.client(service, region_name=region, aws_access_key_id="a", aws_secret_access_key="b")


@pytest.mark.parametrize(
    ("region", "launcher"),
    [("eu-west-1", "ecs"), ("cn-north-1", "ecs"), ("us-gov-west-1", "batch"), ("eu-new-9", "batch")],
)
def test_a_region_that_offers_everything_is_fine(region: str, launcher: str) -> None:
    account.check_services(boto3.Session(region_name=region), launcher)


def test_a_region_that_lacks_a_service_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    session = boto3.Session(region_name="eu-west-1")
    regions = session.get_available_regions
    monkeypatch.setattr(
        session,
        "get_available_regions",
        lambda name, **given: [] if name in ("ecs", "ecr") else regions(name, **given),
    )
    account.check_services(session, "queue")
    with pytest.raises(NotConfigured, match="eu-west-1 has no ecr and no ecs"):
        account.check_services(session, "ecs")


def role(stub: Stubber, *, exists: bool) -> None:
    if exists:
        name = {"Path": "/", "RoleName": "r", "RoleId": "A" * 16, "Arn": "a" * 20}
        stub.add_response("get_role", {"Role": name | {"CreateDate": "2026-01-01T00:00:00Z"}})
    else:
        stub.add_client_error("get_role", "NoSuchEntity")


def test_roles_of_services_are_made_once() -> None:
    iam, messages = client("iam"), list[str]()
    with Stubber(iam) as stub:
        account.ensure_roles(iam, FARGATE | {"Launcher": "queue"}, messages.append)
        role(stub, exists=True)
        account.ensure_roles(iam, FARGATE, messages.append)
        for exists in (False, True):
            role(stub, exists=exists)
        batch = {"AWSServiceName": "batch.amazonaws.com"}
        stub.add_response("create_service_linked_role", {}, batch)
        account.ensure_roles(iam, FARGATE | {"Launcher": "batch"}, messages.append)
        for exists in (True, True, False):
            role(stub, exists=exists)
        stub.add_response("create_service_linked_role", {}, {"AWSServiceName": "spot.amazonaws.com"})
        spot = {"Launcher": "batch", "TrainingCapacity": "FARGATE_SPOT"}
        account.ensure_roles(iam, FARGATE | spot, messages.append)
        stub.assert_no_pending_responses()
    assert messages == ["making the role AWSServiceRoleForBatch", "making the role AWSServiceRoleForEC2Spot"]


def test_every_launcher_of_the_template_is_checked() -> None:
    declared = sam_template.read(ROOT / "template.yaml")["Parameters"]["Launcher"]["AllowedValues"]
    assert {*declared} - {"queue"} <= account._OF_LAUNCHER.keys()
    assert account._OF_LAUNCHER.keys() == account._ROLES.keys()


def subnet(name: str, vpc: str = "vpc-1", zone: str = "euw1-az1") -> dict[str, str]:
    return {"SubnetId": name, "VpcId": vpc, "AvailabilityZoneId": zone}


def group(vpc: str = "vpc-1", address: str = "0.0.0.0/0") -> dict[str, Any]:
    rule = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": address}]}
    return {"GroupId": "sg-1", "VpcId": vpc, "IpPermissionsEgress": [rule]}


def network(stub: Stubber, vpc: str = "vpc-1", zone: str = "euw1-az1") -> None:
    places = [subnet("subnet-1"), subnet("subnet-2", zone=zone)]
    stub.add_response("describe_subnets", {"Subnets": places}, {"SubnetIds": ["subnet-1", "subnet-2"]})
    stub.add_response("describe_security_groups", {"SecurityGroups": [group(vpc)]}, {"GroupIds": ["sg-1"]})


def messages_about(quota: float | None, parameters: dict[str, str]) -> list[str]:
    """Return the messages about an account with this quota and without a role for ECS."""
    clients = {name: client(name) for name in ("service-quotas", "ec2", "iam")}
    quotas, ec2, iam = (Stubber(aws_client) for aws_client in clients.values())
    with quotas, ec2, iam:
        if quota is None:
            quotas.add_client_error("get_service_quota", "AccessDeniedException", "no right")
        else:
            number = "L-3032A538" if parameters["TrainingCapacity"] == "FARGATE" else "L-36FBB829"
            answer = {"Quota": {"QuotaName": "Fargate vCPUs", "Value": quota}}
            request = {"ServiceCode": "fargate", "QuotaCode": number}
            quotas.add_response("get_service_quota", answer, request)
        network(ec2)
        role(iam, exists=False)
        return list(account.check_training(clients.__getitem__, parameters))


def test_quotas_and_roles_are_told_before_anything_is_made() -> None:
    (missing,) = messages_about(6, FARGATE)
    assert missing == "this account lacks the role AWSServiceRoleForECS: the deployment makes it"
    assert len(messages_about(4, FARGATE | {"TrainingCapacity": "FARGATE_SPOT", "TrainingCpu": "4096"})) == 1
    unknown, _ = messages_about(None, FARGATE)
    assert "is not known" in unknown
    assert "no right" in unknown
    with pytest.raises(NotConfigured, match=r'"Fargate vCPUs" is 4 here, but one training task needs 8'):
        messages_about(4, FARGATE | {"TrainingCpu": "8192"})


def test_a_queue_needs_neither_quota_nor_network() -> None:
    assert list(account.check_training({}.__getitem__, FARGATE | {"Launcher": "queue"})) == []


def machine(
    processors: int, maker: str = "NVIDIA", architecture: str = "x86_64", memory: int = 16384
) -> dict[str, Any]:
    return {
        "VCpuInfo": {"DefaultVCpus": processors},
        "MemoryInfo": {"SizeInMiB": memory},
        "ProcessorInfo": {"SupportedArchitectures": [architecture]},
        "GpuInfo": {"Gpus": [{"Manufacturer": maker}]},
    }


def gpus(
    types: dict[str, list[int]],
    quotas: dict[str, float],
    more: dict[str, Any] = {},  # noqa: B006 - never changed
    **parameters: str,
) -> list[str]:
    """Return what a person is told with Launcher=batch, by the machines of the region and the quotas."""
    clients = {name: client(name) for name in ("service-quotas", "ec2", "iam")}
    limits, ec2, iam = (Stubber(aws_client) for aws_client in clients.values())
    with limits, ec2, iam:
        for pattern, sizes in types.items():
            filters = {"Filters": [{"Name": "instance-type", "Values": [pattern]}]}
            machines = [machine(size, **more) for size in sizes]
            ec2.add_response("describe_instance_types", {"InstanceTypes": machines}, filters)
        for number, value in quotas.items():
            answer = {"Quota": {"QuotaName": number, "Value": value}}
            limits.add_response("get_service_quota", answer, {"ServiceCode": "ec2", "QuotaCode": number})
        network(ec2)
        for _ in range(3 if "TrainingCapacity" in parameters else 2):
            role(iam, exists=True)
        choices = FARGATE | {"Launcher": "batch"} | parameters
        return list(account.check_training(clients.__getitem__, choices))


TYPES = {"g4dn.xlarge": [4], "g6.*": [48, 8]}


def test_a_new_account_without_gpus_is_told() -> None:
    assert gpus(TYPES, {"L-DB2E81BA": 4}) == []
    assert gpus(TYPES, {"L-3819A6DF": 4}, TrainingCapacity="FARGATE_SPOT") == []
    with pytest.raises(NotConfigured, match=r'"L-DB2E81BA" is 0 here, but one training task needs 4'):
        gpus(TYPES, {"L-DB2E81BA": 0})


def test_one_kind_of_gpu_is_enough() -> None:
    both = {"TrainingInstanceTypes": "g6,p5"}
    (low,) = gpus({"g6.*": [8], "p5.*": [192]}, {"L-DB2E81BA": 0, "L-417A185B": 192}, **both)
    assert "L-DB2E81BA" in low


@pytest.mark.parametrize(
    "more", [{"maker": "AMD"}, {"architecture": "arm64"}, {"memory": 8192}, {"memory": 8703}], ids=str
)
def test_machines_on_which_no_job_fits_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(NotConfigured, match="no machine of TrainingInstanceTypes"):
        gpus(TYPES, {}, more)
    assert gpus(TYPES, {"L-DB2E81BA": 4}, {"memory": 8704}) == []
    with pytest.raises(NotConfigured, match="no machine of TrainingInstanceTypes"):
        gpus({"g4dn.xlarge": [1], "g6.*": [1]}, {})


def test_a_type_that_the_region_lacks_is_named() -> None:
    with pytest.raises(NotConfigured, match=r"eu-west-1 has no g4dn\.xlarge"):
        gpus({"g4dn.xlarge": []}, {})


def test_a_network_of_two_vpcs_is_refused() -> None:
    ec2 = client("ec2")
    with Stubber(ec2) as stub:
        network(stub, vpc="vpc-2")
        with pytest.raises(NotConfigured, match="several VPCs: vpc-1, vpc-2"):
            account.check_network(ec2, FARGATE)
        stub.add_client_error("describe_subnets", "InvalidSubnetID.NotFound", "subnet-1 does not exist")
        with pytest.raises(Refused, match="subnet-1 does not exist"):
            account.check_network(ec2, FARGATE)


def test_zones_without_fargate_are_refused() -> None:
    ec2 = client("ec2", "ca-central-1")
    with Stubber(ec2) as stub:
        places = [subnet("subnet-1", zone="cac1-az1"), subnet("subnet-2", zone="cac1-az4")]
        for _ in range(2):
            stub.add_response("describe_subnets", {"Subnets": places})
            stub.add_response("describe_security_groups", {"SecurityGroups": [group()]})
        with pytest.raises(NotConfigured, match="zone of subnet-2: leave it out"):
            account.check_network(ec2, FARGATE)
        account.check_network(ec2, FARGATE | {"Launcher": "batch"})


def offered(*, vpcs: int = 1, zone: str = "cac1-az2", address: str = "0.0.0.0/0") -> account.Network | None:
    ec2 = client("ec2", "ca-central-1")
    with Stubber(ec2) as stub:
        descriptions = [{"VpcId": "vpc-1"}] * vpcs
        stub.add_response(
            "describe_vpcs", {"Vpcs": descriptions}, {"Filters": [{"Name": "is-default", "Values": ["true"]}]}
        )
        if vpcs:
            places = [subnet("subnet-2", zone=zone), subnet("subnet-1", zone="cac1-az4")]
            of_vpc = {"Name": "vpc-id", "Values": ["vpc-1"]}
            zones = {"Filters": [of_vpc, {"Name": "default-for-az", "Values": ["true"]}]}
            stub.add_response("describe_subnets", {"Subnets": places}, zones)
            names = {"Filters": [of_vpc, {"Name": "group-name", "Values": ["default"]}]}
            groups = {"SecurityGroups": [group(address=address)]}
            stub.add_response("describe_security_groups", groups, names)
        return account.default_network(ec2)


def test_the_default_network_is_offered_where_it_can_be_used() -> None:
    assert offered() == account.Network("subnet-2", "sg-1")
    assert offered(address="10.0.0.0/8") == account.Network("subnet-2", "")
    assert offered(vpcs=0) is None
    assert offered(zone="cac1-az4") is None
