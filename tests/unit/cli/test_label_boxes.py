"""Labels with boxes in files: exported, imported again, and predicted."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from fakes import images_bucket
from fakes.images_bucket import labels_of
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from octospoon.adapters.label_files import readers
from octospoon.adapters.label_files.drawn import placed, size_of
from octospoon.cli.commands.labels.import_labels import _document, summary
from octospoon.cli.datasets.row_boxes import OTHER_BOXES, TOO_MANY
from octospoon.cli.operations import export_predictions, exports, label_import
from octospoon.cli.operations.export_folder import CHANGED
from octospoon.cli.operations.label_import import Options
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.tasks import Pick
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.label import Box, Boxes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_training")
CLASSES = ("cat", "dog")
LABELS = {
    "a.jpg": '[["cat",0.1234567,0.2,0.4,0.6],["dog",0.0,0.0,1.0,1.0]]',
    "turned.jpg": '[["dog",0.25,0.5,0.75,0.9999999]]',
    "none.jpg": "[]",
}


def picture(key: str) -> bytes:
    """Return a photo of 37×90 pixels as people see it; one is stored lying on its side."""
    turned = key == "turned.jpg"
    image = Image.new("RGB", (90, 37) if turned else (37, 90))
    exif, file = image.getexif(), io.BytesIO()
    exif[0x0112] = 6 if turned else 1
    image.save(file, "JPEG", exif=exif, comment=key.encode())
    return file.getvalue()


def deployed(*keys: str) -> Any:
    """Return a deployment whose pool has these images, each with two predicted boxes."""
    boxes = [[0.1, 0.2, 0.3, 0.4, 0.9, 0.0], [0.5, 0.5, 0.9, 0.9, 0.0, 0.4]]
    return images_bucket.deployed(DETECTION, CLASSES, {key: picture(key) for key in keys}, boxes)


def import_csv(tmp_path: Path, *rows: str) -> tuple[Any, label_import.Imported]:
    deployment, columns = deployed(*LABELS), "image,label,xmin,ymin,xmax,ymax,image_width,image_height"
    return deployment, images_bucket.import_csv(deployment, tmp_path, columns, *rows)


def labelled(tmp_path: Path, label: dict[str, str]) -> Any:
    """Return a deployment with these labels."""
    lines = [json.dumps({"key": key, "label": text}) for key, text in label.items()]
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    deployment = deployed(*label)
    label_import.import_labels(deployment, tmp_path / "labels.jsonl", Options())
    return deployment


@pytest.mark.parametrize(
    ("name", "form"),
    [("l.csv", ""), ("l.jsonl", ""), ("l.json", "coco"), ("l.json", "label-studio"), ("l", "yolo")],
)
def test_exported_boxes_come_back_as_they_were(tmp_path, name, form) -> None:
    deployment = labelled(tmp_path, LABELS)
    assert labels_of(deployment) == LABELS

    assert exports.labels(deployment, tmp_path / name, form).rows == 3
    again = deployed(*LABELS)
    done = label_import.import_labels(again, tmp_path / name, Options())

    assert (done.stored, done.left_out.lines(), done.skipped.lines()) == (3, [], [])
    assert labels_of(again) == LABELS


SHARE = st.floats(0, 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(SHARE, SHARE, SHARE, SHARE), max_size=8))
def test_any_boxes_survive_files_to_a_millionth(tmp_path_factory, corners) -> None:
    folder = tmp_path_factory.mktemp("boxes")
    drawn = [Box("cat", min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    label = Boxes().write(tuple(box for box in drawn if box.x2 - box.x1 > 1e-6 and box.y2 - box.y1 > 1e-6))
    deployment = labelled(folder, {"turned.jpg": label})

    exports.labels(deployment, folder / "set", "yolo")
    before, files = Boxes().read(label), [in_yolo(folder / "set")["turned.jpg"]]
    for form in ("coco", "label-studio"):
        exports.labels(deployment, folder / f"{form}.json", form)
        again = deployed("turned.jpg")
        label_import.import_labels(again, folder / f"{form}.json", Options())
        files.append(Boxes().read(labels_of(again)["turned.jpg"]))
    for after in files:
        assert [box.name for box in after] == [box.name for box in before]
        assert np.allclose([box[1:] for box in after], [box[1:] for box in before], rtol=0, atol=1e-6)


def test_coco_has_pixels_of_the_image_as_displayed(tmp_path) -> None:
    deployment = labelled(tmp_path, LABELS)
    deployment.images.objects["a.jpg"] = (b"other", "other")
    done = exports.labels(deployment, tmp_path / "c.json", "coco")

    data = json.loads((tmp_path / "c.json").read_text())
    sizes = {image["file_name"]: (image["width"], image["height"]) for image in data["images"]}
    assert sizes == {"none.jpg": (37, 90), "turned.jpg": (37, 90)}
    (annotation,) = data["annotations"]
    assert annotation["bbox"] == pytest.approx([9.25, 45, 18.5, 44.999991])
    assert annotation["area"] == pytest.approx(18.5 * 44.999991)
    assert data["images"][0]["attributes"]["source"] == "imported"
    assert done.left_out == {CHANGED: 1}


def test_a_folder_for_each_class_is_refused_for_boxes(tmp_path) -> None:
    with pytest.raises(BadRequest, match=r"has boxes instead: choose one of csv, .*studio, yolo"):
        exports.labels(deployed(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def in_yolo(folder: Path) -> dict[str, list[Box]]:
    """Return the boxes of YOLO's text files by object key."""
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    keys = {row["file"]: row["key"] for row in rows}
    read = readers.read(folder, "yolo", readers.Columns(), DETECTION)
    return {keys[row.image]: placed(row.drawn, size_of(folder / row.image)).boxes for row in read}


