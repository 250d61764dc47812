"""template.yaml keeps the promises of the reference and of ordinary care."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from octospoon.adapters.dynamodb.pool.walk import DynamoWalk
from octospoon.cli.deploy import sam_template
from octospoon.domain.acquisition import STRATEGIES

ROOT = Path(__file__).parents[3]
TEMPLATE = sam_template.read(ROOT / "template.yaml")
RESOURCES = TEMPLATE["Resources"]
SETTINGS = (ROOT / "docs" / "reference" / "settings.md").read_text()
METRICS = (ROOT / "docs" / "reference" / "metrics.md").read_text()
API_SECONDS = 29
DEFAULT_ONLY = {"POWERTOOLS_SERVICE_NAME", "OPENBLAS_NUM_THREADS"}
EVERYTHING_IS_ALL_AWS_OFFERS = {
    "ecr:GetAuthorizationToken",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}


def of(kind):
    return {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == kind}


QUEUES = of("AWS::SQS::Queue")
FUNCTIONS = of("AWS::Serverless::Function")
WORK_QUEUES = {name: queue for name, queue in QUEUES.items() if name.endswith("Queue")}


def name_in(reference):
    """Return the logical id in ``{"Fn::GetAtt": [id, …]}`` or ``{"Ref": id}``."""
    return reference["Ref"] if "Ref" in reference else reference["Fn::GetAtt"][0]


@pytest.mark.parametrize("name", WORK_QUEUES)
def test_every_queue_has_a_dead_letter_queue_with_an_alarm(name):
    redrive = WORK_QUEUES[name]["RedrivePolicy"]
    dead_letters = name_in(redrive["deadLetterTargetArn"])
    assert dead_letters in QUEUES
    assert dead_letters not in WORK_QUEUES
    assert redrive["maxReceiveCount"] >= 3
    watched = [
        name_in(dimension["Value"])
        for alarm in of("AWS::CloudWatch::Alarm").values()
        for dimension in alarm["Dimensions"]
        if not isinstance(dimension["Value"], str)
    ]
    assert dead_letters in watched


def queue_events():
    return [
        (function, event["Properties"])
        for function, properties in FUNCTIONS.items()
        for event in properties["Events"].values()
        if event["Type"] == "SQS"
    ]


@pytest.mark.parametrize(("function", "event"), queue_events())
def test_message_is_hidden_for_six_times_its_functions_timeout(function, event):
    queue = QUEUES[name_in(event["Queue"])]
    assert queue["VisibilityTimeout"] >= 6 * FUNCTIONS[function]["Timeout"]


@pytest.mark.parametrize(("function", "event"), queue_events())
def test_one_bad_message_does_not_send_back_its_whole_batch(function, event):
    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert event["BatchSize"] <= 10 or event["MaximumBatchingWindowInSeconds"] >= 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_uses_our_makefile_and_our_log_groups(name):
    short = name.removesuffix("Function").lower()
    function = RESOURCES[name]
    assert function["Metadata"] == {
        "BuildMethod": "makefile",
        "ContextPath": "infra/build",
        "WorkingDirectory": ".",
    }
    assert function["Properties"]["CodeUri"] == f"functions/{short}"
    assert (ROOT / "functions" / short / "app.py").is_file()
    assert function["Properties"]["FunctionName"] == {"Fn::Sub": f"${{AWS::StackName}}-{short}"}
    groups = [group["LogGroupName"] for group in of("AWS::Logs::LogGroup").values()]
    assert {"Fn::Sub": f"/aws/lambda/${{AWS::StackName}}-{short}"} in groups
    assert all(group["RetentionInDays"] for group in of("AWS::Logs::LogGroup").values())


def documented():
    """Return what the tables of docs/reference/settings.md say: user -> variables."""
    rows = re.findall(r"^\| `([A-Z_]+)` \|.*\| ([a-z, ]+) \|$", SETTINGS, re.MULTILINE)
    users = ("score", "rank", "webhook", "collect", "reconcile", "rescore", "watch", "predict", "trainer")
    return {user: {name for name, used_by in rows if user in used_by.split(", ")} for user in users}


@pytest.mark.parametrize(
    "user", ["score", "rank", "webhook", "collect", "reconcile", "rescore", "watch", "predict"]
)
def test_a_function_gets_the_variables_that_the_reference_names(user):
    variables = FUNCTIONS[f"{user.capitalize()}Function"]["Environment"]["Variables"]
    assert variables.keys() - DEFAULT_ONLY == documented()[user]


def test_the_training_container_gets_the_variables_that_the_reference_names():
    container = of("AWS::ECS::TaskDefinition")["TrainingTask"]["ContainerDefinitions"][0]
    given = {one["Name"] for one in container["Environment"]}
    given |= {one["Fn::If"][1]["Name"] for one in container["Secrets"]}
    assert given == documented()["trainer"]


def statements():
    for name, role in of("AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement
    for name, policy in of("AWS::IAM::Policy").items():
        for statement in policy["PolicyDocument"]["Statement"]:
            yield name, statement


def listed(value):
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(("owner", "statement"), list(statements()))
def test_no_role_may_do_everything_or_act_on_everything(owner, statement):
    actions = listed(statement["Action"])
    assert not [action for action in actions if "*" in action]
    if "*" in listed(statement["Resource"]):
        assert set(actions) <= EVERYTHING_IS_ALL_AWS_OFFERS


def test_every_function_has_its_own_role_without_managed_policies():
    assert not [name for name, role in of("AWS::IAM::Role").items() if "ManagedPolicyArns" in role]
    roles = [name_in(function["Role"]) for function in FUNCTIONS.values()]
    assert len(set(roles)) == len(roles)


@pytest.mark.parametrize("name", of("AWS::S3::Bucket"))
def test_every_bucket_is_private_encrypted_versioned_and_kept(name):
    bucket = of("AWS::S3::Bucket")[name]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert bucket["VersioningConfiguration"]["Status"] == "Enabled"
    assert bucket["BucketEncryption"]
    assert RESOURCES[name]["DeletionPolicy"] == RESOURCES[name]["UpdateReplacePolicy"] == "Retain"
    policy = RESOURCES[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert policy["Effect"] == "Deny"
    assert policy["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("bucket", ["Images", "Artifacts"])
def test_the_queue_policy_names_the_bucket_that_sends(bucket):
    properties = RESOURCES[f"{bucket}Bucket"]["Properties"]
    notification = properties["NotificationConfiguration"]["QueueConfigurations"][0]
    queue = name_in(notification["Queue"])
    policy = RESOURCES[f"{queue}Policy"]["Properties"]["PolicyDocument"]["Statement"][0]
    pattern, values = policy["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"]
    assert [pattern.removeprefix("arn:${AWS::Partition}:s3:::"), values] == properties["BucketName"][
        "Fn::Sub"
    ]
    assert RESOURCES[f"{bucket}Bucket"]["DependsOn"] == f"{queue}Policy"


@pytest.mark.parametrize("name", of("AWS::DynamoDB::Table"))
def test_every_table_is_kept_encrypted_restorable_and_paid_by_use(name):
    table = of("AWS::DynamoDB::Table")[name]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["SSESpecification"]["SSEEnabled"] is True
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert RESOURCES[name]["DeletionPolicy"] == RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("name", QUEUES)
def test_every_queue_is_encrypted_and_has_the_longest_retention(name):
    assert QUEUES[name]["SqsManagedSseEnabled"] == {"Fn::If": ["HasKmsKey", {"Ref": "AWS::NoValue"}, True]}
    assert QUEUES[name]["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_fargate_is_made_only_on_request():
    for name, resource in RESOURCES.items():
        if resource["Type"].startswith("AWS::ECS::"):
            assert resource["Condition"] == "LauncherIsEcs", name


def test_secrets_are_no_parameters_that_anybody_can_read():
    for name, parameter in TEMPLATE["Parameters"].items():
        if re.search("Token|Password|Secret", name):
            assert parameter["NoEcho"] is True
        assert parameter["Description"]
    for name in ("WebhookSecret", "PredictSecret"):
        generated = of("AWS::SecretsManager::Secret")[name]["GenerateSecretString"]
        assert generated["PasswordLength"] >= 32


def test_pictures_reach_predict_as_their_bytes():
    # they would not outlive being taken for text
    assert of("AWS::Serverless::Api")["PredictApi"]["BinaryMediaTypes"] == ["*~1*"]


@pytest.mark.parametrize("name", of("AWS::Serverless::Api"))
def test_every_api_is_throttled_and_outlasts_its_functions(name):
    (setting,) = of("AWS::Serverless::Api")[name]["MethodSettings"]
    assert (setting["ResourcePath"], setting["HttpMethod"]) == ("/*", "*")
    assert 0 < setting["ThrottlingRateLimit"] <= setting["ThrottlingBurstLimit"]
    behind = [
        function
        for function in FUNCTIONS.values()
        for event in function["Events"].values()
        if event["Type"] == "Api" and name_in(event["Properties"]["RestApiId"]) == name
    ]
    assert behind
    assert all(function["Timeout"] < API_SECONDS for function in behind)


@pytest.mark.parametrize("name", ["Rank", "Reconcile", "Watch", "Predict"])
def test_what_no_queue_tries_again_alarms_when_it_fails(name):
    alarm = of("AWS::CloudWatch::Alarm")[f"{name}ErrorsAlarm"]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Threshold"]) == ("AWS/Lambda", "Errors", 1)
    assert name_in(alarm["Dimensions"][0]["Value"]) == f"{name}Function"


def test_predict_writes_nothing_but_its_own_folder_of_the_images():
    writes = [
        statement
        for owner, statement in statements()
        if owner == "PredictRole" and "s3:PutObject" in listed(statement["Action"])
    ]
    assert [statement["Resource"] for statement in writes] == [[{"Fn::Sub": "${ImagesBucket.Arn}/predict/*"}]]


def drawn():
    """Return the dashboard's metrics: namespace, name, dimension, value."""
    body = of("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"]
    return [tuple(one) for widget in json.loads(body)["widgets"] for one in widget["properties"]["metrics"]]


