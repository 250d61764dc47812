"""The registry adapter with the real MLflow on SQLite. test_registry.py runs this in the trainer's env."""

from __future__ import annotations

import json
import os
import traceback
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest

from octospoon.adapters.mlflow.registry import MlflowRegistry
from octospoon.domain.errors import NotConfigured, PermanentError, ServiceUnavailable
from octospoon.ports.training import ModelRun, TrainingData
from octospoon.training.model.model_file import (
    assemble,
    extract_backbone,
    head_file,
    read_spec,
    starter_model,
)
from octospoon.training.model.register import register

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(name="client")
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient()


def as_registered(least):
    return least


def test_our_versions_go_on_where_the_registry_begins_anew(client):
    registry, claims = MlflowRegistry("shapes", "shapes"), []

    def claim(least):
        claims.append(least)
        return max(least, 7 + len(claims))

    first = registry.begin("train-000001", {}, as_registered)
    client.delete_registered_model("shapes")
    second = registry.begin("train-000002", {}, claim)
    assert (second.version, second.registered, claims) == (8, 1, [1])
    registry.tag(second, {"octospoon.outcome": "promoted"})
    registry.set_alias("champion", second)
    version = client.get_model_version_by_alias("shapes", "champion")
    assert (str(version.version), version.tags["octospoon.version"]) == ("1", "8")
    assert version.tags["octospoon.outcome"] == "promoted"
    assert registry.begin("train-000002", {}, claim) == second
    assert registry.begin("train-000003", {}, claim).version == 9

    again = registry.begin("train-000001", {}, claim)
    assert again.version == first.version, "the run remembers its version, and registers it anew"
    assert again.registered == 3
    client.delete_registered_model("shapes")
    assert registry.begin("train-000002", {}, claim).version == 8


def test_a_run_leads_to_its_version_on_the_page(client):
    run = MlflowRegistry("shapes", "shapes").begin("train-000001", {}, as_registered)
    described = client.get_run(run.run_id).data.tags["mlflow.note.content"]
    assert f"(http://127.0.0.1:8188/#/model?version={run.version})" in described
    assert "octospoon ui --stack NAME" in described


def test_a_deleted_experiment_is_named(client):
    registry = MlflowRegistry("shapes", "shapes")
    registry.begin("train-000001", {}, as_registered)
    client.delete_experiment(client.get_experiment_by_name("shapes").experiment_id)
    with pytest.raises(PermanentError, match="experiment 'shapes' was deleted: restore it"):
        registry.begin("train-000002", {}, as_registered)


def test_version_is_reserved_once_per_job_and_holds_its_file(client, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(starter_model())
    (folder / "decision.json").write_text("{}")
    registry = MlflowRegistry("shapes", "shapes")
    first = registry.begin("train-000001", {"colour": "red"}, as_registered)
    again = MlflowRegistry("shapes", "shapes").begin("train-000001", {}, as_registered)
    other = registry.begin("train-000002", {}, as_registered)
    assert first == again
    assert (first.version, other.version) == (1, 2)
    for _ in range(2):  # a retry logs again
        registry.log(again, {"c": "1"}, {"accuracy": 0.5}, folder, [{"loss": 2.0}, {"loss": 1.5}])
    data = TrainingData("train-000001", "s3://bucket/snapshots/train-000001.jsonl", "ab" * 32, 60)
    for _ in range(2):
        registry.trained_on(first, data)
    registry.tag(first, {"octospoon.outcome": "promoted"})
    registry.set_alias("champion", first)
    registry.end(first, succeeded=True)

    version = client.get_model_version_by_alias("shapes", "champion")
    assert (version.version, version.tags["octospoon.outcome"]) in ((1, "promoted"), ("1", "promoted"))
    run = client.get_run(version.run_id)
    assert (run.info.status, run.data.params) == ("FINISHED", {"c": "1"})
    assert run.data.metrics == {"accuracy": 0.5, "loss": 1.5}
    steps = client.get_metric_history(version.run_id, "loss")
    assert {(metric.step, metric.value) for metric in steps} == {(0, 2.0), (1, 1.5)}
    assert run.data.tags["octospoon.outcome"] == "promoted"
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == (data.name, ("ab" * 32)[:36])
    assert json.loads(used.dataset.source) == {"uri": data.uri}
    assert {file.path for file in client.list_artifacts(version.run_id)} == {"model", "decision.json"}
    stored = mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path="model/model.onnx")
    assert Path(stored).read_bytes() == starter_model()
    assert mlflow.onnx.load_model("models:/shapes@champion").graph.output[0].name == "embedding"


