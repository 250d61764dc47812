"""The key of `infra/key/key.yaml` and the rights of each role on it, as an emulator enforces both.

MiniStack evaluates the policies of roles and of keys for calls to KMS. It does not check what S3, SQS,
DynamoDB and Secrets Manager do with a key for their callers, and LocalStack checks nothing: what those need
is in tests/unit/deploy/test_key_rights.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from ministack import ministack
from unit.deploy.intrinsics import resolved
from unit.deploy.test_key import STATEMENTS
from unit.deploy.test_key_rights import CASES, GIVEN, needed, statements

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION, ACCOUNT = "eu-west-1", "000000000000"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ministack(tmp_path_factory.mktemp("ministack"), AUTH="true") as url:
        yield url


def client(address: str, service: Any, credentials: dict[str, Any] | None = None) -> Any:
    """Return a client; without credentials, that of the account's root."""
    signed = credentials or {"AccessKeyId": "test", "SecretAccessKey": "test", "SessionToken": None}
    return boto3.client(
        service,
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id=signed["AccessKeyId"],
        aws_secret_access_key=signed["SecretAccessKey"],
        aws_session_token=signed["SessionToken"],
    )


def new_key(address: str, statements: list[Any]) -> str:
    policy = resolved(document(statements), {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION})
    created = client(address, "kms").create_key(
        Policy=json.dumps(policy), BypassPolicyLockoutSafetyCheck=True
    )
    return str(created["KeyMetadata"]["Arn"])


def document(statements: list[Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}


def session_of(address: str, name: str, rights: list[Any]) -> dict[str, Any]:
    """Make a role with these rights; return credentials of a session with it."""
    iam = client(address, "iam")
    trust = document([{"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "sts:AssumeRole"}])
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    if rights:
        iam.put_role_policy(RoleName=name, PolicyName="key", PolicyDocument=json.dumps(document(rights)))
    answer = client(address, "sts").assume_role(RoleArn=role, RoleSessionName="session")
    return dict(answer["Credentials"])


def rights_on_key(bearer: str, given: dict[str, str]) -> list[Any]:
    """Return the statements of the template that give a role rights on the key."""
    return resolved([each for each in statements(bearer, given) if "kms:" in json.dumps(each)], given)


def may(kms: Any, key: str, encrypted: bytes) -> set[str]:
    """Return the actions that are not denied."""
    calls = {
        "kms:Decrypt": lambda: kms.decrypt(CiphertextBlob=encrypted),
        "kms:GenerateDataKey": lambda: kms.generate_data_key(KeyId=key, KeySpec="AES_256"),
        "kms:Encrypt": lambda: kms.encrypt(KeyId=key, Plaintext=b"text"),
        "kms:DisableKey": lambda: kms.disable_key(KeyId=key),
        "kms:PutKeyPolicy": lambda: kms.put_key_policy(KeyId=key, PolicyName="default", Policy="{}"),
    }
    allowed = set()
    for action, call in calls.items():
        try:
            call()
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
        else:
            allowed.add(action)
    return allowed


@pytest.mark.parametrize(("bearer", "launcher"), CASES)
def test_each_role_can_do_with_the_key_what_it_needs(address: str, bearer: str, launcher: str) -> None:
    key = new_key(address, STATEMENTS)
    encrypted = client(address, "kms").encrypt(KeyId=key, Plaintext=b"text")["CiphertextBlob"]
    given = GIVEN | {"Launcher": launcher, "KmsKeyArn": key}
    session = session_of(address, f"{bearer}-{launcher}", rights_on_key(bearer, given))

    assert may(client(address, "kms", session), key, encrypted) == needed(bearer, given)


def test_rights_on_one_key_are_none_on_another(address: str) -> None:
    mine, other = new_key(address, STATEMENTS), new_key(address, STATEMENTS)
    encrypted = client(address, "kms").encrypt(KeyId=other, Plaintext=b"text")["CiphertextBlob"]
    session = session_of(address, "stranger", rights_on_key("WebhookRole", GIVEN | {"KmsKeyArn": mine}))

    assert may(client(address, "kms", session), other, encrypted) == set()


def test_a_key_must_leave_the_account_to_iam(address: str) -> None:
    """docs/how-to/use-your-kms-key.md asks for this of a key that somebody has already."""
    without = [each for each in STATEMENTS if each["Sid"] != "LeaveItToIam"]
    encrypts = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:Encrypt", "Resource": "*"}
    key = new_key(address, [*without, encrypts])
    encrypted = client(address, "kms").encrypt(KeyId=key, Plaintext=b"text")["CiphertextBlob"]
    rights = {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": key}
    session = session_of(address, "locked-out", [rights])

    assert may(client(address, "kms", session), key, encrypted) == set()
