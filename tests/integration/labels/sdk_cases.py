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
from octospoon.adapters.label_studio.interface import OtherKind, parse_interface
from octospoon.adapters.label_studio.labelling_interface import labelling_interface
from octospoon.adapters.label_studio.other_project import OtherProject
from octospoon.adapters.label_studio.results import prediction
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.cli.datasets.row_boxes import boxes_of
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.domain.task_types.names import TaskTypeName

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


@pytest.mark.parametrize("form", ["JSON", "JSON_MIN", "CSV", "YOLO", "COCO", "VOC"])
def test_boxes_of_label_studio_s_exports_are_read(tmp_path: Path, form: str) -> None:
    """The converter rounds to whole pixels for VOC; all other forms keep six digits of a side."""
    shares = {"a.jpg": (0.125, 0.25, 0.5, 0.75), "ü b.jpg": (0.3, 0.1, 0.999, 0.2)}

    def box(x1: float, y1: float, x2: float, y2: float) -> dict[str, Any]:
        place = {"x": 100 * x1, "y": 100 * y1, "width": 100 * (x2 - x1), "height": 100 * (y2 - y1)}
        value = {**place, "rotation": 0, "rectanglelabels": ["dog"]}
        size = {"original_width": 1000, "original_height": 800, "image_rotation": 0}
        return {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": value} | size

    tasks = [task(i, key, [box(*corners)]) for i, (key, corners) in enumerate(shares.items(), 1)]
    written = converted(tmp_path, BOXES, form, tasks)
    if form == "YOLO":
        for boxes in (written / "labels").glob("*.txt"):  # the converter does not move the images
            (written / "images" / f"{boxes.stem}.jpg").write_bytes(b"a picture")
    names = {"JSON": "*.json", "JSON_MIN": "*.json", "CSV": "*.csv", "COCO": "*.json"}
    source = next(written.glob(names[form])) if form in names and written.is_dir() else written
    if form == "CSV" and source.suffix != ".csv":
        source = source.rename(source.with_suffix(".csv"))

    columns = Columns(label="box") if form == "CSV" else Columns(control="box")
    rows = list(readers.read(source, readers.format_of(source), columns, DETECTION))

    placed = {row.image.rpartition("__")[2]: boxes_of(row, None) for row in rows}
    assert all(not each.left_out for each in placed.values())
    assert [len(each.boxes) for each in placed.values()] == [1, 1]
    tolerance = 2e-3 if form == "VOC" else 1e-6
    for each, corners in zip(placed.values(), shares.values(), strict=True):
        assert each.boxes[0].name == "dog"
        assert each.boxes[0][1:] == pytest.approx(corners, abs=tolerance)


def test_boxes_are_written_for_another_project(tmp_path: Path) -> None:
    project = OtherProject(BOXES, kind=TaskTypeName.DETECTION)
    assert (project.control, project.classes) == ("box", {"cat": "cat", "dog": "dog"})
    assert project.result('[["fox",0.1,0.1,0.2,0.2]]') is None
    label = '[["cat",0.1,0.2,0.3,0.4],["dog",0.0,0.0,1.0,1.0]]'

    label_studio(tmp_path / "t.json", [image("a.jpg", label), image("b.jpg", "[]")], "bucket", project)

    interface = LabelInterface(BOXES)
    written = json.loads((tmp_path / "t.json").read_text())
    assert all(interface.validate_region(region) for region in written[0]["annotations"][0]["result"])
    rows = list(readers.read(tmp_path / "t.json", "label-studio", Columns(control="box"), DETECTION))
    assert [row.label for row in rows] == [label, "[]"]
    with pytest.raises(OtherKind, match="asks for choices for an image, and labels of detection need boxes"):
        OtherProject(INTERFACE, kind=TaskTypeName.DETECTION)


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
        OtherProject(OTHER, "animal", TaskTypeName.MULTILABEL)
    project = OtherProject(several, "animal", TaskTypeName.MULTILABEL)
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
        (BOXES, "", "asks for boxes on an image, and labels of classification need choices"),
        ("", "", "cannot be read"),
    ],
)
def test_unclear_interfaces_are_refused(interface: str, control: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        OtherProject(interface, control)
