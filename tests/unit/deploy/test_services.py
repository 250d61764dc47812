"""infra/services/services.yaml: the settings of the compose file, and parts on AWS that fit each other."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml
from unit.deploy.intrinsics import ROOT, name_in, resolved
from unit.deploy.intrinsics import TEMPLATE as OCTOSPOON

from octospoon.cli.deploy import sam_template
from octospoon.cli.stack.services import LABEL_STUDIO, MLFLOW, SERVICES, SETTINGS

TEMPLATE = sam_template.read(ROOT / "infra/services/services.yaml")
RESOURCES = TEMPLATE["Resources"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.localstack.yml").read_text())["services"]
TASKS = {LABEL_STUDIO: "LabelStudio", MLFLOW: "Mlflow"}
PORTS = {LABEL_STUDIO: 8080, MLFLOW: 5000}
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:Name-AbCdEf"
GIVEN = {
    **{f"{name}.GroupId": f"sg-{name}" for name in RESOURCES},
    **{f"{name}.Arn": f"arn:aws:x:::{name}" for name in RESOURCES},
    **{
        name: SECRET if each["Type"] == "AWS::SecretsManager::Secret" else name
        for name, each in RESOURCES.items()
    },
    "LabelStudioHost": "labels.example.org",
    "MlflowHost": "mlflow.example.org",
    "LabelStudioEmail": "someone@example.org",
    "SubnetIds": "subnet-1",
    "Database.Endpoint.Address": "database.example.org",
    "Database.Endpoint.Port": "5432",
    "FilesBucket": "files",
    "LoadBalancer.LoadBalancerFullName": "app/balancer/1",
    **{f"{name}Targets.TargetGroupFullName": f"targetgroup/{name}/1" for name in TASKS.values()},
}


def made(name, **given):
    """Return the properties of a resource, as CloudFormation makes them."""
    return resolved(RESOURCES[name]["Properties"], GIVEN | given, TEMPLATE)


def containers(server):
    return {each["Name"]: each for each in made(f"{TASKS[server]}Task")["ContainerDefinitions"]}


def variables(container):
    return {each["Name"]: each["Value"] for each in container["Environment"]}


def options(words):
    return dict(word.partition("=")[::2] for word in words if word.startswith("--"))


def mlflow_options():
    (script,) = containers(MLFLOW)["mlflow"]["Command"]
    words = shlex.split(script.partition("exec mlflow server")[2])
    return options(words), script


# ---- the compose file


def test_images_are_those_of_the_compose_file():
    images = {server: containers(server)[server]["Image"] for server in TASKS}
    assert images[LABEL_STUDIO] == COMPOSE[LABEL_STUDIO]["image"]
    # the same version with a driver for PostgreSQL, boto3 and sign-in
    assert images[MLFLOW] == f"{COMPOSE[MLFLOW]['image']}-full"
    postgres = COMPOSE["postgres"]["image"]
    assert containers(MLFLOW)["databases"]["Image"] == postgres
    assert re.match(rf"postgres:{made('Database')['EngineVersion']}\.", postgres)


ON_AWS = {
    LABEL_STUDIO: {
        "POSTGRE_HOST": "database.example.org",
        "POSTGRE_NAME": "label_studio",
        "POSTGRE_USER": "octospoon",
        "PGSSLMODE": "require",
        "LABEL_STUDIO_HOST": "https://labels.example.org",
        "CSRF_TRUSTED_ORIGINS": "https://labels.example.org",
        "SESSION_COOKIE_SECURE": "1",
        "CSRF_COOKIE_HTTPONLY": "0",
        "LABEL_STUDIO_USERNAME": "someone@example.org",
        "SSRF_PROTECTION_ENABLED": "true",
        "ML_BLOCK_LOCAL_IP": "true",
        "STORAGE_TYPE": "s3",
        "STORAGE_AWS_BUCKET_NAME": "files",
        "STORAGE_AWS_REGION_NAME": "eu-west-1",
        "STORAGE_AWS_FOLDER": "label-studio",
        "AWS_DEFAULT_REGION": "eu-west-1",
    },
    MLFLOW: {
        "PGHOST": "database.example.org",
        "PGPORT": "5432",
        "PGUSER": "octospoon",
        "PGSSLMODE": "require",
        "PGCONNECT_TIMEOUT": "20",
        "MLFLOW_AUTH_CONFIG_PATH": "/tmp/basic_auth.ini",
        "MLFLOW_AUTH_ADMIN_USERNAME": "octospoon",
        "AWS_DEFAULT_REGION": "eu-west-1",
    },
}
"""Variables that the compose file lacks, or gives another value."""


@pytest.mark.parametrize("server", TASKS)
def test_variables_are_those_of_the_compose_file(server):
    local = SETTINGS[server] | COMPOSE[server].get("environment", {})

    assert variables(containers(server)[server]) == local | ON_AWS[server]

    assert [name for name, value in ON_AWS[server].items() if local.get(name) == value] == []


def test_mlflow_has_the_options_of_the_compose_file():
    given, script = mlflow_options()
    local = options(COMPOSE[MLFLOW]["command"])

    assert given == local | {
        "--backend-store-uri": "postgresql+psycopg2:///mlflow",
        "--artifacts-destination": "s3://files/mlflow",
        "--allowed-hosts": "mlflow.example.org",
        "--cors-allowed-origins": "https://mlflow.example.org",
        "--app-name": "basic-auth",
        "--uvicorn-opts": "--timeout-keep-alive=130",
    }
    assert "mlflow db upgrade postgresql+psycopg2:///mlflow\n" in script, "or a newer MLflow does not start"


@pytest.mark.parametrize("server", TASKS)
def test_health_is_asked_as_in_the_compose_file(server):
    container, targets = containers(server)[server], made(f"{TASKS[server]}Targets")
    check = container["HealthCheck"]
    assert check["Command"] == COMPOSE[server]["healthcheck"]["test"]
    assert targets["HealthCheckPath"] == SERVICES[server].health
    # the ranges of ECS; the first start of Label Studio takes minutes
    assert (5 <= check["Interval"] <= 300, 2 <= check["Timeout"] <= 60) == (True, True)
    assert (1 <= check["Retries"] <= 10, 0 <= check["StartPeriod"] <= 300) == (True, True)
    assert check["StartPeriod"] + check["Interval"] * check["Retries"] >= 600
    assert made(f"{TASKS[server]}Service")["HealthCheckGracePeriodSeconds"] >= 600


# ---- the network


def rules(kind):
    """Return (group, other group or addresses, port) of all rules; kind is Ingress or Egress."""
    other = {"Ingress": "SourceSecurityGroupId", "Egress": "DestinationSecurityGroupId"}[kind]
    found = [
        (f"sg-{name}", rule)
        for name, each in RESOURCES.items()
        if each["Type"] == "AWS::EC2::SecurityGroup"
        for rule in made(name).get(f"SecurityGroup{kind}", [])
    ]
    found += [
        (made(name)["GroupId"], made(name))
        for name, each in RESOURCES.items()
        if each["Type"] == f"AWS::EC2::SecurityGroup{kind}"
    ]
    assert all(rule.get("FromPort") == rule.get("ToPort") for _, rule in found)
    return {(group, rule.get(other) or rule["CidrIp"], rule.get("FromPort")) for group, rule in found}


def test_only_the_load_balancer_is_open():
    balancer, database, nothing = "sg-LoadBalancerGroup", "sg-DatabaseGroup", "127.0.0.1/32"
    inside = {("sg-LabelStudioGroup", 8080), ("sg-MlflowGroup", 5000)}
    assert rules("Ingress") == {
        *((balancer, "0.0.0.0/0", port) for port in (80, 443)),
        *((group, balancer, port) for group, port in inside),
        *((database, group, 5432) for group, _ in inside),
    }
    assert rules("Egress") == {
        *((balancer, group, port) for group, port in inside),
        *((group, database, 5432) for group, _ in inside),
        *((group, "0.0.0.0/0", 443) for group, _ in inside),
        *((group, nothing, None) for group in (balancer, database)),
    }
    assert made("Database")["VPCSecurityGroups"] == [database]
    assert made("Database")["PubliclyAccessible"] is False


@pytest.mark.parametrize("server", TASKS)
def test_requests_of_a_host_end_at_its_container(server):
    name, port = TASKS[server], PORTS[server]
    rule, service = RESOURCES[f"{name}Rule"]["Properties"], RESOURCES[f"{name}Service"]["Properties"]
    assert rule["Conditions"][0]["HostHeaderConfig"]["Values"] == [{"Ref": f"{name}Host"}]
    assert rule["Actions"][0]["TargetGroupArn"] == {"Ref": f"{name}Targets"}
    (target,) = service["LoadBalancers"]
    assert target["TargetGroupArn"] == {"Ref": f"{name}Targets"}
    assert target["ContainerName"] == server
    ports = {int(target["ContainerPort"]), int(made(f"{name}Targets")["Port"])}
    assert ports == {port, *(each["ContainerPort"] for each in containers(server)[server]["PortMappings"])}
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["SecurityGroups"] == [{"Fn::GetAtt": [f"{name}Group", "GroupId"]}]
    assert f"{name}Rule" in RESOURCES[f"{name}Service"]["DependsOn"], "ECS refuses targets without a listener"


def test_tls_is_for_everyone_and_plain_http_redirects():
    (action,) = made("HttpListener")["DefaultActions"]
    assert (action["Type"], action["RedirectConfig"]["Protocol"]) == ("redirect", "HTTPS")
    assert made("HttpsListener", CertificateArn="c")["Certificates"] == [{"CertificateArn": "c"}]
    assert made("HttpsListener")["DefaultActions"][0]["Type"] == "fixed-response"


def test_mlflow_keeps_connections_longer_than_the_load_balancer():
    idle = {each["Key"]: each["Value"] for each in made("LoadBalancer")["LoadBalancerAttributes"]}
    keep = mlflow_options()[0]["--uvicorn-opts"].partition("=")[2]
    assert int(keep) > int(idle["idle_timeout.timeout_seconds"]), "or a reused connection answers 502"


# ---- rights


def statements(role):
    (policy,) = RESOURCES[role]["Properties"]["Policies"]
    return {each["Sid"]: each for each in policy["PolicyDocument"]["Statement"]}


@pytest.mark.parametrize("server", TASKS)
def test_ecs_reads_exactly_the_secrets_of_the_task(server):
    task = RESOURCES[f"{TASKS[server]}Task"]["Properties"]
    secrets = [each["ValueFrom"] for one in task["ContainerDefinitions"] for each in one["Secrets"]]
    assert name_in(task["ExecutionRoleArn"]) == f"{TASKS[server]}ExecutionRole"
    given = statements(f"{TASKS[server]}ExecutionRole")
    assert {name_in(each) for each in given["ReadSecrets"]["Resource"]} == {name_in(each) for each in secrets}
    groups = {
        name_in(one["LogConfiguration"]["Options"]["awslogs-group"]) for one in task["ContainerDefinitions"]
    }
    assert groups == {name_in(given["WriteLogs"]["Resource"])}
    assert given.keys() == {"ReadSecrets", "WriteLogs"}


@pytest.mark.parametrize("server", TASKS)
def test_each_program_has_its_folder_of_the_bucket(server):
    role = f"{TASKS[server]}Role"
    assert name_in(RESOURCES[f"{TASKS[server]}Task"]["Properties"]["TaskRoleArn"]) == role
    keep, look = (statements(role)[name] for name in sorted(statements(role)))
    if server == MLFLOW:
        folder = mlflow_options()[0]["--artifacts-destination"].partition("s3://files/")[2]
    else:
        folder = variables(containers(server)[server])["STORAGE_AWS_FOLDER"]
    assert keep["Resource"] == {"Fn::Sub": f"${{FilesBucket.Arn}}/{folder}/*"}
    assert {"s3:GetObject", "s3:PutObject", "s3:DeleteObject"} < set(keep["Action"])
    assert (look["Action"], look["Resource"]) == ("s3:ListBucket", {"Fn::GetAtt": ["FilesBucket", "Arn"]})
    assert "Condition" not in look, "S3 tells a missing object only to those who may list without one"


# ---- what people made


def test_data_and_the_ways_to_sign_in_outlive_the_stack():
    assert (
        RESOURCES["Database"]["DeletionPolicy"] == RESOURCES["Database"]["UpdateReplacePolicy"] == "Snapshot"
    )
    assert made("Database")["DeletionProtection"] == "true"
    for name in ("FilesBucket", "LabelStudioPassword", "LabelStudioToken", "MlflowPassword"):
        assert (RESOURCES[name]["DeletionPolicy"], RESOURCES[name]["UpdateReplacePolicy"]) == (
            "RetainExceptOnCreate",
            "Retain",
        )


def test_a_snapshot_brings_names_and_gets_the_stacks_password():
    new, restored = made("Database"), made("Database", DatabaseSnapshot="before-the-accident")
    names = {"DBName", "MasterUsername"}
    assert (names <= {key for key, value in new.items() if value}, new["DBSnapshotIdentifier"]) == (
        True,
        None,
    )
    assert {restored[name] for name in names} == {None}
    assert restored["MasterUserPassword"] == new["MasterUserPassword"]
    assert all(re.fullmatch("[a-z][a-z_]*", new[name]) for name in names), "RDS takes nothing else"


def test_two_versions_never_change_the_tables_at_once():
    for name in ("LabelStudioService", "MlflowService"):
        service = made(name)
        assert int(service["DeploymentConfiguration"]["MaximumPercent"]) == 100
        assert service["AvailabilityZoneRebalancing"] == "DISABLED"


def test_label_studio_takes_the_token():
    secret = RESOURCES["LabelStudioToken"]["Properties"]["GenerateSecretString"]
    assert int(secret["PasswordLength"]) <= 40
    for each in RESOURCES.values():
        if each["Type"] == "AWS::SecretsManager::Secret":
            assert each["Properties"]["GenerateSecretString"]["ExcludePunctuation"] is True


def test_outputs_are_valid_parameters_of_octospoon():
    names = list(TEMPLATE["Outputs"])[:6]
    for name in names:
        value = resolved(TEMPLATE["Outputs"][name]["Value"], GIVEN, TEMPLATE)
        sam_template.check_value(name, OCTOSPOON["Parameters"][name], value)
    needed = {name for name in OCTOSPOON["Parameters"] if re.match("(LabelStudio|Mlflow)", name)}
    assert set(names) == needed - {"LabelStudioProject"}, "the project is made in Label Studio"
