"""`octospoon label-studio-connect` never gives Label Studio the keys of the person who runs it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from octospoon.adapters.label_studio.api import LabelStudioApi
from octospoon.adapters.label_studio.setup import LabelStudioSetup
from octospoon.cli.main import main
from octospoon.cli.operations import label_studio_access
from octospoon.cli.operations.label_studio_access import Credentials, connect, connected
from octospoon.domain.errors import BadRequest, NotConfigured, ServiceUnavailable

MINE = "AKIAOPERATOROPERATOR"
NEW = "AKIALABELSTUDIO00002"
OLDER = "AKIALABELSTUDIO00001"
DATE = "2026-01-01T00:00:00Z"


class LabelStudio:
    """Label Studio's storages and webhooks, over its HTTP interface."""

    def __init__(self) -> None:
        self.storages: list[dict[str, Any]] = []
        self.refuses = False

    def call(self, method: str, path: str, json: dict[str, Any] | None = None) -> Any:
        if not path.startswith("/api/storages/s3"):
            return []
        if method == "GET":
            return self.storages
        if self.refuses:
            raise BadRequest("Label Studio cannot read the bucket")
        assert json is not None
        if method == "POST":
            self.storages.append({"id": 1, **json})
        else:
            self.storages[0] |= json
        return {}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """IAM and S3 in Ireland, with the keys of an operator."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", MINE)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "operators-secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "operators-token")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setattr(label_studio_access, "_wait_until_valid", lambda *_: None)
    return {name: boto3.client(name, region_name="eu-west-1") for name in ("iam", "s3")}


def deployment(aws: dict[str, Any], **outputs: str) -> Any:
    return SimpleNamespace(
        endpoint_url=None,
        outputs={
            "ImagesBucket": "images",
            "WebhookSecretArn": "arn:hook",
            "WebhookUrl": "https://hook",
            **outputs,
        },
        client=aws.__getitem__,
        secret=lambda name: name,
    )


def with_keys(iam: Any, *keys: str) -> Stubber:
    stub = Stubber(iam)
    known = [{"UserName": "user", "AccessKeyId": key} for key in keys]
    stub.add_response("list_access_keys", {"AccessKeyMetadata": known}, {"UserName": "user"})
    return stub


def making(iam: Any, *keys: str) -> Stubber:
    stub = with_keys(iam, *keys)
    made = {"UserName": "user", "AccessKeyId": NEW, "Status": "Active", "SecretAccessKey": "its-secret"}
    stub.add_response("create_access_key", {"AccessKey": made}, {"UserName": "user"})
    return stub


def setup(server: LabelStudio) -> LabelStudioSetup:
    return LabelStudioSetup(server)


def test_keys_of_the_operator_stay_with_the_operator(aws: dict[str, Any]) -> None:
    server = LabelStudio()
    with pytest.raises(NotConfigured, match="--new-key"):
        connect(setup(server), 3, deployment(aws, LabelStudioUser="user"))

    connect(setup(server), 3, deployment(aws, LabelStudioRole="label-studio"))
    with making(aws["iam"]):
        connect(setup(server), 3, deployment(aws, LabelStudioUser="user"), Credentials.NEW_KEY)
    connect(setup(server), 3, deployment(aws, LabelStudioUser="user"))

    (storage,) = server.storages
    assert storage["aws_access_key_id"] == NEW
    assert "operators" not in repr(server.storages)
    assert MINE not in repr(server.storages)


def test_label_studio_signs_for_the_region_of_the_bucket(aws: dict[str, Any]) -> None:
    server = LabelStudio()
    connect(setup(server), 3, deployment(aws, LabelStudioRole="label-studio"))

    (storage,) = server.storages
    assert storage["s3_endpoint"] == "https://s3.eu-west-1.amazonaws.com"
    assert (storage["region_name"], storage["aws_access_key_id"]) == ("eu-west-1", "")
    # as Label Studio signs
    client = boto3.client("s3", region_name=storage["region_name"], endpoint_url=storage["s3_endpoint"])
    signed = client.generate_presigned_url("get_object", Params={"Bucket": "images", "Key": "a.png"})
    assert signed.startswith("https://s3.eu-west-1.amazonaws.com/images/a.png?")


def test_a_rotated_key_leaves_the_older_one_to_a_person(aws: dict[str, Any]) -> None:
    with making(aws["iam"], OLDER):
        made = connect(setup(LabelStudio()), 3, deployment(aws, LabelStudioUser="user"), Credentials.NEW_KEY)

    lines = "\n".join(connected(3, made))
    assert NEW in lines
    assert f"aws iam delete-access-key --user-name user --access-key-id {OLDER}" in lines
    assert "its-secret" not in lines + repr(made)


def test_a_third_key_is_refused_with_what_to_do(aws: dict[str, Any]) -> None:
    with (
        with_keys(aws["iam"], OLDER, NEW),
        pytest.raises(BadRequest, match=f"{OLDER} and {NEW}.*delete-access-key"),
    ):
        connect(setup(LabelStudio()), 3, deployment(aws, LabelStudioUser="user"), Credentials.NEW_KEY)


@pytest.mark.parametrize("refuses", ["label-studio", "aws"])
def test_a_key_that_nobody_uses_is_removed(
    aws: dict[str, Any], refuses: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise ServiceUnavailable("the key is not valid yet")

    server = LabelStudio()
    server.refuses = refuses == "label-studio"
    if refuses == "aws":
        monkeypatch.setattr(label_studio_access, "_wait_until_valid", never)
    stub = making(aws["iam"])
    stub.add_response("delete_access_key", {}, {"UserName": "user", "AccessKeyId": NEW})
    with stub, pytest.raises((BadRequest, ServiceUnavailable)):
        connect(setup(server), 3, deployment(aws, LabelStudioUser="user"), Credentials.NEW_KEY)
    stub.assert_no_pending_responses()


def test_a_stack_without_a_user_makes_no_key(aws: dict[str, Any]) -> None:
    with pytest.raises(NotConfigured, match="reads with the role label-studio"):
        connect(setup(LabelStudio()), 3, deployment(aws, LabelStudioRole="label-studio"), Credentials.NEW_KEY)


def test_address_project_and_token_come_from_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    made, closed = list[int](), list[str]()
    stack = SimpleNamespace(
        label_studio_project=7, label_studio=lambda: SimpleNamespace(close=lambda: closed.append("stack"))
    )
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: stack)
    monkeypatch.setattr(
        "octospoon.cli.operations.label_studio_access.connect",
        lambda setup, project, *_: made.append(project),
    )
    monkeypatch.setattr(LabelStudioApi, "close", lambda self: closed.append(self.url))
    monkeypatch.setattr(LabelStudioApi, "__init__", lambda self, url, token: setattr(self, "url", url))
    monkeypatch.delenv("LABEL_STUDIO_TOKEN", raising=False)
    assert main(["label-studio-connect", "--stack", "prod"]) == 0
    assert (made, closed) == ([7], ["stack"])

    other = ["label-studio-connect", "--stack", "prod", "--url", "https://other", "--project", "3"]
    assert main(other) == 1, "the stack's token does not go to another address"
    monkeypatch.setenv("LABEL_STUDIO_TOKEN", "mine")
    assert main(other) == 0
    assert (made, closed) == ([7, 3], ["stack", "https://other"])
