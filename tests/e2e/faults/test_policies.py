"""The template's policies allow what the functions do, and nothing else; and no log line holds a secret."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pytest
from e2e.faults.lab import FUNCTIONS, NO_FUNCTION
from e2e.faults.proxy import Fault
from e2e.faults.test_between_two_steps import drift, exported, queued
from lanes import ROOT
from recording import recorded
from tools.requests.expected import on_aws_never
from tools.requests.record import read
from tools.requests.rights import compare

from octospoon.adapters.label_studio.labelling_interface import labelling_interface
from octospoon.cli.datasets import digits
from octospoon.cli.deploy import sam_template
from octospoon.cli.local.trainer import TRAINER
from octospoon.cli.operations.predict import predict_secret
from octospoon.domain.pool.keys import SHARDS, day
from octospoon.usecases.rescore_segment import EVERY, Reading, Segment, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from e2e.faults.lab import Lab
    from tools.requests.rights import Comparison

    from octospoon.cli.local.assemble import LocalStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

RESOURCES = sam_template.read(ROOT / "template.yaml")["Resources"]
# what Lambda does on a function's behalf
UNSEEN = ("* *.WriteLogs *", "* *.TakeMessages *")
# what this test does not bring about: the last answer of a round, an event that is published, a pool in
# another strategy's order, a throttled statement, and a version that a person chose in MLflow
SELDOM = (
    "CollectRole look-for-last-answers.*",
    "ReconcileRole ask-for-batches.*",
    "ReconcileRole publish-events.*",
    "RescoreRole rescore.RefreshScores dynamodb:UpdateItem",
    "RescoreRole rescore.KeepProgress *",
    "ReconcileRole reconcile.MovePointer *",
)


@pytest.fixture
def events_policies(stack: LocalStack) -> Iterator[None]:
    """The policies of a stack that asks for batches at events, which this stack does not."""
    iam, outputs = stack.deployment.client("iam"), stack.project.outputs
    rank = stack.deployment.client("lambda").get_function(FunctionName=outputs["RankFunctionName"])
    arns = {
        "RankFunction": rank["Configuration"]["FunctionArn"],
        "ArtifactsBucket": f"arn:aws:s3:::{outputs['ArtifactsBucket']}",
    }
    put = []
    for name in ("AskForBatches", "LookForLastAnswers"):
        properties = RESOURCES[name]["Properties"]
        policy = properties["PolicyName"]
        document = json.dumps(filled_in(properties["PolicyDocument"], arns))
        for function in (each["Ref"].removesuffix("Role").lower() for each in properties["Roles"]):
            role = role_of(stack, function)
            iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=document)
            put.append((role, policy))
    yield
    for role, policy in put:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)


def role_of(stack: LocalStack, function: str) -> str:
    name = stack.project.outputs[f"{function.capitalize()}FunctionName"]
    found = stack.deployment.client("lambda").get_function_configuration(FunctionName=name)
    return str(found["Role"].rpartition("/")[2])


def filled_in(value: Any, arns: dict[str, str]) -> Any:
    """Return a part of the template with the ARNs of resources in their places."""
    if isinstance(value, list):
        return [filled_in(each, arns) for each in value]
    if not isinstance(value, dict):
        return value
    if "Fn::GetAtt" in value:
        return arns[value["Fn::GetAtt"][0]]
    if "Fn::Sub" in value:
        return re.sub(r"\$\{(\w+)\.Arn\}", lambda found: arns[found[1]], value["Fn::Sub"])
    return {key: filled_in(each, arns) for key, each in value.items()}


@pytest.fixture
def used(make_lab: Callable[..., Lab], events_policies: None) -> tuple[Lab, Comparison]:
    """Every function through every one of its branches; return what it needed against its policies."""
    lab = make_lab(threshold=2, batch=8)
    lab.env |= {"OCTOSPOON_AUDIT_SHARE": "0.3", "OCTOSPOON_STRATEGY": "margin"}
    lab.env["OCTOSPOON_RANK_FUNCTION"] = NO_FUNCTION
    lab.assume_roles()
    before = len(recorded().read_text().splitlines())
    for record in ({"key": "1.png"}, {"key": "gone.png"}, {"key": "broken.png"}):
        uploaded(lab, record["key"])
    lab.steps("rank")
    for event in lab.deliveries("rescore"):  # where the pool has to be put in the strategy's order first
        lab.steps("rescore", event)
        lab.done(event, "rescore")
    tasks = exported(lab, 8)
    lab.reopen()
    lab.steps("rank")
    waiting = iter(tasks.items())
    key, task = next(waiting)
    for answered in (task, next(waiting)[1]):
        event = queued(lab, answered, "cat")
        lab.steps("collect", event)
        lab.done(event)
    skip_newest(lab)
    lab.s3.put_object(Bucket=lab.bucket, Key=key, Body=digits.png_bytes(3))
    uploaded(lab, key)  # new bytes of a labelled image
    (annotation,) = lab.labels.of(next(iter(list(tasks)[1:])))
    lab.api.call("DELETE", f"/api/annotations/{annotation.number}/")
    (event,) = lab.hooks()
    lab.steps("webhook", event)
    lab.collect_all()
    drift(lab, next(waiting)[1])
    lab.annotate(next(waiting)[1], "dog")  # with that the reconciler itself launches
    lab.s3.put_object(Bucket=lab.bucket, Key="unseen.png", Body=b"x")
    lab.train()
    lab.register(1)
    lab.steps("reconcile", {"full": True})
    lost = next(one for task in lab.tasks() for one in task.annotations)
    lab.api.call("DELETE", f"/api/annotations/{lost.id}/")
    lab.hooks()  # nobody hears of it
    lab.steps("reconcile", {"full": True})
    lab.serve(version=2)
    lab.steps("rescore", {"Records": [{"messageId": "1", "body": json.dumps({"Records": [{"s3": {}}]})}]})
    ((pointer, _),) = [lab.champions.pointer()]  # type: ignore[misc]
    for shard in range(16):
        # a shard of few rows is not gone through day by day, unless it has been begun so
        days = {} if shard else {"walked": True, "day": day(time.time())}
        body = json.dumps({"generation": pointer.generation, "shard": shard} | days)
        lab.steps("rescore", {"Records": [{"messageId": str(shard), "body": body}]})
    read_again(lab, pointer.generation)
    of_label_studio = {
        "tasks": [{"id": 1, "data": {"image": f"s3://{lab.bucket}/{key}"}}],
        "label_config": labelling_interface(["cat", "dog"]),
    }
    questions = (
        (digits.png_bytes(5), "true"),
        (b'{"key": "nowhere"}', "false"),
        (json.dumps(of_label_studio).encode(), "false"),
    )
    for body, query in questions:  # type: ignore[assignment]
        lab.steps("predict", asked(lab, "POST", "/predict", body, add=query))  # type: ignore[arg-type]
    without_model(lab)
    lines = recorded().read_text().splitlines()
    earlier = [line for line in lines[:before] if '"policies_of"' in line or '"same"' in line]
    callers = callers_of(lab)
    return lab, compare(read(line for line in earlier + lines[before:] if is_about(callers, line)))


def callers_of(lab: Lab) -> set[str]:
    """Return the roles of the lab's functions, as the record names callers."""
    return {f"role/{lab.role(function)}" for function in FUNCTIONS}


