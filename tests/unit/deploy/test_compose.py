"""The compose file: accepted by both tools, local only, healthy before use, without secrets in it."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from octospoon.cli.deployment import LocalProject, remember
from octospoon.cli.local import compose as deploy_compose
from octospoon.cli.local import compose_files, saved_settings, upgrade_mlflow
from octospoon.cli.local import redeploy as redeploying
from octospoon.cli.local.assemble import Addresses
from octospoon.cli.stack.credentials import Credentials
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.services import LABEL_STUDIO, LOCALSTACK, MLFLOW, RECORD_REQUESTS, SETTINGS, Place
from octospoon.cli.stack.services import SERVICES as PROCESSES
from octospoon.domain.errors import NotConfigured
from octospoon.training.model.model_file import starter_model

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.localstack.yml").read_text())
SERVICES = COMPOSE["services"]
SERVERS = ["localstack", "label-studio", "mlflow"]
"""What people and functions reach; PostgreSQL is for Label Studio alone."""
ENDING = ["mlflow-upgrade", "setup"]
"""What does its work and ends."""

PROCESSES_ONLY = {"OVERRIDE_IN_DOCKER", "FILESYSTEM_ROOT"}
OPTIONS = {"MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"}
"""Variables of the process that the container gets as options of its command."""
OTHER_FILES = {
    "LABEL_STUDIO_BASE_DATA_DIR",  # the image sets it
    *("LABEL_STUDIO_USERNAME", "LABEL_STUDIO_PASSWORD", "LABEL_STUDIO_USER_TOKEN"),
}
TOOLS = {"plug-in": ["docker", "compose"], "docker-compose 1.29": ["docker-compose"]}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with what `prepare` reads, as the working directory; nothing is downloaded."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "template.yaml").symlink_to(ROOT / "template.yaml")
    monkeypatch.setattr(compose_files, "FirstModel", lambda *_: starter_model)
    return tmp_path


def variables(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_the_file_is_valid_by_the_compose_specifications_schema():
    checker = Path(sys.executable).with_name("check-jsonschema")
    command = [checker, "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.localstack.yml"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS)
def test_each_compose_tool_takes_the_file(tool, checkout):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*tool, *arguments], capture_output=True, text=True, check=False)

    if not shutil.which(tool[0]) or run("version").returncode:
        pytest.skip(f"there is no `{' '.join(tool)}` here: the file is checked by its schema alone")
    assert deploy_compose.main(["prepare"]) == 0
    file = str(ROOT / "docker-compose.localstack.yml")
    said = run("--file", file, "--project-directory", str(checkout), "config", "--quiet")
    assert said.returncode == 0, said.stderr


def test_old_compose_knows_every_key_at_the_top():
    assert {name for name in COMPOSE if not name.startswith("x-")} == {"services", "volumes"}


def test_the_database_is_label_studios_alone_and_outlives_its_container():
    postgres, label_studio = SERVICES["postgres"], SERVICES["label-studio"]
    assert postgres["image"].split(":")[1][:2].isdecimal()
    assert "ports" not in postgres
    assert postgres["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    assert postgres["volumes"] == ["postgres:/var/lib/postgresql/data"]
    assert label_studio["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    given = label_studio["environment"]
    assert (given["DJANGO_DB"], given["POSTGRE_HOST"]) == ("default", "postgres")
    assert given["POSTGRE_USER"] == given["POSTGRE_NAME"] == compose_files.POSTGRES_USER
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
    assert SERVICES["localstack"]["build"]["args"]["BASE_IMAGE"] == f"localstack/localstack:{version}"
    assert (
        f"BASE_IMAGE=localstack/localstack:{version}\n" in (ROOT / "infra/localstack/Dockerfile").read_text()
    )


@pytest.mark.parametrize("name", [LOCALSTACK, LABEL_STUDIO, MLFLOW])
def test_a_container_has_the_settings_of_the_process(name, checkout, monkeypatch):
    monkeypatch.delenv(RECORD_REQUESTS)  # that of this run
    assert deploy_compose.main(["prepare"]) == 0

    given = variables(checkout / f".octospoon/compose/{name}-settings.env")

    files = SERVICES[name]["env_file"]
    assert f".octospoon/compose/{name}-settings.env" in ([files] if isinstance(files, str) else files)
    place = Place(Layout(checkout), 1, checkout, checkout, Credentials("a@b.c", "d", "e"))
    process = PROCESSES[name].env(place)
    assert process.items() >= SETTINGS[name].items()
    assert given.items() >= SETTINGS[name].items()
    others = SERVICES[name].get("environment", {})
    assert not set(SETTINGS[name]) & set(others), "one value must not hide the other"
    assert set(process) - PROCESSES_ONLY - OPTIONS - OTHER_FILES <= set(given) | set(others)


def test_classes_parameters_and_backbone_are_those_of_make_up(checkout):
    layout = Layout(checkout)
    saved_settings.remember(layout, saved_settings.UpSettings(("cat", "dog"), {"BatchSize": "20"}))

    assert deploy_compose.main(["prepare", "--set", "AuditShare=0.3", "--backbone", "scattering"]) == 0

    expected = {"BatchSize": "20", "AuditShare": "0.3"}
    assert saved_settings.recall(layout) == saved_settings.UpSettings(("cat", "dog"), expected, "scattering")
    assert (checkout / compose_files.FIRST_MODEL).read_bytes() == starter_model()


def test_fine_tuning_without_pytorch_in_the_image_is_refused(checkout, capsys, monkeypatch):
    monkeypatch.delenv("TRAINING_REQUIREMENTS", raising=False)
    assert deploy_compose.main(["prepare", "--set", "Trainer=finetune"]) == 1
    assert "TRAINING_REQUIREMENTS=finetune" in capsys.readouterr().err
    monkeypatch.setenv("TRAINING_REQUIREMENTS", "finetune")
    assert deploy_compose.main(["prepare", "--set", "Trainer=finetune"]) == 0


def test_a_running_stack_of_make_up_is_in_the_way(checkout, capsys, monkeypatch):
    monkeypatch.setattr(compose_files, "attach", lambda _: object())
    assert deploy_compose.main(["prepare"]) == 1
    assert "make down" in capsys.readouterr().err
    assert not (checkout / ".octospoon/compose").exists()


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
    monkeypatch.setattr(deploy_compose.SetUp, "__call__", lambda *given: calls.append(given))
    monkeypatch.setenv(compose_files.TOKEN, "token")
    given = [*SERVICES["setup"]["entrypoint"][3:], *SERVICES["setup"]["command"]]
    arguments = [re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(one)) for one in given]
    assert deploy_compose.main(arguments) == 0
    ((set_up, backbone),) = calls
    assert set_up.servers.aws_url == SERVICES["setup"]["environment"]["AWS_ENDPOINT_URL"]
    assert set_up.published == deploy_compose.Published(
        "http://127.0.0.1:4566", "http://127.0.0.1:8080", "http://127.0.0.1:5000"
    )
    assert (set_up.servers.token, backbone) == ("token", "")
    assert (set_up.trainer_env.name, set_up.project_file.name) == ("trainer.env", "project.json")


def test_label_studio_accepts_the_address_that_its_webhook_has():
    host = urlsplit(SERVICES["setup"]["environment"]["AWS_ENDPOINT_URL"]).hostname
    assert "." in host
    assert SERVICES["localstack"]["networks"]["default"]["aliases"] == [host]


def test_mlflows_database_is_upgraded_before_its_server_starts():
    upgrade, server = SERVICES["mlflow-upgrade"], SERVICES["mlflow"]
    assert server["depends_on"] == {"mlflow-upgrade": {"condition": "service_completed_successfully"}}
    assert upgrade["entrypoint"] == ["python", "-m", upgrade_mlflow.__name__, "/mlflow/mlflow.db"]
    assert (upgrade["command"], upgrade["volumes"], upgrade["user"]) == ([], server["volumes"], "0")
    # the image that upgrades has the server's version
    pinned = (ROOT / "infra/requirements/training.txt").read_text().split("\nmlflow==")[1].split()[0]
    assert server["image"].endswith(f":v{pinned}")


def test_the_engine_starts_everything_again_except_for_the_setup():
    setup, redeploy = SERVICES["setup"], SERVICES["redeploy"]
    assert (setup["restart"], redeploy["restart"]) == ("no", "unless-stopped")
    assert SERVICES["mlflow-upgrade"]["restart"] == "no"
    assert redeploy["entrypoint"] == ["python", "-m", redeploying.__name__]
    assert redeploy["command"] == setup["command"]
    servers = {name: one["restart"] for name, one in SERVICES.items() if name not in ENDING}
    assert set(servers.values()) == {"unless-stopped"}


def test_passwords_are_made_once_and_readable_only_by_us(checkout):
    files = [checkout / name for name in (compose_files.LABEL_STUDIO_ENV, compose_files.POSTGRES_ENV)]
    assert deploy_compose.main(["prepare"]) == 0
    first = [file.read_text() for file in files]
    assert deploy_compose.main(["prepare"]) == 0
    assert [file.read_text() for file in files] == first
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    sign_in, database = map(variables, files)
    assert len(sign_in["LABEL_STUDIO_USER_TOKEN"]) == 40
    assert len(sign_in["LABEL_STUDIO_PASSWORD"]) >= 16
    assert database["POSTGRES_PASSWORD"] == database["POSTGRE_PASSWORD"]
    assert len(database["POSTGRES_PASSWORD"]) >= 32
    assert database["POSTGRES_USER"] == compose_files.POSTGRES_USER


def test_the_addresses_are_told_once_there_are_any(checkout, capsys):
    assert deploy_compose.main(["addresses"]) == 1
    assert "make dockercomposeup" in capsys.readouterr().err
    deploy_compose.main(["prepare"])
    outputs = {"ImagesBucket": "pictures", "PoolTable": "pool"}
    remember(LocalProject("http://a:1", outputs, "http://b:2", 7, "http://c:3"))

    assert deploy_compose.main(["addresses"]) == 0

    shown = capsys.readouterr().out
    password = (checkout / compose_files.LABEL_STUDIO_ENV).read_text().split("PASSWORD=")[1].split()[0]
    for part in ("http://b:2/projects/7/data", "http://c:3", "s3://pictures at http://a:1", password):
        assert part in shown


@pytest.mark.parametrize("prepared", [True, False])
def test_a_setup_without_passwords_or_model_says_what_makes_them(prepared, checkout):
    if prepared:
        deploy_compose.main(["prepare"])
    servers = Addresses("http://a", "http://b", "http://c", "" if prepared else "token")
    published = deploy_compose.Published("d", "e", "f")
    set_up = deploy_compose.SetUp(servers, published, checkout / "s", checkout / "p")
    with pytest.raises(NotConfigured, match="make dockercomposeup"):
        set_up()


@pytest.mark.parametrize(
    ("deployed_to", "expected"),
    [
        ("second", ["install onto what LocalStack has"]),
        ("first", ["deploy for project 7 over tables", "install onto tables", "restart the job", "repair"]),
    ],
)
def test_a_new_localstack_gets_its_tables_before_anything_reads_them(
    deployed_to, expected, checkout, monkeypatch
):
    calls, outputs = [], {"ArtifactsBucket": "tables", "ControlTable": "control"}
    project = LocalProject("http://a", outputs, "http://b", 7, "http://c")

    def deploy(_servers, _settings, project_id, *_, before):
        calls.append(f"deploy for project {project_id} over {before['ArtifactsBucket']}")
        return project.outputs

    def install(*given):
        calls.append(f"install onto {given[-1]['ArtifactsBucket'] if given[-1] else 'what LocalStack has'}")
        return None, project

    deploy_compose.main(["prepare"])
    remember(project, checkout / deploy_compose.PROJECT)
    (checkout / redeploying.SESSION).write_text(deployed_to)
    for name, replaced in {
        "deploy_template": deploy,
        "install": install,
        "restart_lost_job": lambda *_: calls.append("restart the job"),
        "repair": lambda *_, full: calls.append("repair"),
        "session_of": lambda _: "second",
        "trainer_settings": lambda _: {},
    }.items():
        monkeypatch.setattr(deploy_compose, name, replaced)
    servers, published = Addresses("a", "b", "c", "token"), deploy_compose.Published("d", "e", "f")

    deploy_compose.SetUp(servers, published, checkout / "trainer.env", checkout / "out.json")()

    assert calls == expected
    assert redeploying.deployed_session(checkout) == "second"


@pytest.fixture
def localstack():
    """The address of a server that tells what LocalStack tells of itself, and the ids that it had so far."""

    sessions = ["first"]

    class Info(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"session_id": sessions[-1]}).encode()
            self.send_response(200 if self.path == "/_localstack/info" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Info) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", sessions
        server.shutdown()


def test_a_new_localstack_is_deployed_to_once(localstack, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append(command))
    url, sessions = localstack
    arguments = [
        f"--endpoint-url={url}",
        f"--trainer-env={tmp_path / 'trainer.env'}",
        "--mlflow-url=http://c",
    ]

    def look():
        tried = redeploying.look(arguments)
        (tmp_path / redeploying.SESSION).write_text(redeploying.session_of(url))  # as `setup` does
        return tried

    assert [look(), look()] == [True, False]
    sessions.append("second")
    assert [look(), look()] == [True, False]
    assert calls[0] == [sys.executable, "-m", "octospoon.cli.local.compose", "setup", *arguments]
    assert len(calls) == 2


def test_nothing_is_deployed_while_localstack_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", pytest.fail)
    arguments = ["--endpoint-url=http://127.0.0.1:1", f"--trainer-env={tmp_path / 'trainer.env'}"]
    assert not redeploying.look(arguments)