def test_run_of_a_dead_job_is_closed_by_the_next(client):
    registry = MlflowRegistry("shapes", "shapes")
    registry.end(registry.begin("train-000001", {}, as_registered), succeeded=True)
    died, now = (registry.begin(f"train-00000{job}", {}, as_registered) for job in (2, 3))
    mine = client.create_run(client.get_run(now.run_id).info.experiment_id)
    registry.end_others(now)

    def status(run_id):
        return client.get_run(run_id).info.status

    assert (status(died.run_id), status(now.run_id), status(mine.info.run_id)) == (
        "KILLED",
        "RUNNING",
        "RUNNING",
    )
    assert registry.begin("train-000002", {}, as_registered) == died, (
        "it was alive after all, or is launched again"
    )
    assert status(died.run_id) == "RUNNING"


def test_a_server_that_records_no_data_sets_is_left_without(client, monkeypatch, caplog):
    def unknown(*_):
        raise mlflow.exceptions.RestException({"error_code": "ENDPOINT_NOT_FOUND", "message": "no such API"})

    monkeypatch.setattr(mlflow.MlflowClient, "log_inputs", unknown)
    registry = MlflowRegistry("shapes", "shapes")
    run = registry.begin("train-000001", {}, as_registered)
    registry.trained_on(run, TrainingData("s", "s3://b/s", "ab" * 32, 1))
    assert "the run has no data set" in caplog.text


def test_imported_model_is_registered_as_its_own_version(client, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    spec = replace(read_spec(starter_model()), classes=("cat", "dog"))
    head = head_file(np.ones((spec.dim, 2), np.float32), np.zeros(2, np.float32), spec)
    whole = assemble(extract_backbone(starter_model()), head, spec)
    MlflowRegistry("shapes", "shapes").begin("train-000001", {}, as_registered)
    for _ in range(2):
        (folder / "model.onnx").write_bytes(whole)
        (folder / "head.onnx").write_bytes(head)
        assert register(MlflowRegistry("shapes", "shapes"), folder, "photos.onnx") == 2

    assert read_spec((folder / "model.onnx").read_bytes()).version == 2
    version = client.get_model_version("shapes", "2")
    assert version.tags["octospoon.outcome"] == "imported"
    run = client.get_run(version.run_id)
    assert (run.info.status, run.data.params["classes"]) == ("FINISHED", "cat, dog")
    stored = mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path="model/model.onnx")
    assert Path(stored).read_bytes() == (folder / "model.onnx").read_bytes()


def test_a_refusal_is_permanent(client):
    with pytest.raises(PermanentError, match="setting the alias"):
        MlflowRegistry("nothing", "x").set_alias("champion", ModelRun("r", 3))


def test_a_server_that_does_not_answer_is_retryable(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceUnavailable):
        MlflowRegistry("m", "x").begin("j", {}, as_registered)


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD"])
@pytest.mark.parametrize("secret", ["s3cr\net", "s3cret\x7f", "s3cr\tet"])
def test_a_malformed_secret_is_named_and_not_told(monkeypatch, name, secret):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv(name, secret)
    with pytest.raises(NotConfigured, match=f"the secret {name}") as caught:
        MlflowRegistry("m", "x").begin("j", {}, as_registered)
    assert "s3cr" not in str(caught.value)


def test_no_sign_in_is_in_what_a_failed_request_says(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3cret@127.0.0.1:9\n")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with pytest.raises(ServiceUnavailable) as caught:
        MlflowRegistry("m", "x").begin("j", {}, as_registered)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "s3cret", "and it is signed in with all the same"


def test_a_missing_server_name_is_named(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(NotConfigured, match="MLFLOW_TRACKING_URI"):
        MlflowRegistry("m", "x").begin("j", {}, as_registered)
