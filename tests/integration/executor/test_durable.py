"""LocalStack's objects, items and messages survive its process, under the same names."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from pathlib import Path
from urllib.parse import unquote_plus

import boto3
import pytest

from octospoon.cli.stack import down, start
from octospoon.cli.stack.ports import free_port
from octospoon.cli.stack.services import LOCALSTACK, SERVICES

pytestmark = pytest.mark.stack(own=True)
ROOT = Path(__file__).parents[3]
TEMPLATE = {
    "Resources": {
        "Pictures": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": {"Fn::Sub": "pictures-${AWS::StackName}"},
                "VersioningConfiguration": {"Status": "Enabled"},
                "NotificationConfiguration": {
                    "QueueConfigurations": [
                        {"Event": "s3:ObjectCreated:*", "Queue": {"Fn::GetAtt": ["Uploads", "Arn"]}}
                    ]
                },
            },
        },
        "Pool": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    {"AttributeName": "key", "AttributeType": "S"},
                    {"AttributeName": "number", "AttributeType": "N"},
                ],
                "KeySchema": [
                    {"AttributeName": "key", "KeyType": "HASH"},
                    {"AttributeName": "number", "KeyType": "RANGE"},
                ],
            },
        },
        "Uploads": {"Type": "AWS::SQS::Queue"},
        "Letters": {"Type": "AWS::SQS::Queue"},
        "Work": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "VisibilityTimeout": 1000,
                "RedrivePolicy": {
                    "maxReceiveCount": 1,
                    "deadLetterTargetArn": {"Fn::GetAtt": ["Letters", "Arn"]},
                },
            },
        },
        "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": {}}},
    },
    "Outputs": {
        name: {"Value": {"Ref": name}}
        for name in ("Pictures", "Pool", "Uploads", "Letters", "Work", "Secret")
    },
}
ITEM = {
    "key": {"S": "a/1.png"},
    "number": {"N": "7"},
    "bytes": {"B": b"\x00\xff"},
    "none": {"NULL": True},
    "yes": {"BOOL": True},
    "set": {"SS": ["b", "a"]},
    "list": {"L": [{"N": "1"}, {"M": {"deep": {"B": b"\x01"}}}]},
    "map": {"M": {"inner": {"S": "é🐙"}, "empty": {"M": {}}}},
}


class Aws:
    """One LocalStack after another on the same data."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.begin()

    def begin(self) -> None:
        with pytest.MonkeyPatch.context() as patched:
            for name, service in SERVICES.items():  # other tests start stacks at the same time
                patched.setitem(SERVICES, name, dataclasses.replace(service, port=free_port()))
            self.stack = start(self.root, progress=print, services=[LOCALSTACK], detached=True)
        formation = self.client("cloudformation")
        formation.create_stack(StackName="mine", TemplateBody=json.dumps(TEMPLATE))
        formation.get_waiter("stack_create_complete").wait(StackName="mine", WaiterConfig={"Delay": 1})
        outputs = formation.describe_stacks(StackName="mine")["Stacks"][0]["Outputs"]
        self.names = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        self.s3, self.tables, self.queues = (self.client(name) for name in ("s3", "dynamodb", "sqs"))

    def client(self, service: str):
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.stack.aws_url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def secret(self) -> str:
        return self.client("secretsmanager").get_secret_value(SecretId=self.names["Secret"])["SecretString"]

    def killed(self) -> None:
        """Kill LocalStack, start it again and deploy the same template."""
        for process in self.stack.processes:
            os.kill(process.pid, signal.SIGKILL)
            while process.alive():
                time.sleep(0.02)
        self.begin()

    def messages(self, queue: str, seconds: int = 0) -> list:
        """Return the visible messages, or wait some seconds for the first."""
        messages: list[dict] = []
        while more := self.queues.receive_message(
            QueueUrl=self.names[queue],
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            WaitTimeSeconds=0 if messages else seconds,
        ).get("Messages"):
            messages += more
        return messages

    def versions(self) -> list[tuple]:
        listing = self.s3.list_object_versions(Bucket=self.names["Pictures"])
        markers = [(m["Key"], m["VersionId"], m["IsLatest"]) for m in listing.get("DeleteMarkers", [])]
        return markers + [
            (v["Key"], v["VersionId"], v["IsLatest"], v["ETag"], v["Size"], v["LastModified"])
            for v in listing.get("Versions", [])
        ]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkout")
    (root / ".octospoon/state").mkdir(parents=True)
    (root / ".octospoon/envs").symlink_to(ROOT / ".octospoon/envs")
    (root / "infra").symlink_to(ROOT / "infra")
    yield root
    down(root, progress=print)


