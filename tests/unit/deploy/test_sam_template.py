"""template.yaml keeps the promises of the reference and of ordinary care."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from unit.deploy.intrinsics import RESOURCES, ROOT, TEMPLATE, listed, name_in, of, resolved

from octospoon.adapters.dynamodb.pool.walk import DynamoWalk
from octospoon.cli.deploy import sam_template
from octospoon.domain.acquisition import STRATEGIES
from octospoon.domain.errors import NotConfigured

SETTINGS = (ROOT / "docs" / "reference" / "settings.md").read_text()
METRICS = (ROOT / "docs" / "reference" / "metrics.md").read_text()
API_SECONDS = 29
DEFAULT_ONLY = {"POWERTOOLS_SERVICE_NAME", "OPENBLAS_NUM_THREADS"}
EVERYTHING_IS_ALL_AWS_OFFERS = {
    "batch:ListJobs",
    "ec2:DescribeTags",
    "ecr:GetAuthorizationToken",
    "ecs:DiscoverPollEndpoint",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}


QUEUES = of("AWS::SQS::Queue")
FUNCTIONS = of("AWS::Serverless::Function")
WORK_QUEUES = {name: queue for name, queue in QUEUES.items() if name.endswith("Queue")}


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


def test_the_queues_fit_into_a_new_account_by_default():
    """It has 10 invocations at once: two are left to the functions without a queue."""
    default = {name: parameter.get("Default") for name, parameter in TEMPLATE["Parameters"].items()}
    limits = [event["ScalingConfig"]["MaximumConcurrency"] for _, event in queue_events()]
    assert sum(limit if isinstance(limit, int) else default[limit["Ref"]] for limit in limits) <= 8


@pytest.mark.parametrize(("function", "event"), queue_events())
def test_throttled_receives_of_an_hour_make_no_dead_letter(function, event):
    queue = QUEUES[name_in(event["Queue"])]
    assert queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"] >= 3600


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
    everywhere = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    # webhook gets the name of the stack too, but publishes no metrics
    unused = {"OCTOSPOON_STACK_NAME"} if user == "webhook" else set()
    shared = {name for name in everywhere if name.startswith("OCTOSPOON_")} - unused
    assert variables.keys() - DEFAULT_ONLY | shared == documented()[user]


TASK = of("AWS::ECS::TaskDefinition")["TrainingTask"]["ContainerDefinitions"][0]
BATCH_JOB = of("AWS::Batch::JobDefinition")["TrainingJobDefinition"]["ContainerProperties"]


@pytest.mark.parametrize("container", [TASK, BATCH_JOB])
def test_the_training_container_gets_the_variables_that_the_reference_names(container):
    given = {one["Name"] for one in container["Environment"]} - {"AWS_DEFAULT_REGION"}
    given |= {one["Fn::If"][1]["Name"] for one in container["Secrets"]}
    assert given == documented()["trainer"]


# Lambda's documentation on permissions for VPCs: its own checks take no narrower resource
ONLY_TO_JOIN_A_NETWORK = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
}


def statements():
    for name, role in of("AWS::IAM::Role").items():
        for policy in (each["Fn::If"][1] if "Fn::If" in each else each for each in role.get("Policies", [])):
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement
    for name, policy in of("AWS::IAM::Policy").items():
        for statement in policy["PolicyDocument"]["Statement"]:
            yield name, statement["Fn::If"][1] if "Fn::If" in statement else statement


@pytest.mark.parametrize(("owner", "statement"), list(statements()))
def test_no_role_may_do_everything_or_act_on_everything(owner, statement):
    actions = listed(statement["Action"])
    assert not [action for action in actions if "*" in action]
    if statement["Sid"] == "ManageInterfaces":
        assert set(actions) == ONLY_TO_JOIN_A_NETWORK
        assert owner in ("RankRole", "ReconcileRole")
    elif "*" in listed(statement["Resource"]):
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
    # what a failed first deployment made is empty, and goes
    assert RESOURCES[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"
    policy = RESOURCES[f"{name}Policy"]["Properties"]["PolicyDocument"]["Statement"][0]
    assert policy["Effect"] == "Deny"
    assert policy["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("bucket", ["Images", "Artifacts"])
def test_the_queue_policy_names_the_bucket_that_sends(bucket):
    properties = RESOURCES[f"{bucket}Bucket"]["Properties"]
    notification = properties["NotificationConfiguration"]["QueueConfigurations"][0]
    queue = name_in(notification["Queue"])
    policy = RESOURCES[f"{queue}Policy"]["Properties"]["PolicyDocument"]["Statement"][0]
    for names in ("id", "name"):
        name = resolved(properties["BucketName"], {"BucketNames": names})
        source = resolved(policy["Condition"], {"BucketNames": names})["ArnEquals"]["aws:SourceArn"]
        assert source == f"arn:aws:s3:::{name}"
    assert RESOURCES[f"{bucket}Bucket"]["DependsOn"] == f"{queue}Policy"


@pytest.mark.parametrize("name", of("AWS::DynamoDB::Table"))
def test_every_table_is_kept_encrypted_restorable_and_paid_by_use(name):
    table = of("AWS::DynamoDB::Table")[name]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["SSESpecification"]["SSEEnabled"] is True
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    # what a failed first deployment made is empty, and goes
    assert RESOURCES[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("name", QUEUES)
def test_every_queue_is_encrypted_and_has_the_longest_retention(name):
    assert QUEUES[name]["SqsManagedSseEnabled"] == {"Fn::If": ["HasKmsKey", {"Ref": "AWS::NoValue"}, True]}
    assert QUEUES[name]["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_fargate_and_machines_are_made_only_on_request():
    for name, resource in RESOURCES.items():
        if resource["Type"].startswith("AWS::ECS::"):
            assert resource["Condition"] == "LauncherIsEcs", name
        if resource["Type"].startswith(("AWS::Batch::", "AWS::EC2::")):
            assert resource["Condition"] == "LauncherIsBatch", name


def test_no_parameter_is_a_secret():
    # SAM's hidden prompt repeats until something is typed, and CloudFormation keeps what is typed
    for name, parameter in TEMPLATE["Parameters"].items():
        assert "NoEcho" not in parameter, name
        assert parameter["Description"]
        if re.search("Token|Password|Secret", name):
            assert name.endswith("SecretArn")
    stored = of("AWS::SecretsManager::Secret")
    assert stored.keys() == {"WebhookSecret", "PredictSecret"}
    for generated in stored.values():
        assert generated["GenerateSecretString"]["PasswordLength"] >= 32


ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbC123"


@pytest.mark.parametrize(
    ("parameter", "condition", "policies"),
    [
        (
            "MlflowPasswordSecretArn",
            "HasMlflowPassword",
            ["ReconcileSignsInToMlflow", "TrainingExecutionSecrets"],
        ),
        ("DagshubTokenSecretArn", "HasDagshubToken", ["TrainingDagshubSecret"]),
    ],
)
def test_a_named_secret_is_read_only_where_needed(parameter, condition, policies):
    assert resolved({"Condition": condition}, {}) is False
    assert resolved({"Condition": condition}, {parameter: ARN}) is True
    may = [
        (owner, statement["Action"])
        for owner, statement in statements()
        if {"Ref": parameter} in listed(statement["Resource"])
    ]
    assert may == [(name, "secretsmanager:GetSecretValue") for name in policies]
    for container in (TASK, BATCH_JOB):
        assert [each["ValueFrom"] for each in resolved(container["Secrets"], {parameter: ARN})] == [ARN]
        assert resolved(container["Secrets"], {}) == []


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


def test_only_predict_writes_images_into_the_stacks_own_bucket():
    writes = [
        (owner, statement["Resource"])
        for owner, statement in statements()
        if "images" in json.dumps(statement["Resource"]).lower()
        and set(listed(statement["Action"])) - {"s3:GetObject", "s3:ListBucket", "kms:Decrypt"}
    ]
    folder = {"Fn::Sub": "${ImagesBucket.Arn}/predict/*"}
    assert writes == [
        ("PredictAddsImages", {"Fn::If": ["MakesImagesBucket", folder, {"Ref": "AWS::NoValue"}]})
    ]
    policy = RESOURCES["PredictAddsImages"]
    assert policy["Condition"] == "MakesImagesBucket"
    assert policy["Properties"]["Roles"] == [{"Ref": "PredictRole"}]


@pytest.mark.parametrize("name", ["ReadsExistingImages", "TrainingReadsExistingImages"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 9, 30])
def test_exactly_the_prefixes_of_an_existing_bucket_are_read(name, count):
    given = [f"p{number}/" for number in range(count)]
    values = {"ImagesBucketName": "photos", "ImagesPrefixes": ",".join(given)}
    read, list_, decrypt = of("AWS::IAM::Policy")[name]["PolicyDocument"]["Statement"]

    objects = resolved(read["Resource"], values)
    listed_ = resolved(list_["Condition"], values)["StringLikeIfExists"]["s3:prefix"]

    prefixes = [f"{prefix}*" for prefix in given] or ["*"]
    assert listed_ == prefixes
    bucket = "arn:aws:s3:::photos"
    assert resolved(list_["Resource"], values) == bucket
    if count <= 8:
        assert set(objects) == {f"{bucket}/{prefix}" for prefix in prefixes}
    else:
        assert f"{bucket}/*" in objects
    assert resolved(decrypt, values) is None
    assert resolved(decrypt, values | {"ImagesKmsKeyArn": "arn:key"})["Resource"] == "arn:key"


@pytest.mark.parametrize("given", ["", "a b/", "a/,b c/,ä/"])
def test_the_rule_matches_new_objects_of_the_prefixes(given):
    rule = of("AWS::Events::Rule")["ExistingImagesRule"]
    values = {"ImagesBucketName": "photos", "ImagesPrefixes": given}

    pattern = json.loads(resolved(rule["EventPattern"], values))

    detail: dict[str, Any] = {"bucket": {"name": ["photos"]}}
    if given:
        detail["object"] = {"key": [{"prefix": prefix} for prefix in given.split(",")]}
    assert pattern == {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}
    assert name_in(rule["Targets"][0]["Arn"]) == "UploadsQueue"


def test_the_uploads_queue_takes_events_of_the_rule_alone():
    _, statement = RESOURCES["UploadsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]

    condition, allowed, otherwise = statement["Fn::If"]

    assert (condition, otherwise) == ("HasImagesBucket", {"Ref": "AWS::NoValue"})
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert name_in(allowed["Condition"]["ArnEquals"]["aws:SourceArn"]) == "ExistingImagesRule"


@pytest.mark.parametrize("name", ["ImagesBucket", "ImagesBucketPolicy", "ReadsImages", "PredictAddsImages"])
def test_no_images_bucket_is_made_beside_an_existing_one(name):
    assert RESOURCES[name]["Condition"] == "MakesImagesBucket"
    given = {"ImagesBucketName": "photos"}
    variables = FUNCTIONS["ScoreFunction"]["Environment"]["Variables"]
    assert resolved(variables["OCTOSPOON_IMAGES_BUCKET"], given) == "photos"
    assert resolved(TEMPLATE["Outputs"]["ImagesBucket"]["Value"], given) == "photos"


@pytest.mark.parametrize("name", ["photos", "my.bucket-7", ""])
def test_bucket_names_and_prefixes_are_accepted(name):
    sam_template.check_values(TEMPLATE, {"ImagesBucketName": name, "ImagesPrefixes": "a/,b c/d,ä"})


@pytest.mark.parametrize("value", [",", "a/,", " a/", "a/, b/", 'a"', "a*", "a?", "${a}", "a\\b", "a\n"])
def test_prefixes_that_a_policy_would_misread_are_refused(value):
    with pytest.raises(NotConfigured, match="beginnings of object keys"):
        sam_template.check_values(TEMPLATE, {"ImagesPrefixes": value})


def drawn():
    """Return the dashboard's metrics: namespace, name, dimension, value, and the other dimensions."""
    body, names = of("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"]
    body = body.replace("${Metric}", resolved(names["Metric"], {}))
    return [tuple(one) for widget in json.loads(body)["widgets"] for one in widget["properties"]["metrics"]]