def is_about(callers: set[str], line: str) -> bool:
    """Return whether a line of the record is about some callers. Stacks of other workers write to it too."""
    entry = json.loads(line)
    return "same" in entry or entry.get("policies_of", entry.get("caller")) in callers


def skip_newest(lab: Lab) -> None:
    """Skip an image of the newest round, which is then read to see whether others wait."""
    newest = lab.rounds.read(lab.rounds.last_number())
    assert newest is not None
    pick = newest.picks[-1]
    task = lab.labeler.find({pick.key: pick.etag})[pick.key]
    skipped = {"result": [], "was_cancelled": True}
    lab.api.call("POST", f"/api/tasks/{task}/annotations/", json=skipped)
    (event,) = lab.hooks()
    lab.steps("webhook", event)
    lab.collect_all()


def read_again(lab: Lab, generation: int) -> None:
    """Have the images of all shards read again, one of which has the embedding of another backbone."""
    lab.s3.put_object(Bucket=lab.bucket, Key="late.png", Body=digits.png_bytes(7))
    uploaded(lab, "late.png")
    lab.stack.deployment.client("dynamodb").update_item(
        TableName=lab.env["OCTOSPOON_POOL_TABLE"],
        Key={"key": {"S": "late.png"}},
        UpdateExpression="SET backbone = :other",
        ConditionExpression="attribute_exists(backbone)",
        ExpressionAttributeValues={":other": {"S": "another"}},
    )
    lab.sqs.purge_queue(QueueUrl=lab.queues["rescore"])
    body = json.dumps({"days": 0, "images": EVERY})
    lab.steps("rescore", {"Records": [{"messageId": "all", "body": body}]})
    messages = lab.sqs.receive_message(QueueUrl=lab.queues["rescore"], MaxNumberOfMessages=10)["Messages"]
    run = json.loads(messages[0]["Body"])["run"]
    for shard in range(SHARDS):
        newest = Segment(generation, shard, walked=True, day=day(time.time()))
        message = encode(Reading(run, newest, EVERY))
        lab.steps("rescore", {"Records": [{"messageId": str(shard), "body": message}]})


