"""Several classes per image on the real LocalStack, Label Studio and MLflow, from upload to pre-label.

The shared stack has labels of one class, so this lane starts a stack of its own.
"""

from __future__ import annotations

import csv
import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from e2e.helpers import job_done, rescored, serving
from e2e.own_lane import OwnLane, own_lane, parameters

from octospoon.adapters.label_studio.interface import parse_interface
from octospoon.adapters.label_studio.multiple_choice import MultipleChoice
from octospoon.cli import deployment
from octospoon.cli.datasets import mosaics
from octospoon.cli.demo.oracle import correct, submit
from octospoon.cli.main import main
from octospoon.cli.operations import run_now
from octospoon.cli.operations.waiting import wait_for
from octospoon.domain.errors import OctospoonError
from octospoon.domain.task_types.multilabel.label import ClassNames

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = [
    pytest.mark.stack(own=True),
    pytest.mark.timeout(900),
    pytest.mark.skipif(not os.environ.get("OCTOSPOON_MULTILABEL"), reason="`make multilabel` runs this"),
]
IMAGES, BATCH = 120, 40
PARAMETERS = parameters("multilabel", BATCH)
CONTROL, FORM = MultipleChoice(), ClassNames()
POLYGON = {
    "type": "polygonlabels",
    "from_name": "shape",
    "to_name": "image",
    "value": {"points": [[1, 1], [9, 1], [9, 9]], "polygonlabels": ["x"]},
}


def truth(key: str) -> str:
    """Return which digits a mosaic shows."""
    return FORM.write(frozenset(mosaics.mosaic(int(key[-8:-4])).present))


@pytest.fixture(scope="module")
def lane() -> Iterator[OwnLane]:
    files = {f"mosaics/{index:04d}.png": mosaics.mosaic(index).png_bytes() for index in range(IMAGES)}
    with own_lane(PARAMETERS, files) as running:
        yield running


@pytest.fixture(scope="module")
def labelled(lane: OwnLane) -> dict[str, str]:
    """The labels of the first round, which a simulated person has answered; its model is in service."""
    assert run_now.rank(lane.deployment).round_number == 1
    tasks, labels = lane.tasks(1), {}
    for number, (key, task) in enumerate(tasks.items()):
        labels[key] = "[]" if number == 0 else truth(key)
        shapes = [POLYGON] if number == 1 else []
        submit(lane.stack.label_studio, task, [*shapes, *(CONTROL.result(labels[key]) or [])])
    job_done(lane.deployment, 1)
    return labels


def test_the_project_asks_for_any_number_of_classes(lane: OwnLane) -> None:
    config = lane.interface()

    assert parse_interface(config).multiple
    assert not parse_interface(config).required
    assert 'hotkey="7"' in config


def test_every_answer_is_a_label_also_an_empty_one(lane: OwnLane, labelled: dict[str, str]) -> None:
    stored = lane.stored()

    assert stored == labelled
    assert "[]" in stored.values()
    assert max(len(FORM.read(label)) for label in stored.values()) >= 2
    assert lane.deployment.task_type_record.read() == "multilabel"
    assert lane.deployment.labels.uncounted(examples=1).total == 0


def test_a_model_with_sigmoids_serves_and_pre_labels(lane: OwnLane, labelled: dict[str, str]) -> None:
    pointer = serving(lane.deployment)
    assert (pointer.version, pointer.classes) == (1, mosaics.CLASSES)
    rescored(lane.deployment, 1)
    rows = lane.deployment.pool.rows([f"mosaics/{index:04d}.png" for index in range(IMAGES)])
    unlabelled = {key: row for key, row in rows.items() if key not in labelled}
    assert any(row.probabilities.sum() > 1.2 for row in unlabelled.values()), "they need not sum to one"

    assert run_now.rank(lane.deployment).round_number == 2

    round_ = lane.round(2)
    scores = [pick.score for pick in round_.picks if pick.strategy == "margin_diverse"]
    assert scores
    assert all(score and 0 < score <= 1 for score in scores)
    tasks, shown = lane.tasks(2), {}
    for pick in round_.picks:
        document = lane.stack.label_studio.call("GET", f"/api/tasks/{tasks[pick.key]}/")
        assert bool(document["predictions"]) != pick.blind
        for prediction in document["predictions"]:
            shown[pick.key] = CONTROL.read(prediction["result"], lane.deployment.class_record().read()).label
    assert shown
    likely = lane.deployment.task_type.predicted(
        np.stack([rows[key].probabilities for key in shown]), mosaics.CLASSES
    )
    assert list(shown.values()) == [each.label for each in likely]


def test_commands_show_several_classes(
    lane: OwnLane,
    labelled: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deployment, "PROJECT_FILE", tmp_path / "project.json")
    deployment.remember(lane.stack.project, tmp_path / "project.json")
    several = next(key for key, label in labelled.items() if len(FORM.read(label)) > 1)
    assert main(["labels", "export", str(tmp_path / "labels.csv")]) == 0
    rows = list(csv.DictReader((tmp_path / "labels.csv").read_text().splitlines()))
    assert {row["key"]: row["label"] for row in rows} == labelled
    capsys.readouterr()

    assert main(["trace", several]) == 0
    assert ", ".join(sorted(FORM.read(labelled[several]))) in capsys.readouterr().out

    file = tmp_path / "mosaic.png"
    file.write_bytes(mosaics.mosaic(900).png_bytes())
    assert main(["predict", str(file), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["label"] == FORM.write(frozenset(answer["labels"]))

    assert main(["doctor", "--json"]) == 0, capsys.readouterr().out
    checks = {each["check"]: each["message"] for each in json.loads(capsys.readouterr().out)}
    assert checks["task type"] == "multilabel, as all labels are"


def test_a_changed_answer_changes_the_label(lane: OwnLane, labelled: dict[str, str]) -> None:
    key, task = next(iter(lane.tasks(1).items()))
    correct(lane.stack.label_studio, task, CONTROL.result('["3","7"]') or [])

    def changed() -> bool | None:
        state = lane.deployment.labels.label_state(key)
        return True if state and state.label == '["3","7"]' else None

    wait_for("the changed label", changed)


def test_another_kind_of_label_is_refused_everywhere(lane: OwnLane, labelled: dict[str, str]) -> None:
    lane.refuses_another_type()

    name = lane.deployment.outputs["RankFunctionName"]
    client, before = lane.deployment.client("lambda"), lane.deployment.settings_of("Rank")
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": before | {"OCTOSPOON_TASK_TYPE": "classification"}}
    )
    try:
        with pytest.raises(OctospoonError, match="labels of the task type multilabel"):
            run_now.rank(lane.deployment)
    finally:
        client.update_function_configuration(FunctionName=name, Environment={"Variables": before})
