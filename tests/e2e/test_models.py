"""Which model serves, and how it is watched, on the real LocalStack and MLflow."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import onnx
import pytest
from e2e.helpers import digit_pictures, rescored, scored, serving, upload
from unit.training.networks import network
from unit.training.stack import embeddings, starter

from octospoon.adapters.mlflow.alias import MlflowAlias
from octospoon.adapters.mlflow.rest import MlflowApi
from octospoon.adapters.s3.drift_references import S3References
from octospoon.cli.commands import report
from octospoon.cli.datasets import digits
from octospoon.cli.operations import import_model as model_import
from octospoon.cli.operations import run_now
from octospoon.cli.operations.rollback import rollback
from octospoon.cli.operations.upload import run_all
from octospoon.domain.errors import OtherBackbone
from octospoon.domain.model_spec import CHAMPION_KEY, ChampionPointer, head_key, model_key
from octospoon.domain.monitoring import drift
from octospoon.domain.pool.keys import SHARDS, day
from octospoon.runtime.aws import CLOCK
from octospoon.training.head.fit import fit_head
from octospoon.training.model import model_file
from octospoon.training.model.check_import import Options
from octospoon.training.model.wrap_onnx import Pixels
from octospoon.usecases.champion import MAX_AGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack
MODEL = "octospoon"
DAY = 24 * 3600
WATCHED = range(200, 320)
"""The very images of the reference: they cannot have drifted."""


@dataclass
class Models:
    """Two versions of one model, in MLflow and in the bucket."""

    stack: LocalStack
    alias: MlflowAlias
    first: ChampionPointer
    second: ChampionPointer
    uploads: int = 600

    @property
    def serving(self) -> int:
        return serving(self.stack.deployment).version

    def score_one_more(self) -> int:
        """Upload an image once no scorer may use an older pointer; return the version that scored it."""
        time.sleep(MAX_AGE)
        self.uploads += 1
        (key,) = upload(self.stack.deployment, digit_pictures("models/", [self.uploads]))
        return scored(self.stack.deployment, [key])[key].model_version


def mlflow(stack: LocalStack, path: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{stack.project.mlflow_url}/api/2.0/mlflow/{path}", json=body, timeout=30)


@pytest.fixture(scope="module", name="models")
def made(stack: LocalStack) -> Iterator[Models]:
    history, before = stack.deployment.history, serving(stack.deployment)
    mlflow(stack, "registered-models/create", {"name": MODEL})  # the trainer may have been first
    alias = MlflowAlias(MlflowApi(stack.project.mlflow_url, lambda: ("", "")), MODEL)
    named = alias.read()
    first, second = (make(stack) for _ in range(2))
    alias.move(first.version)
    history.keep_alias(first.version)
    rollback(stack.deployment, first.version)
    yield Models(stack, alias, first, second)
    rollback(stack.deployment, before.version)
    if named is not None:
        alias.move(named)
        history.keep_alias(named)


def make(stack: LocalStack) -> ChampionPointer:
    """Train a model outside the loop, with MLflow's next version."""
    answer = mlflow(stack, "model-versions/create", {"name": MODEL, "source": "s3://elsewhere/model"})
    answer.raise_for_status()
    points, truth = embeddings(400), digits.labels()[:400]
    fitted = fit_head(points[:200], truth[:200], 10)
    spec = replace(
        model_file.read_spec(starter()),
        classes=digits.CLASSES,
        version=int(answer.json()["model_version"]["version"]),
    )
    top = model_file.head_file(fitted.weights, fitted.bias, spec)
    champions = stack.deployment.champions
    backbone = model_file.extract_backbone(starter())
    model_sha, head_sha = champions.put_model(model_file.assemble(backbone, top, spec), top)
    pointer = ChampionPointer(
        spec.version,
        model_sha,
        model_key(model_sha),
        spec.backbone,
        head_key(head_sha),
        head_sha,
        spec.classes,
    )
    champions.keep(pointer)
    logits = fitted.logits(points[200:])
    answers = np.exp(logits - logits.max(axis=1, keepdims=True))
    known = drift.reference(points[200:], answers / answers.sum(axis=1, keepdims=True))
    S3References(stack.deployment.artifacts).put(model_sha, known)
    return pointer


def test_alias_moved_in_mlflow_takes_effect_by_itself(models: Models) -> None:
    assert models.score_one_more() == models.first.version

    models.alias.move(models.second.version)  # what MLflow's own pages do
    run_now.reconcile(models.stack.deployment)

    assert models.serving == models.second.version
    assert models.score_one_more() == models.second.version


