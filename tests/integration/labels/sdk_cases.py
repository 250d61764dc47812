"""Label Studio's SDK writes files for imports, and checks exports. Runs in the SDK's environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from label_studio_sdk.converter import Converter
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.objects import PredictionValue

from octospoon.adapters.label_files import readers
from octospoon.adapters.label_files.readers import Columns
from octospoon.adapters.label_files.writers import OwnInterface, label_studio
from octospoon.adapters.label_studio.choices import choice
from octospoon.adapters.label_studio.interface import parse_interface
from octospoon.adapters.label_studio.labelling_interface import labelling_interface
from octospoon.adapters.label_studio.other_project import OtherProject
from octospoon.adapters.label_studio.results import prediction
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.multilabel import MULTILABEL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLASSES = ("cat", "dog", 'a "b" & <c>')
INTERFACE = labelling_interface(CLASSES)
OTHER = """<View>
  <Image name="img" value="$picture"/>
  <Choices name="animal" toName="img"><Choice value="Cat" alias="cat"/><Choice value="dog"/></Choices>
  <Choices name="quality" toName="img"><Choice value="good"/></Choices>
</View>"""
BOXES = """<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="cat"/><Label value="dog"/></RectangleLabels>
</View>"""
EXPECTED = {"x/a b.jpg": "cat", "ü.png": "dog", "c.jpg": 'a "b" & <c>'}


def image(key: str, label: str) -> LabelledImage:
    return LabelledImage(key, "e", label, 1.0, 1, False, "margin", None, 1)


def task(number: int, image: str, result: Sequence[dict[str, Any]]) -> dict[str, Any]:
    annotation = {"id": number, "completed_by": {"id": 1, "email": "a@b"}, "result": list(result)}
    more = {"was_cancelled": False, "lead_time": 1.0, "created_at": "2026-01-01", "updated_at": "2026-01-01"}
    return {"id": number, "data": {"image": image}, "annotations": [annotation | more]}


def converted(tmp_path: Path, interface: str, form: str, tasks: Sequence[dict[str, Any]]) -> Path:
    """Let Label Studio's own converter write an export; return its folder."""
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    converter = Converter(interface, str(tmp_path), download_resources=False)
    converter.convert(str(tmp_path / "tasks.json"), str(tmp_path / "out"), form, is_dir=False)
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("form", "suffix"), [("JSON", ".json"), ("JSON_MIN", ".json"), ("CSV", ".csv"), ("TSV", ".csv")]
)
def test_exports_of_label_studio_are_read(tmp_path: Path, form: str, suffix: str) -> None:
    tasks = [task(i, key, [choice(label)]) for i, (key, label) in enumerate(EXPECTED.items(), 1)]
    written = converted(tmp_path, INTERFACE, form, tasks)
    files = [written] if written.is_file() else sorted(written.iterdir())
    (file,) = [file for file in files if file.is_file()]
    source = file if file.suffix == suffix else file.rename(file.with_suffix(suffix))

    rows = list(readers.read(source, readers.format_of(source), Columns(), CLASSIFICATION))

    assert {row.image: row.label for row in rows} == EXPECTED


@pytest.mark.parametrize("form", ["YOLO", "COCO"])
def test_boxes_of_label_studio_give_the_class_of_an_image(tmp_path: Path, form: str) -> None:
    def box(label: str) -> dict[str, Any]:
        value = {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": [label]}
        size = {"original_width": 100, "original_height": 80, "image_rotation": 0}
        return {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": value} | size

    tasks = [task(1, "a.jpg", [box("cat"), box("cat")]), task(2, "b.jpg", [box("dog")])]
    written = converted(tmp_path, BOXES, form, tasks)
    if form == "YOLO":
        for boxes in (written / "labels").glob("*.txt"):  # the converter does not move the images
            (written / "images" / f"{boxes.stem}.jpg").write_bytes(b"a picture")
    source = written if form == "YOLO" else written / "result.json"

    rows = list(readers.read(source, readers.format_of(source), Columns(), CLASSIFICATION))

    assert {row.image.rpartition("__")[2]: row.label for row in rows} == {"a.jpg": "cat", "b.jpg": "dog"}


def test_our_interface_predictions_and_tasks_are_valid(tmp_path: Path) -> None:
    interface = LabelInterface(INTERFACE)
    interface.validate()
    assert sorted(interface.get_control("label").labels) == sorted(CLASSES)
    label_studio(
        tmp_path / "tasks.json",
        [image(*pair) for pair in EXPECTED.items()],
        "bucket",
        OwnInterface(SingleChoice()),
    )

    for written in json.loads((tmp_path / "tasks.json").read_text()):
        for annotation in written.pop("annotations"):
            assert interface.validate_annotation(annotation)
        assert interface.validate_task(written)  # with annotations, the SDK raises a TypeError
    for name in CLASSES:
        guess = prediction(SingleChoice(), name, 0.5, "v1", parse_interface(INTERFACE).stored)
        assert guess is not None
        assert interface.validate_prediction(guess, return_errors=True) == []
        assert PredictionValue(**guess).score == 0.5
    assert not interface.validate_annotation({"result": [choice("fox")]})


def test_labels_are_written_for_another_project(tmp_path: Path) -> None:
    project = OtherProject(OTHER, "animal")
    assert (project.control, project.image, project.classes) == (
        "animal",
        "picture",
        {"cat": "Cat", "dog": "dog"},
    )
    assert project.result("fox") is None
    label_studio(tmp_path / "t.json", [image("a.jpg", "Cat"), image("b.jpg", "dog")], "bucket", project)

    tasks = json.loads((tmp_path / "t.json").read_text())
    assert [written["data"]["picture"] for written in tasks] == ["s3://bucket/a.jpg", "s3://bucket/b.jpg"]
    interface = LabelInterface(OTHER)
    for written in tasks:
        assert interface.validate_annotation(written["annotations"][0])

    columns = Columns(control=project.control)
    rows = list(readers.read(tmp_path / "t.json", "label-studio", columns, CLASSIFICATION))
    assert [project.classes[row.label] for row in rows] == ["Cat", "dog"]


def test_several_classes_are_written_for_another_project(tmp_path: Path) -> None:
    several = OTHER.replace('name="animal"', 'name="animal" choice="multiple"')
    with pytest.raises(BadRequest, match=r'one of classification.* choice="multiple" in the control animal'):
        OtherProject(OTHER, "animal", several=True)
    project = OtherProject(several, "animal", several=True)
    images = [image("a.jpg", '["Cat","dog"]'), image("b.jpg", "[]"), image("c.jpg", '["dog"]')]
    assert project.result('["dog","fox"]') is None

    label_studio(tmp_path / "t.json", images, "bucket", project)

    interface = LabelInterface(several)
    for written in json.loads((tmp_path / "t.json").read_text()):
        if written["annotations"][0]["result"]:
            assert interface.validate_annotation(written["annotations"][0])
    columns = Columns(control=project.control)
    rows = list(readers.read(tmp_path / "t.json", "label-studio", columns, MULTILABEL))
    assert [row.label for row in rows] == ['["cat","dog"]', "[]", '["dog"]']


@pytest.mark.parametrize(
    ("interface", "control", "reason"),
    [
        ("<View>", "", "cannot be read"),
        (OTHER, "", r"several controls \(animal, quality\): --control names one"),
        (OTHER, "none", "no control"),
        (BOXES, "", "no control"),
        ("", "", "cannot be read"),
    ],
)
def test_unclear_interfaces_are_refused(interface: str, control: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        OtherProject(interface, control)
