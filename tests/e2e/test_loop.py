"""Every arrow of the loop, on the real LocalStack, Label Studio and MLflow, in the order it generations."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import httpx
import msgspec
import numpy as np
import pytest
from conftest import BATCH
from e2e import helpers
from e2e.helpers import (
    digit_label,
    digit_pictures,
    job_done,
    label_round,
    rescored,
    serving,
    task_ids,
    upload,
)

from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.cli.datasets import digits
from octospoon.cli.demo.tasks import key_of
from octospoon.cli.main import main
from octospoon.cli.operations import optimize, run_now, trace
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.errors import BadRequest
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from octospoon.cli.local.assemble import LocalStack
    from octospoon.domain.labelling.tasks import Round
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.trace import Trace

pytestmark = pytest.mark.stack

FIRST = range(60)
LATE = 1000


@pytest.fixture(scope="module")
def scored(stack: LocalStack) -> LocalStack:
    helpers.scored(stack.deployment, upload(stack.deployment, digit_pictures("digits/", FIRST)))
    return stack


@pytest.fixture(scope="module")
def exported(scored: LocalStack, exporting: None) -> Round:
    """The first round, which the schedule exports; it runs once a minute."""
    return next_round(scored, 1)


def next_round(stack: LocalStack, number: int) -> Round:
    rounds = stack.deployment.rounds
    return wait_for(
        f"the schedule to export round {number}",
        # the round's file is there a moment before it is open
        lambda: rounds.read(number) if rounds.last_number() >= number and not rounds.open() else None,
        seconds=150,
    )


@pytest.fixture(scope="module")
def champion(scored: LocalStack, exported: Round) -> ChampionPointer:
    """The model that was trained on the first round, after all its images were labelled in Label Studio."""
    label_round(scored, exported)
    job_done(scored.deployment, 1)
    return serving(scored.deployment)


def test_an_upload_becomes_a_score_row(scored: LocalStack) -> None:
    rows = scored.deployment.pool.rows([key_of(index) for index in FIRST])

    assert {row.state for row in rows.values()} <= {
        State.SCORED,
        State.CLAIMED,
        State.EXPORTED,
        State.LABELLED,
    }
    embeddings = np.stack([row.embedding for row in rows.values()])
    assert np.isfinite(embeddings).all()
    assert len(np.unique(embeddings, axis=0)) == len(rows)


def test_the_schedule_exports_a_round_with_its_audit_share(scored: LocalStack, exported: Round) -> None:
    assert len(exported.picks) == BATCH
    assert sum(pick.audit for pick in exported.picks) == BATCH // 5
    assert len(task_ids(scored, exported)) == BATCH


def test_annotators_see_the_image(scored: LocalStack, exported: Round) -> None:
    pick = exported.picks[0]
    task = scored.label_studio.call("GET", f"/api/tasks/{task_ids(scored, exported)[pick.key]}")
    address = task["data"]["image"]

    token = scored.servers.credentials.token
    answer = httpx.get(
        address if address.startswith("http") else scored.project.label_studio_url + address,
        headers={"Authorization": f"Token {token}"},
        follow_redirects=True,
    )

    index = int(pick.key.removeprefix("digits/").removesuffix(".png"))
    assert answer.content == digits.png_bytes(index)


def test_labels_given_in_label_studio_train_one_model(scored: LocalStack, champion: ChampionPointer) -> None:
    state = scored.deployment.control.state()
    assert (state.jobs, state.new_labels, champion.version) == (1, 0, 1)
    assert champion.classes == digits.CLASSES
    labelled = list(scored.deployment.labels.labelled())
    assert len(labelled) == BATCH
    assert all(image.label == digit_label(image.key) for image in labelled)


def test_the_registry_holds_what_predicts(scored: LocalStack, champion: ChampionPointer) -> None:
    base = f"{scored.project.mlflow_url}/api/2.0/mlflow"
    version = httpx.get(
        f"{base}/registered-models/alias", params={"name": "octospoon", "alias": "champion"}
    ).json()["model_version"]
    run = httpx.get(f"{base}/runs/get", params={"run_id": version["run_id"]}).json()["run"]
    files = httpx.get(f"{base}/artifacts/list", params={"run_id": version["run_id"]}).json()["files"]

    assert int(version["version"]) == champion.version
    assert {metric["key"] for metric in run["data"]["metrics"]} >= {"audit_accuracy", "training_labels"}
    assert any(file["path"] == "model" for file in files)
    paths = {file["path"] for file in files}
    assert {"confusion.json", "classes.csv", "mistakes.png", "round.png", "versions.csv"} <= paths
    (used,) = run["inputs"]["dataset_inputs"]
    assert used["dataset"]["name"].startswith("train-")


def test_the_next_image_is_scored_by_the_new_model(scored: LocalStack, champion: ChampionPointer) -> None:
    (key,) = upload(scored.deployment, digit_pictures("digits/", [LATE]))
    row = helpers.scored(scored.deployment, [key])[key]

    assert row.model_version == champion.version
    assert row.probabilities is not None
    assert row.probabilities.sum() == pytest.approx(1, abs=0.01)


def test_the_pool_is_rescored_from_stored_embeddings(scored: LocalStack, champion: ChampionPointer) -> None:
    rescored(scored.deployment, champion.version)

    rows = scored.deployment.pool.rows([key_of(index) for index in FIRST])
    waiting = [row for row in rows.values() if row.state is State.SCORED]
    assert waiting
    assert {row.model_version for row in waiting} == {champion.version}


@pytest.mark.filterwarnings(
    "ignore:.*:RuntimeWarning"
)  # of onnxruntime's quantiser, where a channel is constant
def test_cheaper_forms_are_measured_on_the_audit_sample(
    scored: LocalStack, champion: ChampionPointer
) -> None:
    _, extended, int8 = optimize.of_deployment(scored.deployment, 20)

    for compared in (extended.comparison, int8.comparison):
        assert len(compared.right) == BATCH // 5
        assert compared.images > 20
    assert extended.comparison.same_top == extended.comparison.images


@pytest.fixture(scope="module")
def later(scored: LocalStack, champion: ChampionPointer) -> Round:
    """A round chosen by a trained model, exported now unless the schedule was faster."""
    run_now.rank(scored.deployment)
    next_ = next_round(scored, 2)
    if next_.model_version == 0:  # the schedule was faster than the training
        label_round(scored, next_)
        run_now.rank(scored.deployment)
        next_ = next_round(scored, 3)
    return next_


def test_a_later_round_shows_the_models_predictions(scored: LocalStack, later: Round) -> None:
    blind = {pick.key for pick in later.picks if pick.blind}
    assert {pick.key for pick in later.picks if pick.audit} < blind
    for key, task_id in task_ids(scored, later).items():
        predictions = scored.label_studio.call("GET", "/api/predictions/", params={"task": task_id})
        if key in blind:
            assert predictions == []
            continue
        (prediction,) = predictions
        row = scored.deployment.pool.rows([key])[key]
        assert row.probabilities is not None
        choices = prediction["result"][0]["value"]["choices"]
        assert choices == [digits.CLASSES[int(row.probabilities.argmax())]]
        assert prediction["model_version"] == f"v{later.model_version}"
        assert prediction["score"] == pytest.approx(float(row.probabilities.max()))


@pytest.fixture(scope="module")
def traced(scored: LocalStack, later: Round) -> Trace:
    """The history of an image that was scored before and after the first training, and then labelled."""
    # the latecomer has no earlier score
    key = next(pick.key for pick in later.picks if not pick.audit and pick.key != key_of(LATE))
    before = scored.deployment.control.state().jobs
    label_round(scored, later)
    job_done(scored.deployment, before + 1)
    return trace.trace(scored.deployment, key)


def test_the_whole_story_of_an_image_is_told(
    scored: LocalStack, champion: ChampionPointer, later: Round, traced: Trace
) -> None:
    head = scored.deployment.client("s3").head_object(
        Bucket=scored.project.outputs["ImagesBucket"], Key=traced.key
    )
    (upload,) = traced.uploads
    assert (upload.etag, upload.version_id) == (head["ETag"].strip('"'), head["VersionId"])
    assert upload.at == head["LastModified"].timestamp()
    assert len(upload.sequencer) == 32
    first, second = upload.scores
    assert (first.model_version, first.label, second.model_version) == (0, None, champion.version)
    assert second.label in digits.CLASSES
    assert upload.at - 1 <= first.at < second.at, "the bucket's times are whole seconds"  # type: ignore[operator]

    (choice,) = traced.choices
    assert (choice.round_number, choice.model_version) == (later.number, champion.version)
    assert choice.pick == next(pick for pick in later.picks if pick.key == traced.key)
    assert traced.export is not None
    assert traced.export.task_id == task_ids(scored, later)[traced.key]
    assert traced.export.at is not None
    assert httpx.get(traced.export.address, follow_redirects=True).status_code == 200

    (annotation,) = traced.annotations
    label = digit_label(traced.key)
    assert (annotation.label, annotation.deleted, annotation.etag) == (label, False, upload.etag)
    assert traced.label is not None
    assert (traced.label.label, traced.label.agreement, traced.label.annotators) == (label, 1, 1)
    assert traced.label.at is not None
    assert second.at < traced.export.at < traced.label.at


def test_the_story_names_the_training_run_and_the_run_exists(scored: LocalStack, traced: Trace) -> None:
    (training,) = traced.trainings
    assert training.job_id == scored.deployment.control.state().job_id
    assert (training.part, training.label) == ("train", digit_label(traced.key))
    assert training.outcome
    run_id = training.run.rpartition("/")[2]
    base = f"{scored.project.mlflow_url}/api/2.0/mlflow"
    run = httpx.get(f"{base}/runs/get", params={"run_id": run_id}).json()["run"]
    assert {"key": "octospoon.job_id", "value": training.job_id} in run["data"]["tags"]
    assert traced.notes == ()


def test_the_story_can_be_read_and_parsed(
    scored: LocalStack,
    traced: Trace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: scored.deployment)
    assert main(["trace", traced.key, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(msgspec.json.encode(traced))

    assert main(["trace", traced.key]) == 0
    output = capsys.readouterr().out
    steps = ["uploaded", "scored", "scored", "chosen", "exported", "annotated", "label settled", "trained on"]
    assert re.findall("|".join(dict.fromkeys(steps)), output) == steps

    with pytest.raises(BadRequest, match="give the whole object key"):
        trace.trace(scored.deployment, "nonsense")


@pytest.mark.parametrize("function", ["score", "rank", "webhook", "collect"])
def test_the_logs_of_every_step_name_the_image(
    scored: LocalStack,
    traced: Trace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    function: str,
) -> None:
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: scored.deployment)
    assert main(["logs", function, "--minutes", "60", "--search", f'"{traced.image}"', "--json"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(traced.image in json.loads(line)["message"] for line in lines)


def test_the_trainers_log_names_the_image(scored: LocalStack, traced: Trace) -> None:
    log = (scored.servers.logs_dir / "trainer.log").read_text()
    lines = [line for line in log.splitlines() if traced.image in line]

    assert [line for line in lines if f"job {traced.trainings[0].job_id} uses" in line]


@pytest.mark.parametrize("secret", [None, "wrong"])
def test_the_webhook_refuses_strangers(stack: LocalStack, secret: str | None) -> None:
    from octospoon.cli.deploy.urls import webhook_url

    address = webhook_url(stack.project.outputs, stack.project.endpoint_url)
    headers = {"Content-Type": "application/json"} | ({"X-Octospoon-Secret": secret} if secret else {})
    answer = httpx.post(address, json={"action": "ANNOTATION_CREATED"}, headers=headers)

    assert answer.status_code == 401


def test_setting_label_studio_up_again_changes_nothing(stack: LocalStack) -> None:
    from octospoon.adapters.label_studio.setup import LabelStudioSetup
    from octospoon.cli.local.assemble import TITLE
    from octospoon.cli.operations.label_studio_access import connect

    def numbers() -> tuple[list[int], list[int], int]:
        project = stack.project.label_studio_project
        hooks = stack.label_studio.call("GET", "/api/webhooks/", params={"project": project})
        storages = stack.label_studio.call("GET", "/api/storages/s3", params={"project": project})
        projects = stack.label_studio.call("GET", "/api/projects")
        return [entry["id"] for entry in hooks], [entry["id"] for entry in storages], projects["count"]

    before = numbers()
    setup = LabelStudioSetup(stack.label_studio)
    assert setup.project(TITLE, digits.CLASSES, SingleChoice()) == stack.project.label_studio_project
    connect(setup, stack.project.label_studio_project, stack.deployment)

    assert numbers() == before
    assert (len(before[0]), len(before[1]), before[2]) == (1, 1, 1)