def test_rollback_serves_the_old_version_and_mlflow_records_it(models: Models) -> None:
    rollback(models.stack.deployment, models.first.version)

    assert models.score_one_more() == models.first.version
    rescored(models.stack.deployment, models.first.version)
    pool = models.stack.deployment.pool
    rows = pool.rows(
        [candidate.key for shard in range(SHARDS) for candidate in pool.selectable(shard, -1.0, 100)[0]]
    )
    assert {row.model_version for row in rows.values()} == {models.first.version}
    assert models.alias.read() == models.second.version
    run_now.reconcile(models.stack.deployment)
    assert models.alias.read() == models.first.version
    assert models.serving == models.first.version


def test_unreadable_pointer_is_repaired_by_alias_and_by_rollback(models: Models) -> None:
    bucket, s3 = models.stack.project.outputs["ArtifactsBucket"], models.stack.deployment.client("s3")

    s3.put_object(Bucket=bucket, Key=CHAMPION_KEY, Body=b'{"version":')
    run_now.reconcile(models.stack.deployment)
    assert models.serving == models.first.version

    s3.put_object(Bucket=bucket, Key=CHAMPION_KEY, Body=b"")
    rollback(models.stack.deployment, models.second.version)
    assert models.serving == models.second.version
    rollback(models.stack.deployment, models.first.version)


def test_an_imported_head_serves_as_the_next_version(models: Models, tmp_path, monkeypatch) -> None:
    deployment = models.stack.deployment
    monkeypatch.setattr(model_import, "local_project", lambda: models.stack.project)
    file = deployment.champions.fetch(models.second, tmp_path)

    result = model_import.import_model(deployment, file, Options(Pixels()), None)

    assert result.pointer.version > models.second.version
    assert result.pointer.head_sha256
    assert models.score_one_more() == result.pointer.version
    run_now.reconcile(deployment)
    assert models.alias.read() == result.pointer.version
    with pytest.raises(OtherBackbone, match=r"octospoon backbone use FILE\.onnx"):
        model_import.import_model(deployment, network_file(tmp_path), Options(Pixels()), None)
    assert models.serving == result.pointer.version
    rollback(deployment, models.first.version)


def network_file(folder: Path) -> Path:
    onnx.save(network(last="pooled"), folder / "other.onnx")
    return folder / "other.onnx"


def test_a_model_that_nobody_registered_has_no_alias(models: Models) -> None:
    api = MlflowApi(models.stack.project.mlflow_url, lambda: ("", ""))
    assert MlflowAlias(api, "nobody made this").read() is None
    mlflow(models.stack, "registered-models/create", {"name": "no-alias"})
    assert MlflowAlias(api, "no-alias").read() is None


def test_watching_judges_yesterdays_uploads_once_and_the_report_tells(models: Models, capsys) -> None:
    deployment = models.stack.deployment
    keys = upload(deployment, digit_pictures("models/", WATCHED))
    scored(deployment, keys)
    others = deployment.watching_pool.arrived(day(CLOCK.now() - DAY), 10_000)
    put_off(deployment, others, to=CLOCK.now())
    put_off(deployment, keys, to=CLOCK.now() - DAY)

    first, second = run_now.watch(deployment), run_now.watch(deployment)

    assert first.version == second.version == models.serving
    assert (first.drift, first.asked) == ("none", "")
    assert "0 uploads on the days not tested yet" in second.drift
    observation = deployment.observations.read()
    assert observation.finding is not None
    assert (observation.finding.images, observation.version) == (len(keys), models.serving)
    report.show(deployment, None)
    shown = capsys.readouterr().out
    assert f"version {models.serving}" in shown
    assert f"on {len(keys)} uploads" in shown


def put_off(deployment: Any, keys: list[str], *, to: float) -> None:
    """Let uploads arrive on another day. Without it, a run over midnight would mix others' uploads in."""
    client, table = deployment.client("dynamodb"), deployment.outputs["PoolTable"]

    def put_off_one(key: str) -> None:
        shard = client.get_item(TableName=table, Key={"key": {"S": key}})["Item"]["arrival"]["S"][-2:]
        client.update_item(
            TableName=table,
            Key={"key": {"S": key}},
            UpdateExpression="SET arrival = :arrival",
            ExpressionAttributeValues={":arrival": {"S": f"{day(to)}/{shard}"}},
        )

    run_all(put_off_one, keys, "Putting uploads off")