def test_yolo_has_the_boxes_of_every_image(tmp_path) -> None:
    odd = {
        "a.png": '[["dog",0.1,0.1,0.2,0.3]]',
        "A.jpg": '[["dog",0.1,0.1,0.2,0.4]]',
        "images/b.jpg": '[["cat",0.0,0.0,0.3,0.3]]',
        ".hidden/c.jpg": "[]",
        "dir/labels/d.v1.jpg": '[["cat",0.0,0.5,0.3,0.9876543]]',
    }
    deployment = labelled(tmp_path, LABELS | odd)
    row = deployment.world.pool.table["a.jpg"]
    row.pick = Pick("a.jpg", row.etag, True, "random", None, 0, 0.5)

    done = exports.labels(deployment, tmp_path / "out", "yolo")

    assert (done.rows, done.format, done.left_out) == (8, "yolo", {})
    written = in_yolo(tmp_path / "out")
    for key, label in (LABELS | odd).items():
        truth = Boxes().read(label)
        assert [box.name for box in written[key]] == [box.name for box in truth]
        assert np.allclose([box[1:] for box in written[key]], [box[1:] for box in truth], rtol=0, atol=1e-6)
    described = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert described == {
        "train": "images/train",
        "val": "images/val",
        "names": {0: "cat", 1: "dog"},
    }
    (held,) = (tmp_path / "out/images/val").iterdir()
    assert held.read_bytes() == picture("a.jpg")
    assert [file.stem for file in (tmp_path / "out/labels/val").iterdir()] == [held.stem]
    assert (tmp_path / "out/labels/train/none.txt").read_text() == ""
    assert (tmp_path / "out/labels/train/dir/labels/d.v1.txt").is_file(), "other keys keep their paths"


def test_an_interrupted_export_of_boxes_is_finished(tmp_path) -> None:
    deployment = labelled(tmp_path, LABELS)
    deployment.images.objects["a.jpg"] = (b"other", "other")
    (tmp_path / "out/labels/train").mkdir(parents=True)
    (tmp_path / "out/labels/train/turned.txt").write_text("of another time")

    done = exports.labels(deployment, tmp_path / "out", "yolo")

    assert (done.rows, done.left_out) == (2, {CHANGED: 1})
    assert in_yolo(tmp_path / "out").keys() == {"turned.jpg", "none.jpg"}
    assert not (tmp_path / "out/labels/train/a.txt").exists()
    with pytest.raises(BadRequest, match=r"manifest\.jsonl is there already"):
        exports.labels(deployment, tmp_path / "out", "yolo")


