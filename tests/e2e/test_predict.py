"""Immediate predictions from the real function behind the real API, also for Label Studio."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from e2e.helpers import digit_pictures, new_project, scored, serving, upload
from e2e.test_models import MODEL, make, mlflow
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from unit.functions.test_predict import bodies

from octospoon.cli.datasets import digits
from octospoon.cli.main import main
from octospoon.cli.operations.predict import predict, predict_secret
from octospoon.cli.operations.rollback import rollback
from octospoon.domain.errors import NotConfigured
from octospoon.usecases.champion import MAX_AGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octospoon.adapters.label_studio.api import LabelStudioApi
    from octospoon.cli.local.assemble import LocalStack
    from octospoon.domain.model_spec import ChampionPointer

pytestmark = pytest.mark.stack
UNSEEN = range(1200, 1220)


@pytest.fixture(scope="module", name="champion")
def served(stack: LocalStack) -> Iterator[ChampionPointer]:
    """A model with a head in service."""
    before = serving(stack.deployment)
    mlflow(stack, "registered-models/create", {"name": MODEL})  # the trainer may have been first
    model = make(stack)
    rollback(stack.deployment, model.version)
    time.sleep(MAX_AGE)
    yield model
    rollback(stack.deployment, before.version)


def url(stack: LocalStack) -> str:
    outputs = stack.project.outputs
    api = f"{outputs['PredictApiId']}/{outputs['PredictApiStage']}"
    return f"{stack.project.endpoint_url}/_aws/execute-api/{api}"


def ask(stack: LocalStack, body: bytes, **headers: str) -> httpx.Response:
    secret = {"x-octospoon-secret": predict_secret(stack.deployment)}
    return httpx.post(f"{url(stack)}/predict", content=body, headers=secret | headers, timeout=30)


@pytest.fixture(scope="module")
def web(stack: LocalStack) -> Iterator[httpx.Client]:
    """One connection for many requests: a client for each takes longer than the answer."""
    secret = {"x-octospoon-secret": predict_secret(stack.deployment)}
    with httpx.Client(base_url=url(stack), headers=secret, timeout=30) as client:
        yield client


def image_files(folder: Path, indices: range) -> list[Path]:
    for index in indices:
        (folder / f"{index}.png").write_bytes(digits.png_bytes(index))
    return [folder / f"{index}.png" for index in indices]


def test_images_in_answers_now_from_the_champion(
    stack: LocalStack, champion: ChampionPointer, tmp_path: Path
) -> None:
    answers = predict(stack.deployment, image_files(tmp_path, UNSEEN))

    right = [
        answer.label == digits.CLASSES[digits.labels()[i]] for answer, i in zip(answers, UNSEEN, strict=True)
    ]
    assert sum(right) >= 0.8 * len(right)
    assert {answer.model_version for answer in answers} == {champion.version}
    answer = ask(stack, digits.png_bytes(UNSEEN[0]), **{"Content-Type": "image/png"}).json()
    assert answer["classes"] == list(digits.CLASSES)
    assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert (answer["label"], answer["model_version"]) == (answers[0].label, champion.version)
    (key,) = upload(stack.deployment, digit_pictures("models/", UNSEEN[:1]))
    assert ask(stack, json.dumps({"key": key}).encode()).json() == answer


def test_an_image_joins_the_pool_by_the_usual_event(
    stack: LocalStack, champion: ChampionPointer, tmp_path: Path
) -> None:
    (path,) = image_files(tmp_path, range(1300, 1301))

    keys = {predict(stack.deployment, [path], add=True)[0].key for _ in range(2)}

    (key,) = keys
    assert scored(stack.deployment, [key])[key].model_version == champion.version
    versions = stack.deployment.client("s3").list_object_versions(
        Bucket=stack.project.outputs["ImagesBucket"], Prefix=key
    )
    assert len(versions["Versions"]) == 1


def test_what_is_wrong_is_said(stack: LocalStack, champion: ChampionPointer) -> None:
    assert ask(stack, b"no picture").json()["reason"] == "not-an-image"
    assert ask(stack, digits.png_bytes(1)[:99]).status_code == 422
    assert ask(stack, b'{"key": "nowhere.png"}').status_code == 404
    assert ask(stack, b'{"tasks": 5}', **{"Content-Type": "application/json"}).status_code == 400
    assert ask(stack, digits.png_bytes(1), **{"x-octospoon-secret": "wrong"}).status_code == 401
    assert httpx.get(f"{url(stack)}/health", timeout=30).status_code == 401


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=bodies, kind=st.sampled_from(["application/json", "image/png", "text/plain"]))
@example(body=b'{"key": "/"}', kind="application/json")
@example(body=b'{"key": "\\u0000"}', kind="application/json")
@example(body=b"[" * 100_000, kind="application/json")
def test_no_body_is_an_error_of_ours(
    web: httpx.Client, champion: ChampionPointer, body: bytes, kind: str
) -> None:
    answer = web.post("predict", content=body, headers={"Content-Type": kind})

    assert answer.status_code == 200 or (400 <= answer.status_code < 500 and answer.json()["error"])


def test_a_model_without_classes_says_so(
    stack: LocalStack, champion: ChampionPointer, tmp_path: Path
) -> None:
    files = image_files(tmp_path, range(1300, 1301))
    rollback(stack.deployment, 0)
    time.sleep(MAX_AGE)
    try:
        with pytest.raises(NotConfigured, match=r"409.*training"):
            predict(stack.deployment, files)
    finally:
        rollback(stack.deployment, champion.version)
        time.sleep(MAX_AGE)
    assert predict(stack.deployment, files)[0].model_version == champion.version


@pytest.fixture
def project(stack: LocalStack) -> Iterator[int]:
    """A separate project, connected on Label Studio's model page as a person does."""
    with new_project(stack, "on demand") as number:
        yield number


