"""Training on AWS Batch: what the template asks for, held to AWS's own models of the requests."""

from __future__ import annotations

import json
import re
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from unit.deploy.intrinsics import RESOURCES, ROOT, TEMPLATE, listed, of, refused, resolved

from octospoon.adapters.aws.batch_launcher import LAUNCH_LEASE, STACK_TAG
from octospoon.cli.deploy import sam_template

BATCH = {
    "Launcher": "batch",
    "TrainingImageUri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/octospoon:1",
    "TrainingSubnets": "subnet-1,subnet-2",
    "TrainingSecurityGroups": "sg-1,sg-2",
    "MlflowTrackingUri": "https://mlflow.example.org",
}
MADE = {
    "TrainingInstanceProfile.Arn": "arn:aws:iam::123456789012:instance-profile/p",
    "TrainingLaunchTemplate.LatestVersionNumber": "3",
}
SESSION = botocore.session.Session()


def made(name: str, **given: str) -> Any:
    """Return the properties of a resource for a stack on Batch; other resources are their names."""
    text = json.dumps(RESOURCES[name]["Properties"])
    for other in RESOURCES:
        text = text.replace(json.dumps({"Ref": other}), json.dumps(other))
    text = re.sub(
        r'\{"Fn::GetAtt": \["(\w+)", "(\w+)"\]\}',
        lambda found: json.dumps(MADE.get(f"{found[1]}.{found[2]}", f"arn:aws:x:::{found[1]}")),
        text,
    )
    return resolved(json.loads(text), BATCH | given)


def as_request(shape: Any, value: Any) -> Any:
    """Return a value of CloudFormation in the form of the API, whose names begin with small letters."""
    if shape.type_name == "structure":
        members = {name[0].upper() + name[1:]: name for name in shape.members}
        assert value.keys() <= members.keys(), value.keys() - members.keys()
        return {members[key]: as_request(shape.members[members[key]], each) for key, each in value.items()}
    if shape.type_name == "list":
        return [as_request(shape.member, each) for each in value]
    if shape.type_name == "map":
        return {key: as_request(shape.value, each) for key, each in value.items()}
    return {"integer": int, "long": int}.get(shape.type_name, lambda each: each)(value)


def accepted(service: str, operation: str, value: Any) -> dict[str, Any]:
    """Return the request, after AWS's model of the operation has accepted it."""
    shape = SESSION.get_service_model(service).operation_model(operation).input_shape
    request: dict[str, Any] = as_request(shape, value)
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    return request


@pytest.mark.parametrize("missing", [name for name in BATCH if name != "Launcher"])
def test_rules_name_what_batch_lacks(missing: str) -> None:
    assert refused(BATCH) == []
    assert refused(BATCH | {missing: ""}) == [f"Launcher=batch needs {missing}"]


def test_rules_of_fargate_are_not_those_of_machines() -> None:
    assert refused(BATCH | {"TrainingCpu": "4096", "TrainingMemory": "15000"}) == []
    assert refused(BATCH | {"TrainingArchitecture": "ARM64"}) == [
        "Launcher=batch needs TrainingArchitecture=X86_64"
    ]


@pytest.mark.parametrize("types", ["g5.xlarge", "g4dn.xlarge,g5.xlarge", "g6", "p4d.24xlarge,g6e"])
def test_types_and_families_of_machines_are_accepted(types: str) -> None:
    sam_template.check_value("TrainingInstanceTypes", TEMPLATE["Parameters"]["TrainingInstanceTypes"], types)


@pytest.mark.parametrize(
    ("capacity", "kind", "strategy"),
    [
        ("FARGATE", "EC2", "BEST_FIT_PROGRESSIVE"),
        ("FARGATE_SPOT", "SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED"),
    ],
)
def test_machines_exist_only_for_jobs_and_are_updated_in_place(
    capacity: str, kind: str, strategy: str
) -> None:
    properties = made("TrainingComputeEnvironment", TrainingCapacity=capacity, TrainingInstanceTypes="g5,g6")
    # a replaced environment would need a new name, and one without a name cannot collide
    assert properties.pop("ReplaceComputeEnvironment") is False
    later = {"UpdatePolicy": properties.pop("UpdatePolicy"), "ComputeEnvironment": "e"}
    update = {"UpdateToLatestImageVersion": properties["ComputeResources"].pop("UpdateToLatestImageVersion")}
    accepted("batch", "UpdateComputeEnvironment", later | {"ComputeResources": update})
    request = accepted("batch", "CreateComputeEnvironment", properties | {"ComputeEnvironmentName": "e"})

    machines = request["computeResources"]
    assert (machines["type"], machines["allocationStrategy"]) == (kind, strategy)
    assert machines["minvCpus"] == 0, "an idle stack costs nothing"
    assert "desiredvCpus" not in machines, "AWS Batch itself decides it, and an update would set it back"
    assert machines["instanceTypes"] == ["g5", "g6"]
    assert machines["subnets"] == ["subnet-1", "subnet-2"]
    assert machines["ec2Configuration"] == [{"imageType": "ECS_AL2023_NVIDIA"}]
    assert machines["launchTemplate"]["version"] == "3", "a new version must change the environment"
    # https://docs.aws.amazon.com/batch/latest/userguide/infrastructure-updates.html
    assert "serviceRole" not in request
    assert "spotIamFleetRole" not in machines, "only BEST_FIT needs it"


