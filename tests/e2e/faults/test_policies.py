"""The template's policies allow what the functions do, and nothing else; and no log line holds a secret."""

from __future__ import annotations

import base64
import json
import time
import uuid
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.faults.proxy import Fault
from e2e.faults.test_between_two_steps import drift, exported, queued

from octospoon.adapters.label_studio.labelling_interface import labelling_interface
from octospoon.cli.datasets import digits
from octospoon.cli.deploy import sam_template
from octospoon.cli.local.trainer import TRAINER
from octospoon.cli.operations.predict import predict_secret
from octospoon.domain.pool.keys import day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from e2e.faults.lab import Lab

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
RESOURCES = sam_template.read(ROOT / "template.yaml")["Resources"]
S3 = {"HeadObject": "GetObject", "ListObjectsV2": "ListBucket"}
# what Lambda does on a function's behalf; and what tells a missing object from a forbidden one
UNSEEN = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes",
    "s3:ListBucket",
}
# what this test does not bring about: the last answer of a round, a pool in another strategy's order, a
# throttled statement, and a
# version that a person chose in MLflow, as in tests/e2e/test_models.py
SELDOM = {
    "rescore": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
    "reconcile": {"s3:PutObject", "lambda:InvokeFunction"},
    "collect": {"lambda:InvokeFunction"},
}


@pytest.fixture
def used(make_lab: Callable[..., Lab]) -> tuple[Lab, dict[str, set[tuple[str, str]]]]:
    """Every function through every one of its branches; return which action it used on which resource."""
    lab = make_lab(threshold=2, batch=8)
    lab.env |= {"OCTOSPOON_AUDIT_SHARE": "0.3", "OCTOSPOON_STRATEGY": "margin"}
    lab.env["OCTOSPOON_RANK_FUNCTION"] = "nobody"  # asked in vain, which stops nothing
    before = len(lab.host.calls.read_text().splitlines()) if lab.host.calls.exists() else 0
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
    calls = [json.loads(line) for line in lab.host.calls.read_text().splitlines()[before:]]
    return lab, by_function(lab, calls)


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


def uploaded(lab: Lab, key: str) -> None:
    if key == "1.png":
        lab.s3.put_object(Bucket=lab.bucket, Key=key, Body=digits.png_bytes(1))
    elif key == "broken.png":
        lab.s3.put_object(Bucket=lab.bucket, Key=key, Body=b"no picture")
    found = {"key": key, "eTag": "", "size": 1, "sequencer": "f" * 32}
    body = json.dumps({"Records": [{"s3": {"object": found}}]})
    for _ in range(2):  # the second one is a re-delivery
        lab.steps("score", {"Records": [{"messageId": key, "body": body}]})


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


def by_function(lab: Lab, calls: list[dict[str, Any]]) -> dict[str, set[tuple[str, str]]]:
    kinds = {"table": ("pool", "annotations", "control"), "bucket": ("images", "artifacts")}
    logical = {
        lab.env[f"OCTOSPOON_{name.upper()}_{kind.upper()}"]: f"{name.capitalize()}{kind.capitalize()}"
        for kind, names in kinds.items()
        for name in names
    }
    logical |= {
        lab.env[f"OCTOSPOON_{name.upper()}_QUEUE_URL"]: f"{name.capitalize()}Queue"
        for name in ("uploads", "annotations", "training", "rescore")
    }
    outputs = lab.stack.project.outputs
    logical |= {outputs[f"{name}Arn"]: name for name in ("WebhookSecret", "PredictSecret")}
    logical[outputs["LabelStudioTokenSecretArn"]] = "LabelStudioTokenSecretArn"
    found: dict[str, set[tuple[str, str]]] = {}
    for call in calls:
        found.setdefault(call["function"], set()).update(actions(call, logical))
    return found


def actions(call: dict[str, Any], logical: dict[str, str]) -> Iterator[tuple[str, str]]:
    service, operation = call["service"], call["operation"]
    if service == "s3":
        key = "" if operation.startswith("List") else f"/{call['Key']}"
        yield f"s3:{S3.get(operation, operation)}", logical[call["Bucket"]] + key
    elif operation == "TransactWriteItems":
        for kind, table in call["writes"]:
            yield f"dynamodb:{kind}Item", logical[table]
    elif operation == "BatchExecuteStatement":
        for kind, table in call["writes"]:
            yield f"dynamodb:PartiQL{kind}", logical[table]
    elif service == "lambda":
        yield "lambda:InvokeFunction", "RankFunction"
    elif service == "dynamodb":
        index = f"/index/{call['IndexName']}" if "IndexName" in call else ""
        for table in call["tables"] or [call["TableName"]]:
            yield f"dynamodb:{operation}", logical[table] + index
    else:
        yield f"{service}:{operation}", logical[call.get("QueueUrl") or call["SecretId"]]


def statements(function: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield what the function's role allows: actions, and patterns of the resources that they are for."""
    role = f"{function.capitalize()}Role"
    # without the one for a private network, which this stack is not in
    policies = [each for each in RESOURCES[role]["Properties"]["Policies"] if "Fn::If" not in each]
    for resource in RESOURCES.values():
        ours = resource["Type"] == "AWS::IAM::Policy" and resource.get("Condition") in (
            "LauncherIsQueue",
            "MakesImagesBucket",
            "RankOnEvents",
        )
        if ours and {"Ref": role} in resource["Properties"]["Roles"]:
            policies.append(resource["Properties"])
    for policy in policies:
        for statement in policy["PolicyDocument"]["Statement"]:
            if "Fn::If" in statement:  # for an event bus, which this stack has not
                continue
            yield listed(statement["Action"]), [named(one) for one in listed(statement["Resource"])]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def named(resource: dict[str, Any]) -> str:
    if "Fn::If" in resource:  # a resource of a stack that has it
        return named(resource["Fn::If"][1])
    if "Ref" in resource:
        return str(resource["Ref"])
    if "Fn::GetAtt" in resource:
        return str(resource["Fn::GetAtt"][0])
    return str(resource["Fn::Sub"]).replace("${", "").replace(".Arn}", "")


def fits(call: tuple[str, str], actions: list[str], resources: list[str]) -> bool:
    return call[0] in actions and any(fnmatchcase(call[1], pattern) for pattern in resources)


def test_each_function_has_exactly_the_permissions_that_it_uses(
    used: tuple[Lab, dict[str, set[tuple[str, str]]]],
) -> None:
    _, calls = used
    assert calls.keys() == {"score", "rank", "webhook", "collect", "reconcile", "rescore", "predict"}
    for function, made in calls.items():
        may = list(statements(function))
        refused = {call for call in made if not any(fits(call, *one) for one in may)}
        assert refused == set(), f"{function} is refused"
        needless = [
            (action, resources)
            for actions, resources in may
            for action in set(actions) - UNSEEN - SELDOM.get(function, set())
            if not any(fits(call, [action], resources) for call in made)
        ] + [
            (actions, resource)
            for actions, resource in ((actions, one) for actions, found in may for one in found)
            if set(actions) - UNSEEN - SELDOM.get(function, set())
            and not any(fits(call, actions, [resource]) for call in made)
        ]
        assert needless == [], f"{function} may do what it never does"
    print(f"\n{sum(len(made) for made in calls.values())} kinds of calls, each allowed; none allowed in vain")


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
