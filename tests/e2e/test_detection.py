"""Boxes on the real LocalStack, Label Studio and MLflow, from upload to a refused detector.

The shared stack has labels of one class, so this lane starts a stack of its own. Its trainer needs PyTorch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from e2e.helpers import job_done, serving
from e2e.own_lane import OwnLane, own_lane, parameters

from octospoon.adapters.label_studio.interface import RECTANGLES, parse_interface
from octospoon.adapters.label_studio.rectangle_labels import RectangleLabels
from octospoon.cli.datasets import mosaics
from octospoon.cli.demo.boxes import BoxesOfMosaics, loose
from octospoon.cli.demo.oracle import correct, submit
from octospoon.cli.local.first_model import FirstModel
from octospoon.cli.operations import rescore, run_now
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.evaluation.training_record import image_numbers
from octospoon.domain.pool.images import State
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.task_types.detection.label import Boxes
from octospoon.domain.training.policy import numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.domain.pool.images import PoolRow

pytestmark = [
    pytest.mark.stack(own=True),
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not os.environ.get("OCTOSPOON_DETECTION"), reason="`make detection` runs this"),
]
IMAGES, BATCH = 100, 40
PARAMETERS = parameters("detection", BATCH, Trainer="finetune", FineTuning="least_steps=200,epochs=8")
CONTROL, FORM = RectangleLabels(), Boxes()
TASK = BoxesOfMosaics(IMAGES)
EXACT = 1e-6
"""Largest difference between an edge in the table and in Label Studio, as a share of the image's side."""


def answer(lane: OwnLane, task: int, label: str) -> None:
    """Submit boxes as an annotator does."""
    submit(lane.stack.label_studio, task, CONTROL.result(label) or [])


def pool_rows(lane: OwnLane) -> dict[str, PoolRow]:
    rows: dict[str, PoolRow] = lane.deployment.pool.rows(list(TASK.pool))
    return rows


@pytest.fixture(scope="module")
def lane() -> Iterator[OwnLane]:
    first = FirstModel("", print, PARAMETERS)
    with own_lane(PARAMETERS, {key: TASK.file(key) for key in TASK.pool}, first) as running:
        yield running


@pytest.fixture(scope="module")
def labelled(lane: OwnLane) -> dict[str, int]:
    """The tasks of the first round, which a simulated person has answered; its detector is in service."""
    assert run_now.rank(lane.deployment).round_number == 1
    tasks = lane.tasks(1)
    for key, task in tasks.items():
        answer(lane, task, TASK.label(key))
    job_done(lane.deployment, 1, seconds=600)
    return tasks


@pytest.fixture(scope="module")
def read_again(lane: OwnLane, labelled: dict[str, int]) -> dict[str, PoolRow]:
    """The rows of the pool, once the first detector has read all its images."""
    wait_for(
        "the detector to read all images again",
        lambda: True if lane.deployment.rescoring.progress()[1] == SHARDS else None,
        seconds=600,
    )
    state = lane.deployment.reading.newest()
    selectable = [row for row in pool_rows(lane).values() if row.state is State.SCORED]
    assert (state.seen, state.left) == (len(selectable), 0)
    assert not rescore.stale_images(lane.deployment)
    return pool_rows(lane)


def drawn(lane: OwnLane, task: int) -> list[tuple[float, ...]]:
    """Return the boxes of a task's only answer in Label Studio: x1, y1, x2, y2 as shares, in order."""
    (annotation,) = lane.stack.label_studio.call("GET", f"/api/tasks/{task}/annotations/")
    values = [region["value"] for region in annotation["result"]]
    return sorted(
        (
            value["x"] / 100,
            value["y"] / 100,
            (value["x"] + value["width"]) / 100,
            (value["y"] + value["height"]) / 100,
        )
        for value in values
    )


def test_the_project_asks_for_boxes(lane: OwnLane) -> None:
    assert CONTROL.problems(parse_interface(lane.interface(), RECTANGLES)) == []


def test_the_table_has_the_boxes_of_label_studio(lane: OwnLane, labelled: dict[str, int]) -> None:
    stored = lane.stored()

    assert stored.keys() == labelled.keys()
    assert "[]" in stored.values(), "an image without objects is a label"
    for key, task in labelled.items():
        boxes = sorted(box[1:] for box in FORM.read(stored[key]))
        assert np.allclose(np.ravel(boxes), np.ravel(drawn(lane, task)), rtol=0, atol=EXACT)
        assert stored[key] == TASK.label(key)


def test_every_answer_is_counted_and_trained_on(lane: OwnLane, labelled: dict[str, int]) -> None:
    pointer = serving(lane.deployment)
    images = list(lane.deployment.labels.labelled())
    record = lane.deployment.training_records.get(pointer)

    assert lane.deployment.task_type_record.read() == "detection"
    assert lane.deployment.labels.uncounted(examples=1).total == 0
    assert len(images) == BATCH
    assert (pointer.version, pointer.classes) == (1, mosaics.CLASSES)
    learned = image_numbers((image.key, image.etag) for image in images if not image.audit)
    assert set(record.images.tolist()) == set(learned.tolist()), "all but the audit share"


