"""LocalStack records every request: its caller, its errors, and the rights that it needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from octospoon.cli.stack import start
from octospoon.cli.stack.services import LOCALSTACK, RECORD_REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.stack(own=True)
ROOT = Path(__file__).parents[3]
SECRET = "4f1c-value-of-the-secret"
ALLOWED = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
}
Clients = "Callable[..., Any]"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("record") / "requests.jsonl"


@pytest.fixture(scope="module")
def url(file: Path) -> Iterator[str]:
    with (
        pytest.MonkeyPatch.context() as patch,
        start_recording(patch, file) as servers,
    ):
        yield servers.aws_url


def start_recording(patch: pytest.MonkeyPatch, file: Path) -> Any:
    patch.setenv(RECORD_REQUESTS, str(file))
    return start(ROOT, services=[LOCALSTACK], progress=print, fresh=True, name="recording")


@pytest.fixture
def client(url: str) -> Callable[..., Any]:
    def make(service: Any, key: str = "test", secret: str = "test", **options: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
            config=Config(**options),
        )

    return make


@pytest.fixture
def lines(file: Path) -> Callable[[], list[dict[str, Any]]]:
    """Return the records since the test began."""
    before = len(file.read_text()) if file.exists() else 0
    return lambda: [json.loads(line) for line in file.read_text()[before:].splitlines()]


def raw(url: str, target: str, service: str, body: Any) -> None:
    """Send a request that botocore would refuse."""
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
    request = AWSRequest("POST", url, headers=headers, data=json.dumps(body))
    SigV4Auth(Credentials("test", "test"), service, "us-east-1").add_auth(request)
    httpx.post(url, headers=dict(request.headers), content=request.data)


def test_valid_requests_have_no_problems_and_no_values(
    client: Callable[..., Any], lines: Callable[[], list[dict[str, Any]]], file: Path
) -> None:
    s3, sqs = client("s3"), client("sqs")
    s3.create_bucket(Bucket="pictures")
    s3.put_object(Bucket="pictures", Key="a b/é+.png", Body=b"\x89bytes-of-an-image", IfNoneMatch="*")
    s3.get_object(Bucket="pictures", Key="a b/é+.png")
    s3.list_objects_v2(Bucket="pictures", Prefix="a")
    s3.delete_objects(Bucket="pictures", Delete={"Objects": [{"Key": "x"}], "Quiet": True})
    with pytest.raises(ClientError):
        s3.head_object(Bucket="pictures", Key="gone")
    queue = sqs.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
    sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "1", "MessageBody": SECRET}])
    client("secretsmanager").create_secret(Name="s", SecretString=SECRET)
    client("iam").create_user(UserName="someone", Tags=[{"Key": "k", "Value": SECRET}])
    client("cloudwatch").list_metrics(Namespace="octospoon")
    client("lambda").list_functions(MaxItems=3)

    made = {(line["service"], line["operation"]): line for line in lines()}

    assert [line for line in made.values() if line["problems"]] == []
    assert {line["caller"] for line in made.values()} == {"operator"}
    assert len(made) == 12
    assert made["s3", "GetObject"]["needs"] == [["s3:GetObject", "arn:aws:s3:::pictures/a b/é+.png"]]
    assert made["s3", "HeadObject"]["needs"] == [
        ["s3:GetObject", "arn:aws:s3:::pictures/gone"],
        ["s3:ListBucket", "arn:aws:s3:::pictures"],
    ]
    assert made["s3", "ListObjectsV2"]["conditions"] == {"s3:prefix": ["a"]}
    assert made["sqs", "SendMessageBatch"]["needs"] == [
        ["sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:q"]
    ]
    assert SECRET not in file.read_text()
    assert "bytes-of-an-image" not in file.read_text()


@pytest.mark.parametrize(
    ("target", "service", "body", "problem"),
    [
        ("DynamoDB_20120810.GetItem", "dynamodb", {"TableName": "t", "Key": {}, "Keys": 1}, "Keys: unknown"),
        ("DynamoDB_20120810.GetItem", "dynamodb", {"TableName": "t"}, "missing required field Key"),
        ("AmazonSQS.SendMessage", "sqs", {"QueueUrl": 7, "MessageBody": SECRET}, "QueueUrl: invalid type"),
        ("secretsmanager.GetSecretValue", "secretsmanager", {"SecretId": ""}, "SecretId: invalid length"),
    ],
)
def test_invalid_request_is_recorded_with_what_is_wrong(
    url: str,
    lines: Callable[[], list[dict[str, Any]]],
    target: str,
    service: str,
    body: dict[str, Any],
    problem: str,
) -> None:
    raw(url, target, service, body)

    (line,) = lines()

    assert [message for message in line["problems"] if problem in message] != [], line
    assert SECRET not in json.dumps(line)


def test_caller_and_its_policies_are_recorded(
    client: Callable[..., Any], lines: Callable[[], list[dict[str, Any]]]
) -> None:
    iam = client("iam")
    trust = {"Version": "2012-10-17", "Statement": []}
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="reader", PolicyName="read", PolicyDocument=json.dumps(ALLOWED))
    iam.create_user(UserName="annotator")
    iam.put_user_policy(UserName="annotator", PolicyName="look", PolicyDocument=json.dumps(ALLOWED))
    worker = iam.create_policy(PolicyName="work", PolicyDocument=json.dumps(ALLOWED))
    assert worker["Policy"]["Arn"]
    session = client("sts").assume_role(RoleArn=role, RoleSessionName="reading")["Credentials"]
    key = iam.create_access_key(UserName="annotator")["AccessKey"]

    client("s3", session["AccessKeyId"], session["SecretAccessKey"]).list_buckets()
    client("s3", session["AccessKeyId"], session["SecretAccessKey"]).list_buckets()
    client("s3", key["AccessKeyId"], key["SecretAccessKey"]).list_buckets()
    client("s3", user_agent_appid="octospoon-worker").list_buckets()

    recorded = lines()
    callers = [line["caller"] for line in recorded if line.get("operation") == "ListBuckets"]
    assert callers == ["role/reader", "role/reader", "user/annotator", "app/octospoon-worker"]
    policies = [(line["policies_of"], line["policies"]) for line in recorded if "policies_of" in line]
    assert policies == [
        ("role/reader", {"read": ALLOWED}),
        ("user/annotator", {"look": ALLOWED}),
        ("app/octospoon-worker", {"work": ALLOWED, "annotator/look": ALLOWED}),
    ]
