"""The containers of infra/services as processes, with a real PostgreSQL; see `make services`.

The commands and variables are the template's. Requests are those that the load balancer sends on: plain HTTP,
with the host of the public address and `X-Forwarded-Proto`. The bucket is LocalStack's.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from integration.deploy import postgres
from unit.deploy.intrinsics import ROOT, resolved

from octospoon.cli.deploy import sam_template
from octospoon.cli.deployment.session import session
from octospoon.cli.stack import start
from octospoon.cli.stack.ports import free_port
from octospoon.cli.stack.services import LOCALSTACK, base_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

pytestmark = [
    pytest.mark.stack(own=True),
    pytest.mark.timeout(1200),
    pytest.mark.skipif("OCTOSPOON_SERVICES" not in os.environ, reason="`make services` runs it"),
    pytest.mark.skipif(bool(postgres.lacks()), reason=f"this machine lacks {postgres.lacks()}"),
]
TEMPLATE = sam_template.read(ROOT / "infra/services/services.yaml")
ENVIRONMENTS = ROOT / ".octospoon/envs"
LABELS, MODELS, BUCKET = "labels.example.org", "mlflow.example.org", "octospoon-services-files"
EMAIL = "someone@example.org"
SECRETS = {
    "DatabasePassword": postgres.PASSWORD,
    "LabelStudioPassword": "aPasswordOfThirtyTwoCharacters12",
    "LabelStudioToken": "0123456789abcdefghijABCDEFGHIJ0123456789",
    "LabelStudioKey": "k" * 64,
    "MlflowPassword": "p" * 48,
    "MlflowKey": "f" * 64,
}
Answer = tuple[int, http.client.HTTPMessage, bytes]


class Containers:
    """The containers of the template, on the servers of this machine.

    Args:
        database: port of PostgreSQL.
        aws: address of LocalStack.
        folder: for their files.
    """

    def __init__(self, database: int, aws: str, folder: Path) -> None:
        given = {
            **SECRETS,
            "LabelStudioHost": LABELS,
            "MlflowHost": MODELS,
            "LabelStudioEmail": EMAIL,
            "Database.Endpoint.Address": "127.0.0.1",
            "Database.Endpoint.Port": str(database),
            "FilesBucket": BUCKET,
        }
        tasks = [TEMPLATE["Resources"][name]["Properties"] for name in ("LabelStudioTask", "MlflowTask")]
        kinds = [
            {key: value for key, value in each.items() if key != "LogConfiguration"}
            for task in tasks
            for each in task["ContainerDefinitions"]
        ]
        self._known = {each["Name"]: resolved(each, given, TEMPLATE) for each in kinds}
        self._aws = {"AWS_ENDPOINT_URL": aws, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        self._folder = folder

    def environment(self, name: str, programs: str = "") -> dict[str, str]:
        """Return the variables of a container, with the secrets that ECS adds."""
        container = self._known[name]
        path = os.pathsep.join(
            [*([str(ENVIRONMENTS / programs / "bin")] if programs else []), postgres.search()]
        )
        return {
            **base_environment(),
            **self._aws,
            **{each["Name"]: each["Value"] for each in container["Environment"]},
            **{each["Name"]: each["ValueFrom"] for each in container["Secrets"]},
            "PATH": path,
            "HOME": str(self._folder),
        }

    def command(self, name: str) -> list[str]:
        """Return the words that the container runs."""
        return [*self._known[name]["EntryPoint"], *self._known[name]["Command"]]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Client]:
    """A client of LocalStack's S3, with the bucket."""
    with start(ROOT, services=[LOCALSTACK], progress=print, fresh=True, name="services") as servers:
        client = session(servers.aws_url).client("s3", endpoint_url=servers.aws_url)
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture(scope="module")
def containers(s3: S3Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The containers, beside a new PostgreSQL."""
    port = free_port()
    with postgres.server(port):
        yield Containers(port, s3.meta.endpoint_url, tmp_path_factory.mktemp("services"))


@contextmanager
def running(command: list[str], environment: dict[str, str], port: int, folder: Path) -> Iterator[int]:
    """Run a server until it is healthy; stop it as ECS does."""
    folder.mkdir(exist_ok=True)
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
    try:
        while not healthy(port):
            assert process.poll() is None, log.read_text()[-5000:]
            time.sleep(0.5)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def healthy(port: int) -> bool:
    """Ask as the load balancer does, with the address of the container as host."""
    try:
        return call(port, "GET", "/health", f"10.0.0.1:{port}")[0] == 200
    except OSError:
        return False


def call(port: int, method: str, path: str, host: str, body: Any = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = {"Host": host, "X-Forwarded-Proto": "https"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    if isinstance(body, dict):
        body, sent = json.dumps(body), {"Content-Type": "application/json"} | sent
    try:
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def keys(s3: S3Client, folder: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET, Prefix=folder).get("Contents", [])]


def make_databases(containers: Containers) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        containers.command("databases"),
        env=containers.environment("databases"),
        capture_output=True,
        text=True,
        check=False,
    )


def test_databases_are_made_once_and_a_failure_is_one(containers: Containers) -> None:
    for _ in range(2):
        done = make_databases(containers)
        assert done.returncode == 0, done.stderr

    listed = subprocess.run(
        [
            "psql",
            "--tuples-only",
            "--no-align",
            "--dbname=label_studio",
            "--command=SELECT datname FROM pg_database",
        ],
        env=containers.environment("databases"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"label_studio", "mlflow", "mlflow_auth"} < set(listed.stdout.split())
    wrong = containers.environment("databases") | {"PGPASSWORD": "wrong"}
    failed = subprocess.run(containers.command("databases"), env=wrong, capture_output=True, check=False)
    assert failed.returncode != 0, "MLflow must not start without its databases"


def mlflow(containers: Containers, folder: Path) -> Any:
    port = free_port()
    here = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5000": f"--port={port}"}
    *shell, script = containers.command("mlflow")
    for there, value in here.items():
        assert there in script
        script = script.replace(there, value)
    environment = containers.environment("mlflow", "services")
    environment["MLFLOW_AUTH_CONFIG_PATH"] = str(folder / "basic_auth.ini")
    return running([*shell, script], environment, port, folder)


def test_mlflow_keeps_runs_users_and_artifacts(containers: Containers, s3: S3Client, tmp_path: Path) -> None:
    assert make_databases(containers).returncode == 0
    api, secret = "/api/2.0/mlflow", f"octospoon:{SECRETS['MlflowPassword']}"
    basic = f"Basic {base64.b64encode(secret.encode()).decode()}"
    search = f"{api}/experiments/search?max_results=9"

    with mlflow(containers, tmp_path) as port:
        assert call(port, "GET", search, MODELS)[0] == 401
        assert call(port, "GET", search, "other.example.org", Authorization=basic)[0] == 403
        assert call(port, "GET", search, MODELS, Authorization=basic)[0] == 200
        new = ("POST", f"{api}/experiments/create", MODELS)
        for name, origin, status in [
            ("ui", f"https://{MODELS}", 200),
            ("foe", "https://foe.example.org", 403),
        ]:
            assert call(port, *new, {"name": name}, Authorization=basic, Origin=origin)[0] == status
        artifact = "/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts/model.onnx"
        stored = call(port, "PUT", artifact, MODELS, b"model", Authorization=basic)
        assert stored[0] == 200, stored
        user = {"username": "somebody", "password": "aLongEnoughPassword"}
        assert call(port, "POST", f"{api}/users/create", MODELS, user, Authorization=basic)[0] == 200
    assert keys(s3, "mlflow/") == ["mlflow/1/run/artifacts/model.onnx"]

    (tmp_path / "basic_auth.ini").unlink()  # a new container has an empty disk
    with mlflow(containers, tmp_path) as port:
        theirs = f"Basic {base64.b64encode(b'somebody:aLongEnoughPassword').decode()}"
        status, _, body = call(port, "GET", search, MODELS, Authorization=theirs)
        assert (status, "ui" in body.decode(), "foe" in body.decode()) == (200, True, False)
        assert call(port, "GET", artifact, MODELS, Authorization=basic)[2] == b"model"


def label_studio(containers: Containers, folder: Path) -> Any:
    port = free_port()
    program = str(ENVIRONMENTS / "label-studio/bin/label-studio")
    command = [program, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    data = folder / "data"
    environment = containers.environment("label-studio", "label-studio") | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(data)
    }
    return running(command, environment, port, folder)


def sign_in(port: int, origin: str) -> tuple[int, SimpleCookie]:
    status, headers, page = call(port, "GET", "/user/login/", LABELS)
    assert status == 200
    form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.decode())
    assert form
    cookie = SimpleCookie(headers["Set-Cookie"])["csrftoken"].value
    fields = {"csrfmiddlewaretoken": form[1], "email": EMAIL, "password": SECRETS["LabelStudioPassword"]}
    said = call(
        port,
        "POST",
        "/user/login/",
        LABELS,
        urlencode(fields),
        Content_Type="application/x-www-form-urlencoded",
        Cookie=f"csrftoken={cookie}",
        Origin=origin,
        Referer=f"{origin}/user/login/",
    )
    cookies: SimpleCookie = SimpleCookie()
    for line in said[1].get_all("Set-Cookie", []):
        cookies.load(line)
    return said[0], cookies


def test_label_studio_keeps_projects_sessions_and_uploads(
    containers: Containers, s3: S3Client, tmp_path: Path
) -> None:
    token = {"Authorization": f"Token {SECRETS['LabelStudioToken']}"}
    with label_studio(containers, tmp_path / "first") as port:
        assert call(port, "GET", "/api/projects", LABELS)[0] == 401
        config = '<View><Image name="image" value="$image"/></View>'
        made = call(port, "POST", "/api/projects", LABELS, {"title": "cats", "label_config": config}, **token)
        assert made[0] == 201, made
        head = b'Content-Disposition: form-data; name="file"; filename="tasks.json"'
        upload = b"--x\r\n" + head + b'\r\n\r\n[{"image": "s3://images/cat.jpg"}]\r\n--x--\r\n'
        path = f"/api/projects/{json.loads(made[2])['id']}/import"
        sent = call(
            port, "POST", path, LABELS, upload, Content_Type="multipart/form-data; boundary=x", **token
        )
        assert sent[0] == 201, sent
        assert call(port, "POST", "/user/signup/", LABELS)[0] == 403
        assert sign_in(port, "https://foe.example.org")[0] == 403
        status, cookies = sign_in(port, f"https://{LABELS}")
        assert status == 302
        session = cookies["sessionid"]
        assert session["secure"]
    (uploaded,) = keys(s3, "label-studio/")
    assert uploaded.endswith("tasks.json")

    with label_studio(containers, tmp_path / "second") as port:  # a new container has an empty disk
        status, _, body = call(port, "GET", "/api/projects", LABELS, Cookie=f"sessionid={session.value}")
        assert (status, json.loads(body)["results"][0]["title"]) == (200, "cats")
