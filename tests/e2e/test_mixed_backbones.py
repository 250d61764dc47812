"""A model with another backbone: how it is put into service, and how the pool's images get its scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import httpx
import onnx
import pytest
from conftest import BATCH
from e2e.helpers import digit_pictures, rescored, scored, serving, upload
from e2e.test_models import MODEL, mlflow
from unit.training.networks import network

from octospoon.adapters.mlflow.alias import MlflowAlias
from octospoon.adapters.mlflow.rest import MlflowApi
from octospoon.cli.datasets import digits
from octospoon.cli.main import main
from octospoon.cli.operations import rescore, run_now
from octospoon.cli.operations.rollback import rollback
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.errors import OtherBackbone
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.keys import SHARDS
from octospoon.training.model import check_import, model_file
from octospoon.training.model.wrap_onnx import Pixels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octospoon.cli.deployment import Deployment
    from octospoon.cli.local.assemble import LocalStack
    from octospoon.domain.pool.images import PoolRow

pytestmark = pytest.mark.stack
UPLOADS = range(700, 725)


@dataclass
class Other:
    """The version in service before, and another registered version with another backbone."""

    deployment: Deployment
    alias: MlflowAlias
    before: ChampionPointer
    pointer: ChampionPointer

    @property
    def serving(self) -> int:
        return serving(self.deployment).version

    def rows(self) -> list[PoolRow]:
        """Return the rows of every selectable image."""
        pool = self.deployment.pool
        pages = [pool.selectable(shard, -1.0, 1000)[0] for shard in range(SHARDS)]
        return list(pool.rows([candidate.key for page in pages for candidate in page]).values())

    def stale(self) -> int:
        return len(rescore.stale_images(self.deployment))

    def all_scored(self) -> None:
        wait_for("every image to be scored", lambda: None if self.stale() else True, interval=1.0)


def version_of(stack: LocalStack, folder: Path) -> ChampionPointer:
    """Wrap a classifier of another kind, with MLflow's next version."""
    answer = mlflow(stack, "model-versions/create", {"name": MODEL, "source": "s3://elsewhere/model"})
    answer.raise_for_status()
    onnx.save(network(classes=10), folder / "other.onnx")
    options = check_import.Options(Pixels(), classes=digits.CLASSES)
    parts = check_import.fitted(check_import.read(folder / "other.onnx", options), digits.CLASSES)
    spec = replace(parts.spec, version=int(answer.json()["model_version"]["version"]))
    whole = model_file.assemble(model_file.extract_backbone(parts.model), parts.head, spec)
    shas = stack.deployment.champions.put_model(whole, parts.head)
    pointer = ChampionPointer.of(spec.version, spec.backbone, *shas, spec.classes)
    stack.deployment.champions.keep(pointer)
    return pointer


def delete_version(stack: LocalStack, version: int) -> None:
    url = f"{stack.project.mlflow_url}/api/2.0/mlflow/model-versions/delete"
    body = {"name": MODEL, "version": str(version)}
    httpx.request("DELETE", url, json=body, timeout=30).raise_for_status()


@pytest.fixture(name="other")
def made(stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Other]:
    deployment = stack.deployment
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda _: deployment)
    before = serving(deployment)
    mlflow(stack, "registered-models/create", {"name": MODEL})
    alias = MlflowAlias(MlflowApi(stack.project.mlflow_url, lambda: ("", "")), MODEL)
    named, recorded = alias.read(), deployment.history.alias()
    pointer = version_of(stack, tmp_path)
    scored(deployment, upload(deployment, digit_pictures("models/", UPLOADS)))
    run_now.rank(deployment)  # while a round is open, the schedule exports no image
    made = Other(deployment, alias, before, pointer)
    yield made
    rollback(deployment, before.version, new_backbone=True)
    if named is not None:
        alias.move(named)
    deployment.history.keep_alias(recorded)
    rescore.read_again(deployment)
    made.all_scored()


def test_the_whole_pool_gets_its_images_scored_by_another_backbone(
    stack: LocalStack, other: Other, capsys: pytest.CaptureFixture[str]
) -> None:
    version, before = other.pointer.version, other.before.version
    other.deployment.history.keep_alias(before)
    other.alias.move(version)  # what MLflow's own pages do
    assert run_now.reconcile(other.deployment).at_odds == 1
    assert other.serving == before
    with pytest.raises(OtherBackbone, match="octospoon rescore --full"):
        rollback(other.deployment, version)

    assert main(["model", "rollback", "--to", str(version), "--new-backbone"]) == 0
    assert other.serving == version
    images = len(other.rows())
    assert images >= len(UPLOADS) - BATCH
    other.all_scored()
    rescored(other.deployment, version)
    read = other.deployment.reading.newest()
    assert read
    assert (read.version, read.left) == (version, 0)
    assert read.seen >= images
    assert main(["rescore", "--full", "--yes"]) == 0
    assert "no image must be read" in capsys.readouterr().out

    scores = [(row.backbone, row.model_version, len(row.embedding)) for row in other.rows()]
    assert scores == [(other.pointer.backbone, version, 8)] * images

    delete_version(stack, version)
    assert not other.alias.move(version), "what `reconcile` goes by"