def test_the_run_shows_how_good_the_boxes_are(lane: OwnLane, labelled: dict[str, int]) -> None:
    base = f"{lane.stack.project.mlflow_url}/api/2.0/mlflow"
    named = {"name": "octospoon", "alias": "champion"}
    version = httpx.get(f"{base}/registered-models/alias", params=named).json()["model_version"]
    run = httpx.get(f"{base}/runs/get", params={"run_id": version["run_id"]}).json()["run"]["data"]
    metrics = {metric["key"]: metric["value"] for metric in run["metrics"]}

    assert 0 < metrics["ap50_low"] <= metrics["ap50"] <= metrics["ap50_high"] <= 1
    assert metrics["training_labels"] == BATCH - BATCH // 5
    assert metrics["torch_parity_gap"] < 1e-4


def test_the_pool_has_boxes_once_it_is_read_again(lane: OwnLane, read_again: dict[str, PoolRow]) -> None:
    pointer = serving(lane.deployment)
    waiting = [row for row in read_again.values() if row.state == "scored"]

    assert len(waiting) == IMAGES - BATCH
    assert {(row.model_version, row.backbone) for row in waiting} == {(1, pointer.backbone)}
    assert all(row.probabilities is not None and row.probabilities.ndim == 2 for row in waiting)


def test_the_next_round_shows_boxes_to_correct(lane: OwnLane, read_again: dict[str, PoolRow]) -> None:
    assert run_now.rank(lane.deployment).round_number == 2
    tasks, shown = lane.tasks(2), 0
    history = lane.deployment.class_record().read()
    picks = lane.round(2).picks
    assert any(pick.strategy == "margin_diverse" and pick.score for pick in picks), "its doubt chooses"
    for pick in picks:
        document = lane.stack.label_studio.call("GET", f"/api/tasks/{tasks[pick.key]}/")
        assert bool(document["predictions"]) != pick.blind
        for prediction in document["predictions"]:
            (likely,) = lane.deployment.task_type.predicted(
                read_again[pick.key].probabilities[np.newaxis], mosaics.CLASSES
            )
            assert CONTROL.read(prediction["result"], history).label == likely.label
            shown += bool(FORM.read(likely.label))
    assert shown


def test_a_predicted_box_that_a_person_moves_is_stored(lane: OwnLane, read_again: dict[str, PoolRow]) -> None:
    documents = [
        lane.stack.label_studio.call("GET", f"/api/tasks/{task}/") for task in lane.tasks(2).values()
    ]
    predicted = next(each for each in documents if each["predictions"] and each["predictions"][0]["result"])
    regions = predicted["predictions"][0]["result"]
    moved = {"x": 10.123456789, "y": 20.0, "width": 30.3333333333, "height": 40.000001}
    regions[0]["value"] |= moved
    submit(lane.stack.label_studio, predicted["id"], regions)
    key = next(key for key, task in lane.tasks(2).items() if task == predicted["id"])

    boxes = wait_for("the label", lambda: lane.stored().get(key))

    wanted = (0.10123456789, 0.2, 0.404567901223, 0.60000001)
    gaps = [np.abs(np.subtract(box[1:], wanted)).max() for box in FORM.read(boxes)]
    assert min(gaps) <= EXACT
    assert np.allclose(
        np.ravel(sorted(box[1:] for box in FORM.read(boxes))),
        np.ravel(drawn(lane, predicted["id"])),
        rtol=0,
        atol=EXACT,
    )


def test_a_detector_of_loose_boxes_is_refused(lane: OwnLane, read_again: dict[str, PoolRow]) -> None:
    spoiled = {pick.key for number in (1, 2) for pick in lane.round(number).picks if not pick.audit}
    first, second = lane.tasks(1), lane.tasks(2)
    wanted = {key: loose(TASK.label(key)) for key in spoiled & first.keys()}
    for key, label in wanted.items():
        correct(lane.stack.label_studio, first[key], CONTROL.result(label) or [])
    wait_for("the loose boxes", lambda: True if wanted.items() <= lane.stored().items() else None)
    answered = lane.stored()
    for key, task in second.items():
        label = loose(TASK.label(key)) if key in spoiled else TASK.label(key)
        if key not in answered:
            answer(lane, task, label)
        else:
            correct(lane.stack.label_studio, task, CONTROL.result(label) or [])
    job_done(lane.deployment, 2, seconds=600)

    decision = lane.deployment.history.decision(numbered(2))
    assert not decision.promoted
    assert any(reason.startswith("worse than the model in service: AP50 ") for reason in decision.reasons)
    assert serving(lane.deployment).version == 1


def test_another_kind_of_label_is_refused(lane: OwnLane, labelled: dict[str, int]) -> None:
    lane.refuses_another_type()
