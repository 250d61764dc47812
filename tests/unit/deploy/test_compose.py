"""The compose file: reachable from this machine alone, healthy before used, and without secrets in it."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from octospoon.cli.deployment import LocalProject, remember
from octospoon.cli.local import compose as deploy_compose
from octospoon.domain.errors import NotConfigured

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.localstack.yml").read_text())
SERVICES = COMPOSE["services"]
SERVERS = ["localstack", "label-studio", "mlflow"]
"""What people and functions reach; PostgreSQL is for Label Studio alone."""


def compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", "compose", *arguments], capture_output=True, text=True, check=False)


def test_the_file_is_valid_by_the_compose_specifications_schema():
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.localstack.yml"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_docker_compose_takes_the_file(tmp_path, monkeypatch):
    if not shutil.which("docker") or compose("version").returncode:
        pytest.skip("the docker client here has no `compose`: the file is checked by its schema alone")
    monkeypatch.chdir(tmp_path)
    deploy_compose.main(["secrets"])
    file = str(ROOT / "docker-compose.localstack.yml")
    said = compose("--file", file, "--project-directory", str(tmp_path), "config", "--quiet")
    assert said.returncode == 0, said.stderr


def test_the_database_is_label_studios_alone_and_outlives_its_container():
    postgres, label_studio = SERVICES["postgres"], SERVICES["label-studio"]
    assert postgres["image"].split(":")[1][:2].isdecimal()
    assert "ports" not in postgres
    assert postgres["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    assert postgres["volumes"] == ["postgres:/var/lib/postgresql/data"]
    assert label_studio["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    given = label_studio["environment"]
    assert (given["DJANGO_DB"], given["POSTGRE_HOST"]) == ("default", "postgres")
    assert given["POSTGRE_USER"] == given["POSTGRE_NAME"] == deploy_compose.POSTGRES_USER
    users = [name for name, one in SERVICES.items() if "compose/postgres.env" in str(one.get("env_file"))]
    assert users == ["postgres", "label-studio"]


def test_mlflow_loses_nothing_when_it_starts_again():
    command, volumes = SERVICES["mlflow"]["command"], SERVICES["mlflow"]["volumes"]
    assert volumes == ["mlflow:/mlflow"]
    stores = [one.partition("=")[2] for one in command if "-store-uri=" in one or "-destination=" in one]
    assert stores == ["sqlite:////mlflow/mlflow.db", "/mlflow/artifacts"]


@pytest.mark.parametrize("name", SERVERS)
def test_server_is_pinned_healthy_before_use_and_local_only(name):
    server = SERVICES[name]
    assert not server["image"].endswith((":latest", ":stable"))
    assert server["healthcheck"]["test"][0] == "CMD"
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])
    assert SERVICES["setup"]["depends_on"][name] == {"condition": "service_healthy"}


def test_localstack_is_the_version_that_the_tests_run():
    pinned = (ROOT / "infra" / "requirements" / "localstack.txt").read_text()
    version = pinned.split("localstack-core==")[1].split()[0]
    assert SERVICES["localstack"]["image"] == f"localstack/localstack:${{LOCALSTACK_TAG:-{version}}}"


@pytest.mark.parametrize(
    ("service", "package", "requirements"),
    [("label-studio", "label-studio", "label-studio"), ("mlflow", "mlflow", "training")],
)
def test_the_servers_are_the_versions_that_the_tests_run(service, package, requirements):
    pinned = (ROOT / "infra" / "requirements" / f"{requirements}.txt").read_text()
    version = pinned.split(f"\n{package}==")[1].split()[0]
    assert SERVICES[service]["image"].rpartition(":")[2].removeprefix("v") == version


def test_every_named_volume_is_declared_and_used():
    named = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume[0] not in "./$"
    }
    assert named == set(COMPOSE["volumes"])


def test_no_password_stands_in_the_file():
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name
            assert "TOKEN" not in name or name.endswith("API_TOKEN") or str(value).startswith("${")


def test_the_setup_takes_the_arguments_that_the_file_gives(monkeypatch):
    calls = []
    monkeypatch.setattr(deploy_compose, "set_up", lambda *given: calls.append(given))
    arguments = [
        str(one).replace("${CLASSES:-0,1", "0,1").rstrip("}") for one in SERVICES["setup"]["command"]
    ]
    assert deploy_compose.main(["setup", *arguments]) == 0
    ((network, classes, build_dir, settings, project),) = calls
    assert network.endpoint_url == SERVICES["setup"]["environment"]["AWS_ENDPOINT_URL"]
    assert len(network.published) == 3
    assert classes == tuple("0123456789")
    assert build_dir == Path(".octospoon/build-aws")
    assert (settings.name, project.name) == ("trainer.env", "project.json")


def test_sign_in_is_made_once_and_readable_only_by_us(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert deploy_compose.main(["secrets"]) == 0
    file = tmp_path / deploy_compose.LABEL_STUDIO_ENV
    first = file.read_text()
    assert deploy_compose.main(["secrets"]) == 0
    assert file.read_text() == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    values = dict(line.split("=", 1) for line in first.splitlines())
    assert len(values["LABEL_STUDIO_USER_TOKEN"]) == 40
    assert len(values["LABEL_STUDIO_PASSWORD"]) >= 16


def test_database_password_is_made_once_for_both(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert deploy_compose.main(["secrets"]) == 0
        text = (tmp_path / deploy_compose.POSTGRES_ENV).read_text()
    values = dict(line.split("=", 1) for line in text.splitlines())
    assert values["POSTGRES_PASSWORD"] == values["POSTGRE_PASSWORD"]
    assert len(values["POSTGRES_PASSWORD"]) >= 32
    assert values["POSTGRES_USER"] == deploy_compose.POSTGRES_USER
    assert stat.S_IMODE((tmp_path / deploy_compose.POSTGRES_ENV).stat().st_mode) == 0o600


def test_the_addresses_are_told_once_there_are_any(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert deploy_compose.main(["addresses"]) == 1
    assert "make dockercomposeup" in capsys.readouterr().err
    deploy_compose.main(["secrets"])
    remember(LocalProject("http://a:1", {"ImagesBucket": "pictures"}, "http://b:2", 7, "http://c:3"))

    assert deploy_compose.main(["addresses"]) == 0

    shown = capsys.readouterr().out
    password = (tmp_path / deploy_compose.LABEL_STUDIO_ENV).read_text().split("PASSWORD=")[1].split()[0]
    for part in ("http://b:2/projects/7/data", "http://c:3", "s3://pictures at http://a:1", password):
        assert part in shown


def test_a_setup_without_a_token_says_what_makes_it(tmp_path, monkeypatch):
    monkeypatch.delenv(deploy_compose.TOKEN, raising=False)
    network = deploy_compose.Network("http://a", "http://b", "http://c", ("d", "e", "f"))
    with pytest.raises(NotConfigured, match="make dockercomposeup"):
        deploy_compose.set_up(network, ["a", "b"], tmp_path, tmp_path / "s", tmp_path / "p")
