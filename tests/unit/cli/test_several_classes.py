"""Labels of several classes in files: exported, imported again, and predicted."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import images_bucket
from fakes.images_bucket import labels_of

from octospoon.cli.commands.predict import table
from octospoon.cli.datasets.row_labels import OTHER_LIST
from octospoon.cli.operations import export_predictions, exports, label_import
from octospoon.cli.operations.label_import import Options
from octospoon.cli.operations.predict import SeveralClasses
from octospoon.cli.output import print_json, print_tables
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.pool.images import ImageRef, Prediction
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.domain.trace import Label, SeenScore, Trace, Upload, with_names_of_now

pytestmark = pytest.mark.usefixtures("no_training")
CLASSES = ("cat", "dog", "owl")
LABELS = {"a.jpg": '["cat"]', "b.jpg": '["cat","owl"]', "none.jpg": "[]"}


def deployed(*keys: str) -> Any:
    """Return a deployment whose pool has these images."""
    return images_bucket.deployed(MULTILABEL, CLASSES, {key: key.encode() for key in keys})


def import_csv(tmp_path: Path, *rows: str) -> tuple[Any, label_import.Imported]:
    deployment = deployed(*LABELS)
    return deployment, images_bucket.import_csv(deployment, tmp_path, "image,label", *rows)


@pytest.mark.parametrize(
    ("name", "form"),
    [("l.csv", ""), ("l.jsonl", ""), ("l.json", "coco"), ("l.json", "label-studio")],
)
def test_an_exported_label_is_imported_again(tmp_path: Path, name: str, form: str) -> None:
    one, two = deployed(*LABELS), deployed(*LABELS)
    for key, label in LABELS.items():
        one.world.resolve(key, Consensus(label, 1.0, 1))

    exports.labels(one, tmp_path / name, form)
    done = label_import.import_labels(two, tmp_path / name, Options(form))

    # COCO does not tell an image without any class from one that nobody has labelled
    expected = {key: label for key, label in LABELS.items() if form != "coco" or label != "[]"}
    assert labels_of(two) == expected
    assert done.classes == {"cat": 2, "owl": 1}
    assert (done.stored, sum(done.skipped.counts.values())) == (len(expected), 3 - len(expected))


def test_rows_of_one_class_add_up_and_lists_contradict(tmp_path: Path) -> None:
    deployment, done = import_csv(
        tmp_path,
        "a.jpg,owl",
        "a.jpg,cat",
        'b.jpg,"[""cat"",""owl""]"',
        'b.jpg,"[""cat""]"',
        'none.jpg,"{""choices"": []}"',
    )

    assert labels_of(deployment) == {"a.jpg": '["cat","owl"]', "none.jpg": "[]"}
    assert done.skipped.examples == {OTHER_LIST: ["b.jpg (line 4 and line 5)"]}


def test_unknown_classes_are_left_out_and_counted(tmp_path: Path) -> None:
    deployment, done = import_csv(tmp_path, 'a.jpg,"[""cow"",""cat""]"', 'b.jpg,"[""cow""]"', "none.jpg,")

    assert labels_of(deployment) == {"a.jpg": '["cat"]'}
    assert (done.classes, done.unknown_classes) == ({"cat": 1}, {"cow": 2})
    assert done.skipped.counts == {"without a class": 1}


def test_coco_has_an_annotation_for_each_class(tmp_path: Path) -> None:
    deployment = deployed(*LABELS)
    for key, label in LABELS.items():
        deployment.world.resolve(key, Consensus(label, 1.0, 1))

    exports.labels(deployment, tmp_path / "coco.json", "coco")

    written = json.loads((tmp_path / "coco.json").read_text())
    names = {category["id"]: category["name"] for category in written["categories"]}
    files = {image["id"]: image["file_name"] for image in written["images"]}
    pairs = [(files[each["image_id"]], names[each["category_id"]]) for each in written["annotations"]]
    assert pairs == [("a.jpg", "cat"), ("b.jpg", "cat"), ("b.jpg", "owl")]
    assert [each["id"] for each in written["annotations"]] == [1, 2, 3]
    assert set(files.values()) == set(LABELS)


@pytest.mark.parametrize("form", ["folders", "yolo"])
def test_folders_of_classes_are_refused(tmp_path: Path, form: str) -> None:
    with pytest.raises(BadRequest, match="the folder of its one class, and multilabel may have several"):
        exports.labels(deployed(), tmp_path / "out", form)
    assert not (tmp_path / "out").exists()


def test_predictions_name_every_class_that_is_likely(tmp_path: Path) -> None:
    deployment = deployed()
    for key, shares in {"a.jpg": [0.9, 0.1, 0.75], "b.jpg": [0.25, 0.1, 0.1]}.items():
        prediction = Prediction(3, "b" * 64, np.zeros(4, np.float32), np.array(shares, np.float32))
        deployment.world.pool.put_score(ImageRef(key, "e", "1", 1), prediction)

    export_predictions.predictions(deployment, tmp_path / "out.csv")

    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert {row["key"]: (row["prediction"], row["confidence"]) for row in rows} == {
        "a.jpg": ('["cat","owl"]', "0.75"),
        "b.jpg": ("[]", "0.75"),
    }


def test_an_answer_of_predict_lists_the_classes(capsys: pytest.CaptureFixture[str]) -> None:
    answers = [
        SeveralClasses(Path("a.jpg"), '["cat","owl"]', 0.75, 3, labels=("cat", "owl")),
        SeveralClasses(Path("b.jpg"), "[]", 0.5, 3),
    ]
    print_tables(table(answers))
    shown = capsys.readouterr().out
    assert "cat, owl" in shown
    assert "none of the classes" in shown
    print_json(answers)
    assert [each["labels"] for each in json.loads(capsys.readouterr().out)] == [["cat", "owl"], []]


def test_a_trace_names_the_classes_of_labels_and_scores() -> None:
    upload = Upload("k#e", "e", 1.0, scores=(SeenScore(2.0, 1, 1, "dog", 0.9),), label='["cat","dog"]')
    given = Label(3.0, "[]", 1.0, 1)
    trace = Trace(
        "k", "k#e", "labelled", (upload,), (), (), None, (), given, "", "", None, trainings=(), notes=()
    )
    history = ClassHistory(CLASSES).rename("dog", "hound", 1.0)

    shown = with_names_of_now(trace, MULTILABEL.labels, history)

    assert shown.uploads[0].label == "cat, hound"
    assert shown.uploads[0].scores[0].label == "hound"
    assert shown.label is not None
    assert shown.label.label == "none of the classes"