def test_rows_of_single_boxes_add_up(tmp_path) -> None:
    rows = ["a.jpg,cat,0,0,20,45,37,90", "none.jpg,,,,,,37,90", "a.jpg,dog,0,0,37,90,37,90"]
    deployment, done = import_csv(tmp_path, *rows)

    assert labels_of(deployment) == {
        "a.jpg": '[["cat",0.0,0.0,0.5405405,0.5],["dog",0.0,0.0,1.0,1.0]]',
        "none.jpg": "[]",
    }
    assert done.classes == {"cat": 1, "dog": 1}


def test_what_is_left_out_is_named_in_the_summary(tmp_path) -> None:
    deployment, done = import_csv(
        tmp_path,
        "a.jpg,cat,0,0,20,45,37,90",
        "a.jpg,fox,0,0,20,45,37,90",
        "a.jpg,cat,9,9,9,45,37,90",
        "a.jpg,cat,30,9,50,45,37,90",
        "turned.jpg,fox,0,0,20,45,37,90",
        "none.jpg,cat,9,nan,20,45,37,90",
    )

    assert list(labels_of(deployment)) == ["a.jpg"]
    assert done.unknown_classes == {"fox": 2}
    assert summary(done) == [
        f"6 rows read from {tmp_path / 'labels.csv'} (csv)",
        "class cat: 1 images",
        "class fox: 2 boxes, left out: the project has no such class (--map fox=CLASS)",
        "1 new labels",
        "left out 1, boxes without an area: 'line 4'",
        "left out 1, boxes with a number missing, or one that is not finite: 'line 7'",
        "1 boxes reach beyond the image and were cut off at its edge",
    ]
    document: Any = _document(done)
    assert (document["cut"], [each["count"] for each in document["left_out"]]) == (1, [1, 1])


def test_an_image_with_and_without_objects_contradicts_itself(tmp_path) -> None:
    deployment, done = import_csv(tmp_path, "a.jpg,cat,0,0,20,45,37,90", "a.jpg,,,,,,37,90")

    assert labels_of(deployment) == {}
    assert done.skipped.lines() == [f"skipped 1, {OTHER_BOXES}: 'a.jpg (line 2 and line 3)'"]


def test_an_image_with_too_many_boxes_is_named(tmp_path) -> None:
    rows = [f"a.jpg,cat,0,0,{1 + i % 30},{1 + i % 80},37,90" for i in range(1001)]
    deployment, done = import_csv(tmp_path, *rows, "none.jpg,,,,,,37,90")

    assert labels_of(deployment) == {"none.jpg": "[]"}
    assert done.skipped.lines() == [f"skipped 1, {TOO_MANY}: 'a.jpg (line 2)'"]


def test_images_of_voc_are_uploaded_with_their_boxes(tmp_path) -> None:
    box = "<bndbox><xmin>0</xmin><ymin>9</ymin><xmax>37</xmax><ymax>45</ymax></bndbox>"
    size = "<size><width>90</width><height>37</height></size>"
    for name, more in {"turned": size, "a": ""}.items():
        (tmp_path / "JPEGImages").mkdir(exist_ok=True)
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / f"JPEGImages/{name}.jpg").write_bytes(picture(f"{name}.jpg"))
        (tmp_path / f"Annotations/{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename>{more}<object><name>Katze</name>{box}</object></annotation>"
        )
    deployment = deployed()

    done = label_import.import_labels(deployment, tmp_path, Options(renamed={"Katze": "cat"}, prefix="voc/"))

    assert (done.format, done.uploads) == ("voc", 2)
    # the lying image is 90×37 in the file: a quarter turn brings its lower edge to the left
    assert labels_of(deployment) == {
        "voc/a.jpg": '[["cat",0.0,0.1,1.0,0.5]]',
        "voc/turned.jpg": '[["cat",0.0,0.0,0.7567568,0.4111111]]',
    }


def test_predicted_boxes_are_exported_as_labels(tmp_path) -> None:
    export_predictions.predictions(deployed("a.jpg"), tmp_path / "out.csv")

    (row,) = csv.DictReader((tmp_path / "out.csv").read_text().splitlines())
    predicted = Boxes().read(row["prediction"])
    assert [box.name for box in predicted] == ["cat", "dog"]
    assert predicted[0][1:] == pytest.approx((0.1, 0.2, 0.3, 0.4), abs=1e-6)
    assert 0 < float(row["confidence"]) < 1