def uploaded(lab: Lab, key: str) -> None:
    if key == "1.png":
        lab.s3.put_object(Bucket=lab.bucket, Key=key, Body=digits.png_bytes(1))
    elif key == "broken.png":
        lab.s3.put_object(Bucket=lab.bucket, Key=key, Body=b"no picture")
    found = {"key": key, "eTag": "", "size": 1, "sequencer": "f" * 32}
    body = json.dumps({"Records": [{"s3": {"object": found}}]})
    for _ in range(2):  # the second one is a re-delivery
        lab.steps("score", {"Records": [{"messageId": key, "body": body}]})


def without_model(lab: Lab) -> None:
    """Run the functions before the first model: S3 tells them that it is missing only if they may list."""
    full, empty = lab.env["OCTOSPOON_ARTIFACTS_BUCKET"], f"faults-artifacts-{uuid.uuid4().hex}"
    lab.s3.create_bucket(Bucket=empty)
    lab.stands_for({empty: lab.stack.project.outputs["ArtifactsBucket"]})
    lab.env["OCTOSPOON_ARTIFACTS_BUCKET"] = empty
    found = {"key": "1.png", "eTag": "", "size": 1, "sequencer": "f" * 32}
    body = json.dumps({"Records": [{"s3": {"object": found}}]})
    lab.invoke("score", {"Records": [{"messageId": "1", "body": body}]})
    body = json.dumps({"generation": 1, "shard": 0})
    lab.invoke("rescore", {"Records": [{"messageId": "1", "body": body}]})
    lab.invoke("rank")
    lab.invoke("reconcile", {"full": True})
    lab.invoke("predict", asked(lab, "POST", "/predict", digits.png_bytes(5)))
    lab.env["OCTOSPOON_ARTIFACTS_BUCKET"] = full


