"""`Trainer=finetune` on the real local stack: labels change the backbone, and the pool follows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import onnx
import pytest
from e2e.helpers import digit_label, digit_pictures, job_done, label_round, scored, serving, upload
from e2e.test_models import MODEL
from unit.training.networks import convolutional

from octospoon.cli.datasets import digits
from octospoon.cli.local.assemble import LocalStack, assemble
from octospoon.cli.operations import run_now
from octospoon.cli.operations.import_model import import_model
from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack import start
from octospoon.domain.pool.keys import SHARDS
from octospoon.training.model.check_import import Options
from octospoon.training.model.wrap_onnx import Pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.domain.model_spec import ChampionPointer

ROOT = Path(__file__).parents[2]
LABELLED, LEFT = 500, 100
ORDER = np.random.default_rng(9).permutation(len(digits.labels())).tolist()

pytestmark = [pytest.mark.stack(own=True), pytest.mark.timeout(900)]


@pytest.fixture(scope="module", name="poor")
def stack_with_random_convolutions(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalStack]:
    """A separate stack with a random backbone, which the trainer may change."""
    if not request.config.getoption("--finetune"):
        pytest.skip("takes minutes: `make finetune` installs PyTorch (some GB) and runs this")
    parameters = {
        "BatchSize": str(LABELLED),
        "FirstBatchSize": str(LABELLED),
        "TrainingThreshold": str(LABELLED),
        "RankSchedule": "rate(1 day)",
        "RankTriggers": "schedule",
        "ReconcileSchedule": "rate(1 day)",
        "Trainer": "finetune",
    }
    file = tmp_path_factory.mktemp("models") / "convolutions.onnx"
    onnx.save(convolutional(), file)
    with start(ROOT, progress=print, fresh=True, name="finetune") as servers:
        running = assemble(servers, digits.CLASSES, print, parameters)
        import_model(running.deployment, file, Options(Pixels(), classes=()), None)
        yield running
        running.label_studio.close()


@pytest.fixture(scope="module")
def before(poor: LocalStack) -> ChampionPointer:
    """The champion of the cold start, which has scored all uploads."""
    keys = upload(poor.deployment, digit_pictures("models/", ORDER[: LABELLED + LEFT]))
    scored(poor.deployment, keys, seconds=300)
    return serving(poor.deployment)


@pytest.fixture(scope="module")
def after(poor: LocalStack, before: ChampionPointer) -> ChampionPointer:
    """The champion that was trained on all labels of one round."""
    assert run_now.rank(poor.deployment).exported == LABELLED
    round_ = poor.deployment.rounds.read(1)
    assert round_ is not None
    label_round(poor, round_)
    job_done(poor.deployment, 1, seconds=500)
    return serving(poor.deployment)


def test_the_job_gives_the_model_a_backbone_of_its_own(
    poor: LocalStack, before: ChampionPointer, after: ChampionPointer
) -> None:
    base = f"{poor.project.mlflow_url}/api/2.0/mlflow"
    named = {"name": MODEL, "alias": "champion"}
    version = httpx.get(f"{base}/registered-models/alias", params=named).json()["model_version"]
    data = httpx.get(f"{base}/runs/get", params={"run_id": version["run_id"]}).json()["run"]["data"]
    metrics = {metric["key"]: metric["value"] for metric in data["metrics"]}
    params = {param["key"]: param["value"] for param in data["params"]}

    assert int(version["version"]) == after.version == 1
    assert after.backbone != before.backbone
    assert (params["trainer"], params["backbone"]) == ("fine-tuning", after.backbone)
    assert metrics["fine_tuned"] == 1
    assert metrics["torch_parity_gap"] < 1e-4
    print(f"audit accuracy {metrics['audit_accuracy']:.3f} over {LABELLED // 5} labels")


def test_pools_images_are_read_again_after_the_promotion(poor: LocalStack, after: ChampionPointer) -> None:
    deployment, pool, report = poor.deployment, poor.deployment.pool, poor.deployment.pool_report
    (late,) = upload(deployment, digit_pictures("models/", [ORDER[LABELLED + LEFT]]))
    assert scored(deployment, [late])[late].backbone == after.backbone
    waiting = [
        candidate.key for shard in range(SHARDS) for candidate in pool.selectable(shard, -1.0, 1000)[0]
    ]
    assert len(waiting) == LEFT + 1

    wait_for(
        "the new backbone's scores",
        lambda: None if next(iter(report.of_others(after.backbone)), None) else True,
        seconds=300,
        interval=1.0,
    )

    rows = pool.rows(waiting)
    assert {(row.backbone, row.model_version) for row in rows.values()} == {(after.backbone, after.version)}
    predictions = {key: digits.CLASSES[int(row.probabilities.argmax())] for key, row in rows.items()}
    right = np.mean([predictions[key] == digit_label(key) for key in waiting])
    print(f"{right:.3f} of the {len(waiting)} images that nobody labelled are right")
    assert right > 0.85
    exported = run_now.rank(deployment).exported
    assert exported == len(waiting), "the next round is chosen among the new backbone's images"
