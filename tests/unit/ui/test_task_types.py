"""What the page shows of labels with several classes, and of boxes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import Mock

import numpy as np
import pytest
from fakes.page import BACKBONE, CLASSES, PageWorld
from fakes.watched import boxed, judged
from unit.ui.browser import Client

from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.pool.images import PoolRow, State
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.domain.trace import ImageRecord
from octospoon.ui import judging, watching
from octospoon.ui.boxes import Guesses, boxes, compared
from octospoon.ui.packing import unpack
from octospoon.ui.pages import Pages
from octospoon.ui.server import application
from octospoon.usecases import judge_audit

if TYPE_CHECKING:
    from pathlib import Path

CAT_AND_OWL = '["cat","owl"]'
BOXED = '[["cat",0.1,0.2,0.5,0.6],["owl",0.5,0.5,1,1]]'


@pytest.fixture
def fake(tmp_path: Path) -> PageWorld:
    world = PageWorld(tmp_path, 90)
    world.task_type = MULTILABEL
    return world


def several(key: str) -> str:
    """Return a label with the class of a key; cats are beside an owl."""
    name = key.partition("/")[0]
    return json.dumps(sorted({name, "owl"} if name == "cat" else {name}), separators=(",", ":"))


def test_the_map_knows_the_classes_of_each_label(fake: PageWorld) -> None:
    keys = ["cat/00000.png", "dog/00001.png", "owl/00002.png"]
    for key, label in zip(keys, (CAT_AND_OWL, '["dog"]', "[]"), strict=True):
        fake.world.resolve(key, Consensus(label, 1.0, 1))
    pages = Pages(fake.backend(), fake.world.clock)
    pages.pool.refresh()
    header, arrays = unpack(pages.document() or b"")
    at = [header["keys"].index(key) for key in keys]
    labels = [int(arrays["label"][i]) for i in at]
    assert [header["classes"][label] for label in labels] == ["cat, owl", "dog", "none of the classes"]
    assert [header["members"][label] for label in labels] == [["cat", "owl"], ["dog"], []]
    predicted = {int(number) for number in arrays["predicted"]}
    assert sorted(header["members"][number] for number in predicted) == [["cat"], ["dog"], ["owl"]]


def test_several_classes_are_judged_class_by_class(fake: PageWorld) -> None:
    judged(fake, label=several)
    document = judging.judged(fake.backend())
    assert (document["task_type"], document["metric"]) == ("multilabel", "macro_f1")
    assert document["measured"]["classes"] == CLASSES
    assert len(document["measured"]["evaluation"]["precision"]) == 3
    cats = [i for i, image in enumerate(document["images"]) if image["key"].startswith("cat")]
    parts = document["versions"][0]["parts"]
    assert {(*parts[i]["missed"], *parts[i]["added"]) for i in cats} == {("owl",)}
    assert document["versions"][0]["right"][cats[0]] is False
    assert watching.records(fake.backend())["observed"]["metric"] == "macro_f1"


def test_one_class_needs_no_parts(fake: PageWorld) -> None:
    fake.task_type = CLASSIFICATION
    judged(fake)
    document = judging.judged(fake.backend())
    assert "boxes" not in document["images"][0]
    assert "parts" not in document["versions"][0]


def test_classes_are_not_read_for_each_image(fake: PageWorld) -> None:
    judged(fake, label=several)
    backend = fake.backend()
    reads = Mock(side_effect=backend.history)
    few = judging.judged(replace(backend, history=reads))
    assert len(few["images"]) == 45
    assert reads.call_count < 10


def row(key: str = "cat/00000.png") -> PoolRow:
    """Return a row with a sure cat, and a dog below the threshold."""
    predictions = np.zeros((3, 4 + len(CLASSES)), np.float32)
    predictions[0] = [0.25, 0.25, 0.5, 0.75, 0.9, 0.05, 0.0]
    predictions[1] = [0, 0, 1, 1, 0.0, 0.1, 0.0]
    return PoolRow(key, f"etag-{key}", State.SCORED, 1, BACKBONE, np.zeros(16, np.float32), predictions)


def test_boxes_come_from_labels_and_predictions(fake: PageWorld) -> None:
    assert boxes(MULTILABEL, CAT_AND_OWL, fake.history) == []
    assert [each["name"] for each in boxes(DETECTION, BOXED, fake.history)] == ["cat", "owl"]
    made = Guesses(DETECTION, fake.history)(row().probabilities, CLASSES)
    assert made is not None
    assert made.text == "1 × cat"
    (box,) = made.boxes
    assert box == {"name": "cat", "x1": 0.25, "y1": 0.25, "x2": 0.5, "y2": 0.75}


def test_boxes_of_another_class_list_are_left_out(fake: PageWorld) -> None:
    assert Guesses(DETECTION, fake.history)(row().probabilities, ("cat", "dog")) is None


def test_an_image_shows_both_kinds_of_boxes(fake: PageWorld) -> None:
    key = "cat/00000.png"
    fake.task_type = DETECTION
    fake.records[key] = ImageRecord(key, f"etag-{key}", "1", State.LABELLED, label=BOXED)
    backend = fake.backend()
    rows = backend.storage.pool.rows
    backend.storage.pool = Mock(rows=lambda keys: {**rows(keys), key: row()})
    client = Client(application(Pages(backend, fake.world.clock), str), "http://127.0.0.1:8188")
    shown = client.get(f"/data/image?key={key}").json()
    assert shown["boxes"][0] == {"name": "cat", "x1": 0.1, "y1": 0.2, "x2": 0.5, "y2": 0.6}
    assert [box["name"] for box in shown["predicted"][2]] == ["cat"]


def test_the_map_knows_the_predicted_boxes(tmp_path: Path) -> None:
    fake = PageWorld(tmp_path, 9, task_type=DETECTION)
    blank = np.zeros((1, 4 + len(CLASSES)), np.float32)
    fake.world.pool.table["owl/00005.png"].prediction = replace(
        fake.world.pool.table["owl/00005.png"].prediction, probabilities=blank
    )
    pages = Pages(fake.backend(), fake.world.clock)
    pages.pool.refresh()
    header, arrays = unpack(pages.document() or b"")
    seen = {
        key: (header["classes"][name], header["members"][name], int(boxes))
        for key, name, boxes in zip(header["keys"], arrays["predicted"], arrays["boxes"], strict=True)
    }
    assert seen["cat/00000.png"] == ("1 × cat, 1 × owl", ["cat", "owl"], 2)
    assert seen["dog/00001.png"] == ("1 × dog", ["dog"], 1)
    assert seen["owl/00005.png"] == ("no objects", [], 0)


def test_detectors_are_judged_by_their_stored_boxes(tmp_path: Path) -> None:
    fake = PageWorld(tmp_path, 90, task_type=DETECTION)
    keys = boxed(fake)
    document = judging.judged(fake.backend())
    assert (document["task_type"], document["metric"], document["version"]) == ("detection", "ap50", 2)
    assert [image["key"] for image in document["images"]] == keys
    measured = document["measured"]
    assert measured["unpredicted"] == 1
    assert [each["labels"] for each in measured["evaluation"]["class_ap50"]] == [43, 43, 43]
    new, old = (each["right"] for each in document["versions"])
    doubtful = ["owl" in each["added"] if each else None for each in document["versions"][0]["parts"]]
    assert [None if known is None else not known for known in new] == doubtful
    assert doubtful.count(True) > 5
    assert (new.count(None), old.count(None)) == (1, 0), "the pool's row has the boxes of version 1"
    (pair,) = document["pairs"]
    lost = sum(bool(now) and not before for now, before in zip(new, old, strict=True))
    assert (pair["images"], pair["gained"], pair["lost"]) == (43, lost, 0)
    assert lost > 5


def test_detectors_judge_fewer_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = PageWorld(tmp_path, 90, task_type=DETECTION)
    boxed(fake)
    monkeypatch.setattr(judge_audit, "MOST_WITH_BOXES", 20)
    document = judging.judged(fake.backend())
    assert (len(document["images"]), document["sampled"]) == (20, True)


def test_missed_and_false_boxes_are_told_apart(fake: PageWorld) -> None:
    label = '[["cat",0.1,0.1,0.4,0.4],["cat",0.6,0.6,0.9,0.9],["dog",0,0,0.2,0.2]]'
    predicted = '[["cat",0.1,0.1,0.4,0.4],["cat",0.1,0.1,0.4,0.45],["owl",0,0,0.2,0.2]]'
    shown = compared(DETECTION, label, predicted, (0.5, 0.9, 0.8), fake.history)
    assert shown["found"] == [True, False, False]
    assert [box["right"] for box in shown["boxes"]] == [False, True, False], "the surer box gets the object"
    assert (shown["missed"], shown["added"]) == (["cat", "dog"], ["cat", "owl"])
    nothing = compared(DETECTION, "[]", "[]", (), fake.history)
    assert nothing == {"missed": [], "added": [], "boxes": [], "found": []}
