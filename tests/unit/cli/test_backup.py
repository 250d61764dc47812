"""The backup of a stack on AWS, and the output of its commands."""

from __future__ import annotations

import json
import tarfile
from types import SimpleNamespace
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber

from octospoon.cli.main import main
from octospoon.cli.operations import backup as operation
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.task_types.classification import CLASSIFICATION

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Stubber:
    """A stack whose pool has two pages of items, and no labels."""
    client = boto3.client(
        "dynamodb", region_name="eu-west-1", aws_access_key_id="key", aws_secret_access_key="secret"
    )
    stubber = Stubber(client)
    items = [{"key": {"S": "é.png"}, "embedding": {"B": b"\x00\xff"}}], [{"key": {"S": "b.png"}}]
    first = {"Items": items[0], "LastEvaluatedKey": {"key": {"S": "é.png"}}}
    stubber.add_response("scan", first, {"TableName": "pool"})
    stubber.add_response(
        "scan", {"Items": items[1]}, {"TableName": "pool", "ExclusiveStartKey": {"key": {"S": "é.png"}}}
    )
    for table in ("annotations", "control"):
        stubber.add_response("scan", {"Items": []}, {"TableName": table})
    stubber.activate()
    outputs = {output: name for name, output in operation.TABLES.items()} | {"ImagesBucket": "images"}
    deployment = SimpleNamespace(
        task_type=CLASSIFICATION,
        outputs=outputs,
        client=lambda _: client,
        pool_report=SimpleNamespace(labelled=lambda: iter(())),
        class_record=lambda: SimpleNamespace(read=ClassHistory),
    )
    monkeypatch.setattr(operation, "find_deployment", lambda _: deployment)
    return stubber


def test_a_stack_on_aws_gives_its_tables_and_labels(
    aws: Stubber, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prod.tar"

    assert main(["backup", str(file), "--stack", "prod", "--json"]) == 0

    aws.assert_no_pending_responses()
    assert json.loads(capsys.readouterr().out) == {
        "file": str(file),
        "bytes": file.stat().st_size,
        "pool_items": 2,
        "annotations_items": 0,
        "control_items": 0,
        "labels": 0,
    }
    with tarfile.open(file) as archive:
        names = archive.getnames()
        member = archive.extractfile("pool.jsonl")
        assert member is not None
        items = [json.loads(line) for line in member]
    assert names == ["backup.json", "annotations.jsonl", "control.jsonl", "labels.csv", "pool.jsonl"]
    assert items == [{"key": {"S": "é.png"}, "embedding": {"B": "AP8="}}, {"key": {"S": "b.png"}}]


def test_a_backup_of_aws_is_not_restored(
    aws: Stubber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, checkout = tmp_path / "prod.tar", tmp_path / "checkout"
    checkout.mkdir()
    monkeypatch.chdir(checkout)
    assert main(["backup", str(file), "--stack", "prod"]) == 0

    assert main(["restore", str(file)]) == 1

    assert "contains the tables of a stack on AWS" in capsys.readouterr().err


def test_a_checkout_with_data_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / ".octospoon/data/mlflow"
    data.mkdir(parents=True)
    (data / "mlflow.db").write_text("mine")

    assert main(["restore", "all.tar"]) == 1

    assert "this checkout has a stack with data" in capsys.readouterr().err
    assert (data / "mlflow.db").read_text() == "mine"