def asked(
    lab: Lab, method: str, path: str, body: bytes, secret: str = "", add: str = "false"
) -> dict[str, Any]:
    """Return a question to `predict`, as the REST API hands it to the function."""
    return {
        "httpMethod": method,
        "resource": path,
        "headers": {"X-Octospoon-Secret": secret or predict_secret(lab.stack.deployment)},
        "queryStringParameters": {"add": add},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


def test_each_function_has_exactly_the_permissions_that_it_uses(used: tuple[Lab, Comparison]) -> None:
    lab, found = used
    callers = callers_of(lab)
    owners = {f"{function.capitalize()}Role" for function in FUNCTIONS}
    assert owners <= {right.owner for right in found.used}
    assert [need for need in found.refused if need.caller in callers and not on_aws_never(need)] == []
    assert found.twice == set()
    vain = sorted(str(right) for right in found.vain if right.owner in owners)
    assert [right for right in vain if not any(fnmatchcase(right, one) for one in UNSEEN + SELDOM)] == []
    print(f"\n{len(found.used)} kinds of rights used; none given in vain")


def test_no_log_line_holds_a_secret(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(batch=1)
    ((_, task),) = exported(lab, 1).items()
    lab.annotate(task, "cat")
    (event,) = lab.hooks()
    lab.invoke("webhook", event | {"headers": {"X-Octospoon-Secret": "wrong"}})
    lab.invoke("webhook", event | {"body": "no webhook"})
    lab.scored(1)
    for function, argument in (("rank", None), ("reconcile", {"full": True}), ("webhook", event)):
        for at in (2, 3):  # where secrets are read, and where they are used first
            for fault in (Fault.GATEWAY_TIMEOUT, Fault.LATE):
                lab.faulty(function, argument, fault, at)
    sign_in = lab.stack.servers.credentials
    secrets = malformed_secrets(lab, event) | {lab.secret, sign_in.token, sign_in.password}
    secrets.add(predict_secret(lab.stack.deployment))
    held = json.dumps({"schema": "<View/>", "access_token": lab.stack.servers.credentials.token}).encode()
    for path in ("/setup", "/predict", "/webhook"):
        lab.steps("predict", asked(lab, "POST", path, held))
        lab.steps("predict", asked(lab, "POST", path, held[:-3], secret="wrong"))

    logs = {"the lab's functions": lab.host.log.read_text()} | deployed_logs(lab)
    trainer = lab.stack.servers.logs_dir / f"{TRAINER}.log"
    logs["the trainer"] = trainer.read_text() if trainer.exists() else ""

    assert len(logs["the lab's functions"].splitlines()) > 20
    assert [(name, secret[:3]) for name, text in logs.items() for secret in secrets if secret in text] == []


def malformed_secrets(lab: Lab, event: dict[str, Any]) -> set[str]:
    """Let the functions read secrets as people store them by mistake; return what no log may hold."""
    manager, token = lab.stack.deployment.client("secretsmanager"), lab.stack.servers.credentials.token
    stored = manager.create_secret(Name=f"faults-{uuid.uuid4().hex}", SecretString=token)["ARN"]
    kept = {"OCTOSPOON_LABEL_STUDIO_TOKEN_SECRET": stored, "OCTOSPOON_WEBHOOK_SECRET": stored}
    before, lab.env = lab.env, lab.env | kept
    try:
        for ending in ("\n", "\r\n", " "):
            manager.put_secret_value(SecretId=stored, SecretString=token + ending)
            assert lab.invoke("rank")[0] == 0, "white space around a secret does no harm"
        for value in (
            f"{token}\nmore",
            f"{token}\x00",
            f"{token[:20]}\t{token[20:]}",
            f"é{token}",
            '""',
            " ",
        ):
            manager.put_secret_value(SecretId=stored, SecretString=value)
            for function, argument in (("rank", None), ("reconcile", {"full": True}), ("webhook", event)):
                lab.invoke(function, argument)
    finally:
        lab.env = before
        manager.delete_secret(SecretId=stored, ForceDeleteWithoutRecovery=True)
    assert f"the secret {stored} holds" in lab.host.log.read_text()
    return {token, token[:20], token[20:]}


def deployed_logs(lab: Lab) -> dict[str, str]:
    client = lab.stack.deployment.client("logs")
    found = {}
    for group in client.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]:
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
        found[group["logGroupName"]] = "\n".join(one["message"] for page in pages for one in page["events"])
    return found