def connect(api: LabelStudioApi, stack: LocalStack, project: int, password: str) -> Any:
    model = {
        "url": url(stack),
        "project": project,
        "title": "octospoon",
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": "label-studio",
        "basic_auth_pass": password,
    }
    return api.call("POST", "/api/ml", json=model)


def task(stack: LocalStack, project: int, image: str) -> int:
    answer = stack.label_studio.call(
        "POST",
        f"/api/projects/{project}/import",
        params={"return_task_ids": "true"},
        json=[{"data": {"image": image}}],
    )
    return int(answer["task_ids"][0])


def test_label_studio_gets_predictions_on_demand(
    stack: LocalStack, champion: ChampionPointer, project: int
) -> None:
    api, (key,) = stack.label_studio, upload(stack.deployment, digit_pictures("models/", [1400]))
    bucket = stack.project.outputs["ImagesBucket"]
    ours = task(stack, project, f"s3://{bucket}/{key}")
    not_ours = task(stack, project, "https://example.org/a.png")
    answer = ask(
        stack, json.dumps({"key": key}).encode()
    ).json()  # it is warm now: Label Studio waits a second

    model = connect(api, stack, project, predict_secret(stack.deployment))

    assert model["state"] == "CO", model
    (prediction,) = api.call("GET", f"/api/tasks/{ours}/")["predictions"]
    assert prediction["model_version"] == f"v{champion.version}"
    assert prediction["score"] == pytest.approx(answer["confidence"])
    assert prediction["result"][0]["value"] == {"choices": [answer["label"]]}
    assert api.call("GET", f"/api/tasks/{not_ours}/")["predictions"] == []
    versions = api.call("GET", f"/api/ml/{model['id']}/versions")
    assert versions["versions"] == [f"v{champion.version}"]
    # its webhook, which carries the project's token, is answered and ignored
    api.call("POST", f"/api/tasks/{ours}/annotations/", json={"result": prediction["result"]})
    logged(stack)


def logged(stack: LocalStack) -> None:
    client = stack.deployment.client("logs")
    group = f"/aws/lambda/{stack.project.outputs['PredictFunctionName']}"
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=group)
    text = "\n".join(event["message"] for page in pages for event in page["events"])
    assert "refused" in text
    for secret in (stack.servers.credentials.token, predict_secret(stack.deployment)):
        assert secret not in text


def test_label_studio_is_told_of_a_wrong_password(
    stack: LocalStack, champion: ChampionPointer, project: int
) -> None:
    with pytest.raises(Exception, match="authentication"):
        connect(stack.label_studio, stack, project, "wrong")


def test_the_command_shows_label_confidence_and_version(
    stack: LocalStack,
    champion: ChampionPointer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("octospoon.cli.deployment.local_project", lambda: stack.project)
    monkeypatch.delenv("OCTOSPOON_STACK", raising=False)
    (good,) = image_files(tmp_path, range(1200, 1201))
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"x")

    assert main(["predict", str(good)]) == 0
    assert main(["predict", str(good), str(bad)]) == 1

    shown = capsys.readouterr()
    assert f"{champion.version}" in shown.out
    assert "not-an-image" in shown.out
    assert "1 of 2 images" in shown.err
