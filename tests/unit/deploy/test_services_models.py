"""infra/services/services.yaml against the service models of botocore: names, types, choices and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from unit.deploy.test_services import GIVEN, RESOURCES, made

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION = botocore.session.get_session()
ALB = "elbv2"
REQUESTS = {
    "AWS::EC2::SecurityGroupEgress": ("ec2", "AuthorizeSecurityGroupEgress"),
    "AWS::EC2::SecurityGroupIngress": ("ec2", "AuthorizeSecurityGroupIngress"),
    "AWS::ECS::Cluster": ("ecs", "CreateCluster"),
    "AWS::ECS::Service": ("ecs", "CreateService"),
    "AWS::ECS::TaskDefinition": ("ecs", "RegisterTaskDefinition"),
    "AWS::ElasticLoadBalancingV2::Listener": (ALB, "CreateListener"),
    "AWS::ElasticLoadBalancingV2::ListenerRule": (ALB, "CreateRule"),
    "AWS::ElasticLoadBalancingV2::LoadBalancer": (ALB, "CreateLoadBalancer"),
    "AWS::ElasticLoadBalancingV2::TargetGroup": (ALB, "CreateTargetGroup"),
    "AWS::RDS::DBInstance": ("rds", "CreateDBInstance"),
    "AWS::RDS::DBSubnetGroup": ("rds", "CreateDBSubnetGroup"),
    "AWS::SecretsManager::Secret": ("secretsmanager", "GetRandomPassword"),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "PutMetricAlarm"),
}
OF_REQUEST = {
    "clientToken",
    "AlarmName",
    "DBInstanceIdentifier",
    "DBSubnetGroupName",
    "Name",
    "serviceName",
}
"""Required members that CloudFormation gives."""
OTHER_NAMES = {
    "VPCSecurityGroups": "VpcSecurityGroupIds",
    "ClusterSettings": "settings",
    "DestinationSecurityGroupId": None,
    "SourceSecurityGroupId": None,
}
OF_CLOUDFORMATION = {
    "Description",
    "DBSnapshotIdentifier",
    "LoadBalancerAttributes",
    "TargetGroupAttributes",
    "DeleteAutomatedBackups",
}
"""What CloudFormation sends in another request."""


SCALARS: dict[str, Callable[[Any], Any]] = {
    "integer": int,
    "long": int,
    "double": float,
    "boolean": lambda value: value if isinstance(value, bool) else {"true": True, "false": False}[value],
    "map": lambda value: {key: str(each) for key, each in value.items()},
}


def request(shape, value, path=""):
    """Return a value of the template in the form of a request; a name that the model lacks is an error."""
    if shape.type_name == "structure":
        return structure(shape.members, value, path)
    if shape.type_name == "list":
        return [request(shape.member, each, path) for each in (value if isinstance(value, list) else [value])]
    if shape.type_name in SCALARS:
        return SCALARS[shape.type_name](value)
    choices = getattr(shape, "enum", None)
    assert not choices or value in choices, f"{path} is {value}, and not one of {choices}"
    return str(value)


def structure(members, value, path):
    found = {}
    for name, each in value.items():
        own = OTHER_NAMES.get(name, name)
        if each is None or own is None or (not path and name in OF_CLOUDFORMATION):
            continue
        if own not in members:
            own = own[0].lower() + own[1:]
        assert own in members, f"{path}.{name}"
        found[own] = request(members[own], each, f"{path}.{name}")
    return found


@pytest.mark.parametrize("name", [name for name, each in RESOURCES.items() if each["Type"] in REQUESTS])
def test_resource_is_a_valid_request(name):
    service, operation = REQUESTS[RESOURCES[name]["Type"]]
    shape = SESSION.get_service_model(service).operation_model(operation).input_shape
    properties = made(name)
    if operation == "GetRandomPassword":  # it takes what GenerateSecretString takes
        properties = properties["GenerateSecretString"]
    given = request(shape, properties)
    given |= dict.fromkeys(OF_REQUEST & set(shape.required_members) - given.keys(), "name")

    report = ParamValidator().validate(given, shape)

    assert not report.has_errors(), report.generate_report()


def test_a_wrong_name_or_choice_is_noticed():
    shape = SESSION.get_service_model("ecs").operation_model("CreateService").input_shape
    properties = made("MlflowService", **GIVEN)
    for wrong in ({"DesiredCounts": 1}, {"LaunchType": "FARGAT"}, {"NetworkConfiguration": {"Awsvpc": {}}}):
        with pytest.raises(AssertionError):
            request(shape, properties | wrong)
