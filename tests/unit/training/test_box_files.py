"""Images with boxes as COCO's JSON and as YOLO's folders."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from fakes.images import FakeImages
from PIL import Image

from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.task_types.detection.label import Box, Boxes
from octospoon.training.command.box_files import BoxFiles
from octospoon.training.command.data_folder import DataFolder

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("cat: the first", "dog", "owl")
TRUTH = {
    "a/two.jpg": (Box("dog", 0.1, 0.2, 0.35, 0.9), Box("owl", 0.0, 0.0, 1.0, 1.0)),
    "b/none.jpg": (),
    "turned.jpg": (Box("cat: the first", 0.25, 0.5, 0.5, 0.75),),
    "held.jpg": (Box("dog", 0.1234567, 0.2345678, 0.3456789, 0.4567891),),
}
SIZES = {"a/two.jpg": (80, 40), "b/none.jpg": (80, 40), "turned.jpg": (40, 80), "held.jpg": (80, 40)}


@pytest.fixture(name="folder")
def written(tmp_path: Path) -> Path:
    images = []
    store = FakeImages()
    for key, boxes in TRUTH.items():
        file, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = 6 if key == "turned.jpg" else 1
        Image.new("RGB", (80, 40)).save(file, "JPEG", exif=exif)
        store.objects[key] = (file.getvalue(), "e")
        label = Boxes().write(boxes)
        images.append(LabelledImage(key, "e", label, 1.0, 1, False, "margin", None, 1))
    held = np.array([key == "held.jpg" for key in TRUTH])
    assert DataFolder(tmp_path, "detection", CLASSES, BoxFiles(CLASSES)).write(images, held, store).all()
    return tmp_path


def keys(folder: Path) -> dict[str, str]:
    """Return the object keys by the names of their files."""
    rows = [json.loads(line) for line in (folder / "images.jsonl").read_text().splitlines()]
    return {row["file"].rpartition("/")[2]: row["key"] for row in rows}


def near(boxes: list[Box], truth: tuple[Box, ...]) -> None:
    assert [box.name for box in boxes] == [box.name for box in truth]
    for box, other in zip(boxes, truth, strict=True):
        assert box[1:] == pytest.approx(other[1:], abs=1e-7)


def test_coco_has_every_image_and_box_in_upright_pixels(folder):
    known, seen = keys(folder), set()
    for part in ("train", "val"):
        coco = json.loads((folder / f"annotations/{part}.json").read_text())
        names = {category["id"]: category["name"] for category in coco["categories"]}
        assert names == {1: "cat: the first", 2: "dog", 3: "owl"}
        assert [row["id"] for row in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
        for image in coco["images"]:
            key = known[image["file_name"]]
            with Image.open(folder / "images" / part / image["file_name"]) as file:
                assert file.size == (image["width"], image["height"]) == SIZES[key]
            boxes = []
            for row in coco["annotations"]:
                if row["image_id"] == image["id"]:
                    x, y, w, h = row["bbox"]
                    assert row["area"] == pytest.approx(w * h)
                    sides = (image["width"], image["height"])
                    corners = [x / sides[0], y / sides[1], (x + w) / sides[0], (y + h) / sides[1]]
                    boxes.append(Box(names[row["category_id"]], *corners))
            near(boxes, TRUTH[key])
            seen.add((part, key))
    assert seen == {("val" if key == "held.jpg" else "train", key) for key in TRUTH}


def test_yolo_has_a_file_of_shares_for_every_image(folder):
    described, known = yaml.safe_load((folder / "data.yaml").read_text()), keys(folder)
    assert described["path"] == str(folder)
    assert described["names"] == dict(enumerate(CLASSES))
    for part in ("train", "val"):
        images = sorted((folder / described[part]).iterdir())
        labels = sorted((folder / "labels" / part).iterdir())
        assert [path.stem for path in images] == [path.stem for path in labels]
        for image, file in zip(images, labels, strict=True):
            boxes = []
            for line in file.read_text().splitlines():
                number, x, y, w, h = line.split()
                cx, cy, half_w, half_h = float(x), float(y), float(w) / 2, float(h) / 2
                corners = (cx - half_w, cy - half_h, cx + half_w, cy + half_h)
                boxes.append(Box(described["names"][int(number)], *corners))
            near(boxes, TRUTH[known[image.name]])


def test_lines_of_images_have_the_boxes(folder):
    rows = [json.loads(line) for line in (folder / "images.jsonl").read_text().splitlines()]
    assert rows[0]["label"] == [["dog", 0.1, 0.2, 0.35, 0.9], ["owl", 0.0, 0.0, 1.0, 1.0]]
    assert rows[1]["label"] == []
