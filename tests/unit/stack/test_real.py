"""The three real servers: they start, answer, reach each other, and leave nothing behind."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path

import boto3
import pytest

from octospoon.cli.stack import start
from octospoon.cli.stack.ports import HOST
from octospoon.cli.stack.process import MARK

pytestmark = pytest.mark.stack(own=True)
ROOT = Path(__file__).parents[3]


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


def marked(name: str) -> set[int]:
    """Return the processes whose environment says that they belong to a stack."""
    wanted = f"{MARK}={name}".encode()
    found = set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in environ.read_bytes().split(b"\0"):
                found.add(int(environ.parent.name))
        except OSError:
            continue
    return found


def test_label_studio_knows_the_token(stack):
    status, body = get(stack.label_studio_url, "/api/projects", stack.credentials.token)
    assert status == http.HTTPStatus.OK
    assert json.loads(body)["count"] == 0


def test_mlflow_answers(stack):
    status, _ = get(stack.mlflow_url, "/api/2.0/mlflow/experiments/get?experiment_id=0")
    assert status == http.HTTPStatus.OK


def test_localstack_keeps_its_files_in_the_run_folder(stack):
    aws = {
        "endpoint_url": stack.aws_url,
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "region_name": "us-east-1",
    }
    s3 = boto3.client("s3", **aws)
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