def test_two_stacks_have_metrics_alarms_and_dashboards_apart():
    stack = {"Name": "stack", "Value": {"Ref": "AWS::StackName"}}
    assert (
        TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["OCTOSPOON_STACK_NAME"] == stack["Value"]
    )
    for name, alarm in of("AWS::CloudWatch::Alarm").items():
        if alarm["Namespace"] == "octospoon":
            assert stack in alarm["Dimensions"], name
        else:  # of AWS's own metrics, by a resource of this stack
            assert all(name_in(each["Value"]) in RESOURCES for each in alarm["Dimensions"]), name
    for space, *_, name, value in drawn():
        assert (space == "octospoon") == ((name, value) == ("stack", "${AWS::StackName}"))


EXPLICIT_NAMES = {
    "AWS::Batch::JobDefinition": "JobDefinitionName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::ECS::TaskDefinition": "Family",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::Serverless::Api": "Name",
    "AWS::Serverless::Function": "FunctionName",
}
NAMES_OF_RESOURCES = re.compile(
    r"Name|Family|.*(Bucket|Cluster|Definition|Environment|Template|Profile|Dashboard|Function|Group|Queue|Role|Rule|Secret|Table)Name"
)


def test_every_explicit_name_differs_between_two_stacks():
    for name, resource in RESOURCES.items():
        given = [each for each in resource.get("Properties", {}) if NAMES_OF_RESOURCES.fullmatch(each)]
        if resource["Type"] in (
            "AWS::Lambda::Alias",
            "AWS::Lambda::EventSourceMapping",
            "AWS::Lambda::Version",
        ):
            continue  # their names are within a function
        expected = EXPLICIT_NAMES.get(resource["Type"])
        assert given == ([expected] if expected else []), name
        assert "AWS::Stack" in json.dumps([resource["Properties"][each] for each in given] or "AWS::Stack"), (
            name
        )


def test_the_dashboard_shows_every_function_and_every_queue():
    shown = {value for _, _, _, value, *_ in drawn()}
    assert {f"${{{name}}}" for name in FUNCTIONS} <= shown
    assert {f"${{{name}.QueueName}}" for name in QUEUES} <= shown


@pytest.mark.parametrize(
    "service", sorted({value for space, _, _, value, *_ in drawn() if space == "octospoon"})
)
def test_the_dashboard_shows_metrics_that_the_functions_publish(service):
    section = METRICS.split(f"### {service}\n", 1)[1].split("\n##")[0]
    names = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", section, re.MULTILINE))))
    assert {
        name for space, name, _, value, *_ in drawn() if (space, value) == ("octospoon", service)
    } <= names


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