@dataclasses.dataclass
class Before:
    """The state before LocalStack was killed."""

    names: dict[str, str]
    secret: str
    large: bytes
    versions: list[tuple]
    head: dict
    items: list[dict]


@pytest.fixture(scope="module")
def killed(checkout):
    """LocalStack after two kills, and its state before them."""
    aws = Aws(checkout)
    large = os.urandom(5_300_000)
    store_objects(aws, large)
    store_items(aws)
    send_messages(aws)
    before = Before(
        dict(aws.names),
        aws.secret(),
        large,
        aws.versions(),
        aws.s3.head_object(Bucket=aws.names["Pictures"], Key="large"),
        aws.tables.scan(TableName=aws.names["Pool"])["Items"],
    )
    aws.killed()
    aws.killed()
    return aws, before


def store_objects(aws: Aws, large: bytes) -> None:
    """Store new, replaced, copied, deleted and erased objects, and one in parts."""
    bucket = aws.names["Pictures"]
    bodies = (("a/1.png", b"first"), ("a/1.png", b"second"), ("gone", b"x"), ("empty", b""), ("a b/é", b"y"))
    for key, body in bodies:
        aws.s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"Who": "me"}, ContentType="image/png")
    upload = aws.s3.create_multipart_upload(Bucket=bucket, Key="large")["UploadId"]
    place = {"Bucket": bucket, "Key": "large", "UploadId": upload}
    parts = [
        {"PartNumber": n, "ETag": aws.s3.upload_part(**place, PartNumber=n, Body=part)["ETag"]}
        for n, part in ((1, large[:5_242_880]), (2, large[5_242_880:]))
    ]
    aws.s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    aws.s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a/1.png"})
    aws.s3.delete_object(Bucket=bucket, Key="gone")
    erased = aws.s3.put_object(Bucket=bucket, Key="erased", Body=b"z")["VersionId"]
    aws.s3.delete_object(Bucket=bucket, Key="erased", VersionId=erased)