@pytest.mark.parametrize(("chosen", "public"), [("ENABLED", True), ("DISABLED", False)])
def test_machines_are_encrypted_and_keep_their_rights_from_containers(chosen: str, public: bool) -> None:
    data = made("TrainingLaunchTemplate", TrainingPublicIp=chosen)["LaunchTemplateData"]
    shape = SESSION.get_service_model("ec2").operation_model("CreateLaunchTemplate").input_shape
    request = {"LaunchTemplateName": "t", "LaunchTemplateData": data}
    assert not ParamValidator().validate(request, shape).has_errors()

    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }
    (disk,) = data["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"]
    assert disk["Ebs"]["DeleteOnTermination"]
    (network,) = data["NetworkInterfaces"]
    assert network["AssociatePublicIpAddress"] is public
    # beside a network interface, the environment must not name them too
    assert network["Groups"] == ["sg-1", "sg-2"]
    assert "SecurityGroupIds" not in made("TrainingComputeEnvironment")["ComputeResources"]


def test_jobs_that_never_start_are_cancelled_within_their_lease() -> None:
    properties = made("TrainingJobQueue")
    request = accepted("batch", "CreateJobQueue", properties | {"JobQueueName": "q"})
    actions = {each["reason"]: each for each in request["jobStateTimeLimitActions"]}
    # https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable_time_limit_actions.html
    assert actions.keys() == {
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
    }
    for action in actions.values():
        assert (action["state"], action["action"]) == ("RUNNABLE", "CANCEL")
        assert 600 <= action["maxTimeSeconds"] < LAUNCH_LEASE


def test_a_job_gets_one_gpu_one_attempt_and_a_limit() -> None:
    properties = made("TrainingJobDefinition", TrainingCpu="4096", TrainingTimeLimit="7200")
    request = accepted("batch", "RegisterJobDefinition", properties)
    container = request["containerProperties"]
    needs = {each["type"]: each["value"] for each in container["resourceRequirements"]}
    assert needs == {"GPU": "1", "VCPU": "4", "MEMORY": "8192"}
    assert request["retryStrategy"] == {"attempts": 1}, "lost jobs are the business of our own rules"
    assert request["timeout"] == {"attemptDurationSeconds": 7200}
    variables = {each["name"]: each["value"] for each in container["environment"]}
    assert variables["OCTOSPOON_TIME_LIMIT"] == "7200", "the trainer ends itself before it is stopped"
    assert variables["OCTOSPOON_DEVICE"] == "cuda"
    assert variables["AWS_DEFAULT_REGION"] == "eu-west-1", "boto3 finds no region on a machine of ECS"
    assert container["jobRoleArn"] == "arn:aws:x:::TrainingRole"
    assert container["executionRoleArn"] == "arn:aws:x:::TrainingExecutionRole"
    assert container["privileged"] is False


@pytest.mark.parametrize("cpu", TEMPLATE["Parameters"]["TrainingCpu"]["AllowedValues"])
def test_every_size_has_its_whole_cores(cpu: int) -> None:
    needs = made("TrainingJobDefinition", TrainingCpu=str(cpu))["ContainerProperties"]["ResourceRequirements"]
    assert {"Type": "VCPU", "Value": str(cpu // 1024)} in needs


def test_no_mapping_is_searched_by_a_parameter() -> None:
    """LocalStack could create such a stack and never update it."""
    assert "Fn::FindInMap" not in json.dumps(TEMPLATE)


@pytest.mark.parametrize("function", ["CollectFunction", "ReconcileFunction"])
def test_functions_submit_by_the_name_that_their_role_allows(function: str) -> None:
    variables = made(function)["Environment"]["Variables"]
    name = made("TrainingJobDefinition")["JobDefinitionName"]
    assert variables["OCTOSPOON_BATCH_JOB_DEFINITION"] == name == "octospoon-training"
    assert variables["OCTOSPOON_BATCH_QUEUE"] == "TrainingJobQueue"
    others = resolved(RESOURCES[function]["Properties"]["Environment"]["Variables"]["OCTOSPOON_LAUNCHER"], {})
    assert others == "queue"

    policy = made("StartTrainingOnBatch")["PolicyDocument"]["Statement"]
    allowed = {action: each for each in policy for action in listed(each["Action"])}
    assert allowed.keys() == {
        "batch:ListJobs",
        "batch:SubmitJob",
        "batch:TagResource",
        "batch:TerminateJob",
    }
    definition = "arn:aws:batch:eu-west-1:123456789012:job-definition/octospoon-training"
    assert allowed["batch:SubmitJob"]["Resource"] == ["TrainingJobQueue", definition, f"{definition}:*"]
    tag = allowed["batch:TerminateJob"]["Condition"]["StringEquals"]
    assert tag == {f"aws:ResourceTag/{STACK_TAG}": "octospoon"}, "and no job of another stack"


def test_functions_have_what_botocore_needs_for_batch() -> None:
    (services,) = re.findall(r"^SERVICES := (.*)$", (ROOT / "infra/build/Makefile").read_text(), re.MULTILINE)
    assert "batch" in services.split()


@pytest.mark.parametrize("launcher", ["queue", "ecs"])
def test_nothing_of_batch_exists_with_other_launchers(launcher: str) -> None:
    ours = [
        name
        for kind in ("ComputeEnvironment", "JobQueue", "JobDefinition")
        for name in of(f"AWS::Batch::{kind}")
    ]
    ours += ["TrainingLaunchTemplate", "TrainingInstanceRole", "TrainingInstanceProfile"]
    for name in [*ours, "StartTrainingOnBatch"]:
        condition = {"Condition": RESOURCES[name]["Condition"]}
        assert resolved(condition, BATCH) is True, name
        assert resolved(condition, {"Launcher": launcher}) is False, name
    for name in ("TrainingRole", "TrainingExecutionRole", "TrainingLogGroup"):
        condition = {"Condition": RESOURCES[name]["Condition"]}
        assert resolved(condition, BATCH) is True
        assert resolved(condition, {"Launcher": launcher}) is (launcher == "ecs")
