"""The three real servers: they start, answer, reach each other, and leave nothing behind."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from octospoon.cli.stack import down, kept, resumable, start, templates, upgrades
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.ports import HOST, free_port
from octospoon.cli.stack.process import MARK
from octospoon.cli.stack.services import SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.cli.stack import RunningStack

pytestmark = pytest.mark.stack(own=True)
ROOT = Path(__file__).parents[3]
OLDER = """
import sys
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db import utils

engine = utils.create_sqlalchemy_engine_with_retry(sys.argv[1])
utils.InitialBase.metadata.create_all(engine)
config = utils._get_alembic_config(sys.argv[1])
revisions = [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()]
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, revisions[10])
"""
"""Makes the database of an MLflow that is ten changes of the schema older."""
AWS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def stack():
    with start(ROOT, progress=print, fresh=True, name="test") as running:
        yield running


def get(url: str, path: str, token: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request("GET", path, headers={"Authorization": f"Token {token}"} if token else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def post(url: str, path: str, body: str, token: str) -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def marked(name: str) -> set[int]:
    """Return the processes whose environment marks them as a stack's."""
    variable = f"{MARK}={name}".encode()
    pids = set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if variable in environ.read_bytes().split(b"\0"):
                pids.add(int(environ.parent.name))
        except OSError:
            continue
    return pids


def test_label_studio_knows_the_token(stack):
    status, body = get(stack.label_studio_url, "/api/projects", stack.credentials.token)
    assert status == http.HTTPStatus.OK
    assert json.loads(body)["count"] == 0


def test_mlflow_keeps_its_data_in_the_run_folder(stack):
    status, body = get(stack.mlflow_url, "/api/2.0/mlflow/experiments/get?experiment_id=0")
    assert status == http.HTTPStatus.OK
    assert json.loads(body)["experiment"]["artifact_location"] == "mlflow-artifacts:/0"
    with contextlib.closing(sqlite3.connect(stack.run_dir / "mlflow/mlflow.db")) as database:
        assert database.execute("SELECT name FROM experiments").fetchall() == [("Default",)]
    connection = http.client.HTTPConnection(stack.mlflow_url.removeprefix("http://"), timeout=30)
    connection.request("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/a/words.txt", b"some words")
    assert connection.getresponse().status == http.HTTPStatus.OK
    connection.close()
    assert (stack.run_dir / "mlflow/artifacts/0/a/words.txt").read_bytes() == b"some words"


def test_mlflow_answers_no_page_of_others(stack):
    connection = http.client.HTTPConnection(stack.mlflow_url.removeprefix("http://"), timeout=30)
    path = "/api/2.0/mlflow/experiments/get?experiment_id=0"
    connection.request("GET", path, headers={"Host": "evil.example"})
    assert connection.getresponse().status == http.HTTPStatus.FORBIDDEN
    connection.close()


def test_localstack_keeps_its_files_in_the_run_folder(stack):
    s3 = boto3.client("s3", endpoint_url=stack.aws_url, **AWS)  # type: ignore[call-overload]
    s3.create_bucket(Bucket="files")
    s3.put_object(Bucket="files", Key="words", Body=b"some words" * 100_000)
    assert s3.get_object(Bucket="files", Key="words")["Body"].read(10) == b"some words"
    assert any((stack.run_dir / "tmp").rglob("*"))
    s3.close()


def test_nothing_is_left():
    with start(ROOT, progress=print, fresh=True, name="test") as stack:
        assert len(marked(stack.name)) >= 6
        ports = [int(url.rpartition(":")[2]) for url in stack.urls.values()]
    began = time.monotonic()
    while marked(stack.name) and time.monotonic() - began < 5:
        time.sleep(0.05)
    assert marked(stack.name) == set()
    assert not stack.run_dir.exists()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            http.client.HTTPConnection(HOST, port, timeout=5).connect()


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A separate checkout for a stack that stays running."""
    for name in ("envs", "state/label-studio-template", "state/mlflow-template", "state/credentials.json"):
        (tmp_path / ".octospoon" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / ".octospoon" / name).symlink_to(ROOT / ".octospoon" / name)
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    yield tmp_path
    down(tmp_path, progress=print)
    assert not [pid for pid in marked("up") if Path(f"/proc/{pid}/cwd").readlink().is_relative_to(tmp_path)]


def test_ended_part_of_a_detached_stack_gets_its_data(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, service in SERVICES.items():  # other tests run at the same time
        monkeypatch.setitem(SERVICES, name, dataclasses.replace(service, port=free_port()))

    def up() -> RunningStack:
        services = ("localstack", "label-studio")
        return start(checkout, progress=print, services=services, detached=True)

    def kill(name: str) -> None:
        (process,) = [candidate for candidate in stack.processes if candidate.name == name]  # type: ignore[attr-defined]
        os.kill(process.pid, signal.SIGKILL)
        while process.alive():
            time.sleep(0.02)

    stack = up()
    s3 = boto3.client("s3", endpoint_url=stack.aws_url, **AWS)  # type: ignore[call-overload]
    s3.create_bucket(Bucket="my-images-1")
    image = os.urandom(600_000)
    s3.put_object(Bucket="my-images-1", Key="cat/a picture.jpg", Body=image)
    project = json.dumps({"title": "mine"})
    assert (
        post(stack.label_studio_url, "/api/projects/", project, stack.credentials.token)
        == http.HTTPStatus.CREATED
    )

    for name in ("label-studio", "localstack"):
        kill(name)
        again = up()
        assert again.urls == stack.urls
        projects = json.loads(get(again.label_studio_url, "/api/projects", stack.credentials.token)[1])
        assert [project["title"] for project in projects["results"]] == ["mine"]
        if name == "localstack":  # its buckets are those of the template, which creates them again
            s3.create_bucket(Bucket="my-images-1")
        assert s3.get_object(Bucket="my-images-1", Key="cat/a picture.jpg")["Body"].read() == image
        stack = again
    s3.close()
    shown = checkout / ".octospoon/data/localstack/objects/my-images-1/cat/a picture.jpg"
    assert shown.read_bytes() == image
    assert kept.description(Layout(checkout), Layout(checkout).data).endswith("1 images)")
    assert not kept.folders(Layout(checkout))


def test_mlflow_goes_on_with_the_database_of_an_older_version(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = dataclasses.replace(SERVICES["mlflow"], port=free_port())
    monkeypatch.setitem(SERVICES, "mlflow", mlflow)
    layout = Layout(checkout)
    resumable.mark(layout)
    data = layout.data / "mlflow"
    shutil.copytree(layout.template("mlflow"), data)
    stamp, database = data / templates.MADE_WITH, data / "mlflow.db"
    stamp.write_text("an older version\n" + "".join(stamp.read_text().splitlines(keepends=True)[1:]))
    newest = revision(database)
    database.unlink()
    subprocess.run([layout.program("mlflow", "python"), "-c", OLDER, f"sqlite:///{database}"], check=True)
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage)"
            " VALUES (1, 'mine', 'mlflow-artifacts:/1', 'active')"
        )
    older = revision(database)

    stack = start(checkout, progress=print, services=("mlflow",), detached=True)

    status, body = get(stack.mlflow_url, "/api/2.0/mlflow/experiments/get-by-name?experiment_name=mine")
    assert status == http.HTTPStatus.OK
    assert json.loads(body)["experiment"]["experiment_id"] == "1"
    (copy,) = (data / upgrades.BEFORE).iterdir()
    assert older != newest
    assert (revision(copy), revision(database)) == (older, newest)


def revision(database: Path) -> str:
    """Return the version of the schema of MLflow's database."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