def store_items(aws: Aws) -> None:
    """Write items in every way that octospoon writes them."""
    table = aws.names["Pool"]
    aws.tables.put_item(TableName=table, Item=ITEM)
    aws.tables.update_item(
        TableName=table,
        Key={"key": {"S": "b"}, "number": {"N": "1"}},
        UpdateExpression="SET #n = :one",
        ExpressionAttributeNames={"#n": "n"},
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    statement = f"INSERT INTO \"{table}\" VALUE {{'key': ?, 'number': ?}}"
    aws.tables.batch_execute_statement(
        Statements=[{"Statement": statement, "Parameters": [{"S": "c"}, {"N": str(n)}]} for n in range(3)]
    )
    aws.tables.delete_item(TableName=table, Key={"key": {"S": "c"}, "number": {"N": "0"}})
    moved = {"Delete": {"TableName": table, "Key": {"key": {"S": "c"}, "number": {"N": "1"}}}}
    refused = {
        "Put": {
            "TableName": table,
            "Item": {"key": {"S": "d"}, "number": {"N": "1"}},
            "ConditionExpression": "attribute_exists(#k)",
            "ExpressionAttributeNames": {"#k": "key"},
        }
    }
    with pytest.raises(aws.tables.exceptions.TransactionCanceledException):
        aws.tables.transact_write_items(TransactItems=[moved, refused])


def send_messages(aws: Aws) -> None:
    """Leave a waiting message, a received one and a dead letter; process a fourth."""
    work = aws.names["Work"]
    for body in ("handled", "in hand", "poison", "waits"):
        aws.queues.send_message(
            QueueUrl=work,
            MessageBody=body,
            MessageAttributes={"raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}},
        )
    for message in aws.messages("Work"):
        if message["Body"] == "handled":
            aws.queues.delete_message(QueueUrl=work, ReceiptHandle=message["ReceiptHandle"])
        if message["Body"] == "poison":
            aws.queues.change_message_visibility(
                QueueUrl=work, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
    assert aws.messages("Work") == [], "the second delivery of the poison moved it to the letters"


def test_names_and_secrets_are_the_same_after_a_kill(killed):
    aws, before = killed
    assert aws.names == before.names
    assert aws.secret() == before.secret


def test_objects_are_as_they_were_after_a_kill(killed):
    aws, before = killed
    bucket = aws.names["Pictures"]
    assert aws.versions() == before.versions
    again = aws.s3.head_object(Bucket=bucket, Key="large")
    same = ("ETag", "LastModified", "ContentLength", "VersionId")
    assert [again[name] for name in same] == [before.head[name] for name in same]
    assert aws.s3.get_object(Bucket=bucket, Key="large")["Body"].read() == before.large
    stored = aws.s3.get_object(Bucket=bucket, Key="a/1.png")
    assert stored["Body"].read() == b"second"
    assert (stored["Metadata"], stored["ContentType"]) == ({"who": "me"}, "image/png")
    assert aws.s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"second"
    assert aws.s3.get_object(Bucket=bucket, Key="empty")["Body"].read() == b""
    with pytest.raises(aws.s3.exceptions.NoSuchKey):
        aws.s3.get_object(Bucket=bucket, Key="gone")


def test_people_find_the_newest_objects_under_their_keys(killed):
    aws, before = killed
    data = aws.root / ".octospoon/data/localstack"
    shown = data / "objects" / aws.names["Pictures"]
    names = {path.relative_to(shown).as_posix() for path in shown.rglob("*") if path.is_file()}
    assert names == {"a/1.png", "a b/é", "copy", "empty", "large"}
    assert (shown / "a/1.png").read_bytes() == b"second"
    files = sum(1 for path in (data / "object-files").rglob("*") if path.is_file())
    assert files == sum(1 for version in before.versions if len(version) > 3), "no file too many"


def test_items_are_as_they_were_after_a_kill(killed):
    aws, before = killed
    after = aws.tables.scan(TableName=aws.names["Pool"])["Items"]
    assert ITEM in before.items
    assert len(before.items) == 4
    assert sorted(after, key=repr) == sorted(before.items, key=repr)


def test_uploads_are_announced_once_and_the_test_event_too(killed):
    aws, _ = killed
    events = [json.loads(message["Body"]) for message in aws.messages("Uploads")]
    assert [message["Event"] for message in events if "Event" in message] == ["s3:TestEvent"]
    records = [record for message in events for record in message.get("Records", ())]
    keys = [unquote_plus(record["s3"]["object"]["key"]) for record in records]
    assert sorted(keys) == ["a b/é", "a/1.png", "a/1.png", "copy", "empty", "erased", "gone", "large"]
    aws.s3.put_object(Bucket=aws.names["Pictures"], Key="later", Body=b"x")
    (later,) = aws.messages("Uploads", seconds=20)
    assert "later" in later["Body"]


def test_messages_wait_after_a_kill(killed):
    aws, _ = killed
    messages = aws.messages("Work")
    assert [message["Body"] for message in messages] == ["in hand", "waits"]
    assert messages[0]["MessageAttributes"]["raw"]["BinaryValue"] == b"\x00\xff"
    assert [message["Body"] for message in aws.messages("Letters")] == ["poison"]
