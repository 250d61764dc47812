"""The loop with boxes: from uploads to a detector in service, to batches by its doubt, and on."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from integration import elsewhere
from integration.training.box_loop import BoxLoop
from integration.training.kills import Killed, Steps, watched
from unit.training.detectors import CLASSES, RULES, SCORES_OF_RED, red_backbone, red_head

from octospoon.domain.errors import BadModel
from octospoon.domain.evaluation.training_record import EVERY_HEAD, TrainingRecord
from octospoon.domain.pool.images import State
from octospoon.domain.training.jobs import JobStatus, TrainedModel
from octospoon.training.job.run import Outcome
from octospoon.training.model import model_file

if TYPE_CHECKING:
    from octospoon.domain.model_spec import ModelSpec
    from octospoon.training.data.dataset import Dataset
    from octospoon.training.head.trainer import Trainer

PYTHON = elsewhere.ROOT / ".octospoon/envs/finetune/bin/python"
CASES = Path(__file__).with_name("box_loop_cases.py")
HEIGHT, WIDTH = 64, 64
FIRST, SECOND = "train-000001", "train-000002"


@dataclass(frozen=True)
class RedTrainer:
    """Makes a detector that sees every rectangle, with these scores of the classes."""

    scores: tuple[float, ...] = SCORES_OF_RED

    def __call__(self, backbone: bytes, dataset: Dataset, spec: ModelSpec) -> TrainedModel:
        named = replace(spec, backbone=model_file.sha256(backbone), boxes=RULES.most)
        apart = dataset.part(audit=False).numbers()
        folds = np.full(len(apart), EVERY_HEAD, np.int64)
        return TrainedModel(
            model_file.assemble(backbone, red_head(HEIGHT, WIDTH, self.scores), named),
            b"",
            np.full((len(dataset), RULES.most, 4 + len(spec.classes)), np.nan),
            TrainingRecord.of(apart, folds, {}, (spec.dim, len(spec.classes)), dataset.tuned),
            {},
        )


WRONG = RedTrainer(SCORES_OF_RED[::-1])
"""Takes every rectangle for the other class."""


def labelled(images: int = 90) -> BoxLoop:
    """Return a loop whose first batch is answered, and whose first job waits."""
    made = BoxLoop(CLASSES, red_backbone(HEIGHT, WIDTH))
    made.drop_images(range(images))
    made.next_batch()
    assert made.answer_all() == [FIRST]
    return made


@pytest.fixture(scope="module")
def trained() -> BoxLoop:
    made = labelled()
    assert made.train(FIRST, RedTrainer()) is Outcome.PROMOTED, made.control.state().reason
    return made


def second_labelled(trained: BoxLoop) -> BoxLoop:
    """Return a loop whose second batch is answered too."""
    made = trained.copied()
    made.read_again()
    made.next_batch()
    assert made.answer_all() == [SECOND]
    return made


def served(made: BoxLoop) -> ModelSpec:
    assert made.champions.current is not None
    return model_file.read_spec(made.champions.files[made.champions.current.sha256])


def test_first_batch_is_chosen_without_a_detector() -> None:
    made = BoxLoop(CLASSES, red_backbone(HEIGHT, WIDTH))
    made.drop_images(range(60))

    picks = made.next_batch()

    assert {pick.strategy for pick in picks if not pick.audit} == {"typiclust"}
    assert not any(made.labeler.predictions.values()), "nothing has been predicted yet"
    assert made.answer_all() == [FIRST]
    counts = made.pool.counts()
    assert counts[State.LABELLED] == len(picks) == 40


def test_first_detector_serves_and_keeps_the_embeddings(trained: BoxLoop) -> None:
    spec, pointer = served(trained), trained.champions.current
    assert pointer is not None
    assert (spec.boxes, spec.classes, spec.version) == (RULES.most, CLASSES, 1)
    assert (pointer.head_key, pointer.predicts, pointer.classes) == ("", True, CLASSES)
    assert pointer.backbone == spec.backbone == model_file.sha256(red_backbone(HEIGHT, WIDTH))
    rows = trained.pool.rows(list(trained.pool.table))
    assert {row.backbone for row in rows.values()} == {pointer.backbone}
    assert trained.control.state().status is JobStatus.IDLE


def test_run_has_the_figures_of_boxes(trained: BoxLoop) -> None:
    measured, files = trained.registry.metrics, trained.registry.logged[1]
    assert measured["audit_ap50"] == 1.0
    assert measured["labels"] == 40
    assert measured["audit_labels"] == 20
    assert not [name for name in measured if name.startswith(("next_batch", "control_", "strategy_"))]
    assert {"evaluation.json", "precision_recall.csv", "classes.csv", "mistakes.png"} <= files.keys()
    assert json.loads(files["decision.json"])["promote"]


def test_later_uploads_are_scored_with_boxes(trained: BoxLoop) -> None:
    made = trained.copied()
    made.drop_images([200, 201, 202])
    for number in (200, 201, 202):
        key = f"{number:04d}.png"
        row = made.pool.rows([key])[key]
        assert row.model_version == 1
        assert row.probabilities is not None
        (predicted,) = made.task_type.predicted(row.probabilities[np.newaxis], CLASSES)
        label = json.loads(predicted.label)
        truth = made.truth(key)
        assert [name for name, *_ in label] == [box.name for box in truth]
        for (_, *place), box in zip(label, truth, strict=True):
            assert np.allclose(place, box[1:], atol=1.5 / min(HEIGHT, WIDTH))


def test_second_batch_has_the_images_in_doubt(trained: BoxLoop) -> None:
    made = trained.copied()
    made.drop_images(range(200, 500))
    made.read_again()
    made.audit_share = 0.45

    picks = made.next_batch()

    chosen = [pick for pick in picks if not pick.audit]
    assert {pick.strategy for pick in chosen} == {"margin_diverse"}
    assert len(chosen) == 22
    assert all(made.truth(pick.key) for pick in chosen), "no doubt is about an image without a box"
    assert len({pick.blind for pick in picks}) == 2
    for pick in picks:
        id_, task = made.task_of(pick.key)
        given = made.labeler.predictions[id_]
        assert bool(given) == (not pick.blind), task


@pytest.mark.parametrize(
    ("trainer", "outcome", "reason"),
    [
        (RedTrainer(), Outcome.PROMOTED, "AP50"),
        (WRONG, Outcome.REFUSED, "worse than the model in service: AP50 0.000 against 1.000"),
    ],
)
def test_successor_is_compared_by_its_boxes(
    trained: BoxLoop, trainer: Trainer, outcome: Outcome, reason: str
) -> None:
    made = second_labelled(trained)

    assert made.train(SECOND, trainer) is outcome
    assert reason in made.control.state().reason
    assert made.registry.metrics["champion_audit_ap50"] == 1.0
    assert made.champions.current is not None
    assert made.champions.current.version == (2 if outcome is Outcome.PROMOTED else 1)


def test_open_tasks_get_the_boxes_of_the_next_detector(trained: BoxLoop) -> None:
    made = second_labelled(trained)
    made.drop_images(range(200, 280))
    made.audit_share = 0.2
    tasks = {id_: pick for pick in made.next_batch() for id_, _ in [made.task_of(pick.key)] if not pick.blind}
    assert made.train(SECOND, RedTrainer((0.95, 0.2))) is Outcome.PROMOTED

    assert made.rank().refreshed == 0
    assert {version for id_ in tasks for version, _ in made.labeler.predictions[id_]} == {"v1"}
    assert made.labeler.model_version == "v1"

    made.read_again()
    assert made.rank().refreshed == len(tasks) > 10
    assert made.labeler.model_version == "v2"
    for id_, pick in tasks.items():
        (row,) = made.pool.rows([pick.key]).values()
        assert (row.model_version, row.state) == (2, State.EXPORTED)
        assert row.probabilities is not None
        (seen,) = made.task_type.predicted(row.probabilities[np.newaxis], CLASSES)
        assert made.labeler.predictions[id_][1:] == [("v2", seen.label)]


def test_earlier_detector_can_serve_again(trained: BoxLoop) -> None:
    made = second_labelled(trained)
    made.train(SECOND, RedTrainer((0.95, 0.2)))
    assert served(made).version == 2

    made.build_promote()(1)

    assert served(made).version == 1
    made.drop_images([300])
    row = made.pool.rows(["0300.png"])["0300.png"]
    assert made.champions.current is not None
    assert (row.model_version, row.generation) == (1, made.champions.current.generation)
    made.champions.files.pop(made.champions.versions[2].sha256)
    with pytest.raises(BadModel):
        made.build_promote()(2)


WRITES = {
    *("write", "claim", "begin", "log", "trained_on", "tag", "end", "set_alias"),
    *("put_model", "put", "keep", "record", "promote", "keep_alias", "finish"),
}


def attempt(made: BoxLoop, steps: Steps) -> None:
    ports = made.ports
    names = ("control", "champions", "history", "registry", "snapshots", "training_records", "references")
    made.ports = watched(ports, names, WRITES, steps)
    try:
        made.train(FIRST, RedTrainer())
    finally:
        made.ports = ports


def test_job_killed_between_any_two_steps_promotes_once() -> None:
    start = labelled()
    whole, undisturbed = Steps(-1), start.copied()
    attempt(undisturbed, whole)
    assert whole.names[-1] == "finish"
    assert {"write", "log", "put_model", "put", "keep", "record", "promote"} <= set(whole.names)
    for kill_after in range(len(whole.names) + 1):
        made = start.copied()
        with pytest.raises(Killed):
            attempt(made, Steps(kill_after))
        made.clock.time = made.control.state().lease_until + 1
        again = made.train(FIRST, RedTrainer())
        assert again is (Outcome.PROMOTED if kill_after < len(whole.names) else Outcome.NOT_OURS)
        assert made.champions.current == undisturbed.champions.current, whole.names[:kill_after]
        assert list(made.champions.versions) == [1]
        assert list(made.training_records.stored) == list(undisturbed.training_records.stored)
        assert made.control.state().status is JobStatus.IDLE


def test_a_detector_learns_in_the_loop() -> None:
    """Run the cases of box_loop_cases.py in the environment that has PyTorch and torchvision."""
    if not PYTHON.exists():
        pytest.skip("NO DETECTOR IS TRAINED: `make finetune` installs PyTorch (some GB) and runs this")
    elsewhere.check(PYTHON, elsewhere.BORROWED, CASES, "-s")