def test_the_dashboard_shows_every_function_and_every_queue():
    shown = {value for _, _, _, value in drawn()}
    assert {f"${{{name}}}" for name in FUNCTIONS} <= shown
    assert {f"${{{name}.QueueName}}" for name in QUEUES} <= shown


@pytest.mark.parametrize("service", sorted({value for space, _, _, value in drawn() if space == "octospoon"}))
def test_the_dashboard_shows_metrics_that_the_functions_publish(service):
    section = METRICS.split(f"### {service}\n", 1)[1].split("\n##")[0]
    names = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", section, re.MULTILINE))))
    assert {name for space, name, _, value in drawn() if (space, value) == ("octospoon", service)} <= names


def test_every_queue_consumer_has_a_configurable_limit():
    limited = {function: event.get("ScalingConfig") for function, event in queue_events()}
    parameter = {"MaximumConcurrency": {"Ref": "ScoreMaximumConcurrency"}}
    assert limited["ScoreFunction"] == parameter
    assert of("AWS::Lambda::EventSourceMapping")["ScoreLiveUploads"]["ScalingConfig"] == parameter
    assert all(limited.values())


def test_every_rule_of_security_that_is_left_out_says_why():
    lines = (ROOT / ".checkov.yaml").read_text().splitlines()
    left_out = [i for i, line in enumerate(lines) if re.match(r" *- CKV_", line)]
    assert left_out
    assert all(re.match(r" *# \w.{20,}", lines[i - 1]) for i in left_out)


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        ("AWS::SQS::Queue", "KmsMasterKeyId"),
        ("AWS::Logs::LogGroup", "KmsKeyId"),
        ("AWS::SecretsManager::Secret", "KmsKeyId"),
    ],
)
def test_a_key_of_ones_own_encrypts_everything(kind, setting):
    key = {"Fn::If": ["HasKmsKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
    assert {name: one.get(setting) for name, one in of(kind).items()} == dict.fromkeys(of(kind), key)
    assert TEMPLATE["Globals"]["Function"]["KmsKeyArn"] == key


def test_rescore_may_query_its_indexes_and_they_hold_its_filters():
    (pool,) = (one for name, one in of("AWS::DynamoDB::Table").items() if name == "PoolTable")
    held = {index["IndexName"]: index["Projection"] for index in pool["GlobalSecondaryIndexes"]}
    asked: list[dict[str, Any]] = []
    client: Any = SimpleNamespace(query=lambda **request: asked.append(request) or {"Items": []})
    walk = DynamoWalk(client, "pool")
    walk.uploaded(3, "2026-01-31", -1.0, 10)
    walk.outdated(3, 1, 1.0, "2026-01-31", -1.0, 10)

    role = json.dumps(of("AWS::IAM::Role")["RescoreRole"])
    for request in asked:
        assert f"/index/{request['IndexName']}" in role
        filtered = set(re.findall(r"#(\w+)", request.get("FilterExpression", "")))
        assert filtered <= set(held[request["IndexName"]].get("NonKeyAttributes", []))
    assert {request["IndexName"] for request in asked} == {"by_arrival", "by_sampling_key"}


def test_every_strategy_can_be_chosen():
    assert set(TEMPLATE["Parameters"]["Strategy"]["AllowedValues"]) == set(STRATEGIES)
