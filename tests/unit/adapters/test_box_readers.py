"""Boxes in the files of other programs, and where they lie on the image that people see."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from octospoon.adapters.imaging.decode import decode
from octospoon.adapters.label_files import drawn, readers
from octospoon.adapters.label_files.boxes import csv_boxes, yolo
from octospoon.adapters.label_files.boxes.yolo_folders import YoloFolders
from octospoon.adapters.label_files.coco_reader import CROWD, NO_BOX
from octospoon.adapters.label_files.drawn import Drawn, DrawnBox, ImageSize, placed
from octospoon.adapters.label_files.readers import Columns
from octospoon.adapters.label_files.rows import NO_IMAGE
from octospoon.cli.datasets.row_boxes import NO_BOXES, boxes_of
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.label import Box

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.adapters.label_files.rows import LabelRow
    from octospoon.domain.task_types.task_type import TaskType

SIZE = (160, 80)
CAT, DOG = Box("cat", 0.25, 0.125, 0.5, 0.75), Box("dog", 0.0, 0.0, 1.0, 1.0)
VOC = """<annotation><filename>a.jpg</filename>
<size><width>160</width><height>80</height><depth>3</depth></size>
<object><name>dog</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>160</xmax><ymax>80</ymax></bndbox></object>
<object><name>cat</name>
 <bndbox><xmin>40</xmin><ymin>10</ymin><xmax>80.0</xmax><ymax>60</ymax></bndbox>
</object></annotation>"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def picture(path: Path, size: tuple[int, int] = SIZE, orientation: int = 1) -> Path:
    """Write an image whose stored pixels are bright in the first quarter of both sides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[: size[1] // 4, : size[0] // 4] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, quality=95, exif=exif)
    return path


def read(source: Path, form: str = "", task_type: TaskType = DETECTION) -> list[LabelRow]:
    return list(readers.read(source, form or readers.format_of(source), Columns(), task_type))


def boxes(source: Path, root: Path, form: str = "") -> dict[str, list[Box]]:
    """Return the boxes of each image; nothing may be left out."""
    result: dict[str, list[Box]] = {}
    for row in read(source, form):
        assert not row.problem
        given = boxes_of(row, str(root / row.image))
        assert not given.left_out
        name = row.image.removeprefix("images/")
        result[name] = sorted([*result.get(name, []), *given.boxes])
    return result


def coco(**more: Any) -> dict[str, Any]:
    return {
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [40, 10, 40, 50]},
            {"id": 2, "image_id": 1, "category_id": 3, "bbox": [0, 0, 160, 80], "iscrowd": 0},
        ],
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 160, "height": 80},
            {"id": 2, "file_name": "none.jpg", "width": 160, "height": 80},
        ],
        "categories": [{"id": 3, "name": "dog"}, {"id": 7, "name": "cat"}],
    } | more


def in_coco(folder: Path) -> Path:
    return write(folder / "labels.json", json.dumps(coco()))


def in_yolo(folder: Path) -> Path:
    write(folder / "classes.txt", "cat\ndog\n")
    write(folder / "labels/a.txt", "1 0.5 0.5 1 1\n0 0.375 0.4375 0.25 0.625\n")
    write(folder / "labels/none.txt", "")
    return folder


def in_voc(folder: Path) -> Path:
    write(folder / "Annotations/a.xml", VOC)
    write(folder / "Annotations/none.xml", "<annotation><filename>none.jpg</filename></annotation>")
    return folder


def in_csv(folder: Path) -> Path:
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax", "a.jpg,160,80,dog,0,0,160,80"]
    return write(folder / "l.csv", "\n".join([*rows, "a.jpg,160,80,cat,40,10,80,60", "none.jpg,160,80,,,,,"]))


def in_csv_without_size(folder: Path) -> Path:
    rows = ["image;x;y;w;h;label", "a.jpg;0;0;160;80;dog", "a.jpg;40;10;40;50;cat", "none.jpg;;;;;"]
    return write(folder / "l.csv", "\n".join(rows))


def in_csv_of_shares(folder: Path) -> Path:
    rows = ["image,label,x1,y1,x2,y2", "a.jpg,dog,0,0,1,1", "a.jpg,cat,0.25,0.125,0.5,0.75", "none.jpg,,,,,"]
    return write(folder / "l.csv", "\n".join(rows))


def in_manifest(folder: Path) -> Path:
    label = '[[\\"cat\\",0.25,0.125,0.5,0.75],[\\"dog\\",0,0,1,1]]'
    lines = f'{{"file": "a.jpg", "label": "{label}"}}\n{{"file": "none.jpg", "label": "[]"}}\n'
    return write(folder / "m.jsonl", lines)


def in_label_studio(folder: Path) -> Path:
    def region(name: str, *sides: float) -> dict[str, Any]:
        value = dict(zip(("x", "y", "width", "height"), sides, strict=True)) | {"rectanglelabels": [name]}
        return {"from_name": "box", "to_name": "img", "type": "rectanglelabels", "value": value}

    drawn = [region("dog", 0, 0, 100, 100), region("cat", 25, 12.5, 25, 62.5)]
    tasks = [
        {"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"result": drawn}]},
        {"id": 2, "data": {"image": "none.jpg"}, "annotations": [{"result": []}]},
    ]
    return write(folder / "tasks.json", json.dumps(tasks))


EVERY = (
    *(in_coco, in_yolo, in_voc, in_csv, in_csv_without_size, in_csv_of_shares, in_manifest),
    in_label_studio,
)


@pytest.mark.parametrize("form", EVERY, ids=lambda form: form.__name__)
def test_every_format_gives_the_same_boxes(tmp_path, form) -> None:
    root = tmp_path / "JPEGImages" if form is in_voc else tmp_path
    for name in ("a.jpg", "none.jpg"):
        picture(root / ("images" if form is in_yolo else "") / name)

    assert boxes(form(tmp_path), root) == {"a.jpg": [CAT, DOG], "none.jpg": []}


@pytest.mark.parametrize("form", [in_coco, in_yolo, in_voc], ids=lambda form: form.__name__)
def test_files_with_boxes_also_say_classes(tmp_path, form) -> None:
    for name in ("a.jpg", "none.jpg"):
        picture(tmp_path / "images" / name)

    rows = read(form(tmp_path), task_type=CLASSIFICATION)

    assert [(row.label, row.problem) for row in rows] == [
        ("cat", ""),
        ("dog", ""),
        ("", "without a class"),
    ]


@pytest.mark.parametrize(
    ("said", "orientation"),
    [
        *((said, orientation) for said in ("displayed", "nothing") for orientation in range(1, 9)),
        *(("stored", orientation) for orientation in range(5, 9)),
    ],
)
def test_pixels_follow_the_orientation_of_the_image(tmp_path, said, orientation) -> None:
    file = picture(tmp_path / "a.jpg", orientation=orientation)
    seen = decode(file.read_bytes(), 80, 80, "squash").mean(axis=2) > 128
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    bright = (columns[0] / 80, rows[0] / 80, (columns[-1] + 1) / 80, (rows[-1] + 1) / 80)
    size = drawn.size_of(file)
    assert size is not None
    width, height = size.displayed
    if said == "stored":  # the file of labels has the image before it is turned, and so its boxes
        corners = (0.0, 0.0, SIZE[0] / 4, SIZE[1] / 4)
    else:
        corners = tuple(share * side for share, side in zip(bright, (width, height) * 2, strict=True))
    known = {"displayed": (width, height), "nothing": None, "stored": SIZE}[said]

    given = placed(Drawn((DrawnBox("line 1", "cat", corners),), known, pixels=True), size)

    assert given.boxes[0][1:] == pytest.approx(bright, abs=0.02)
    assert size.orientation == orientation


def test_boxes_may_be_drawn_on_a_smaller_copy() -> None:
    box = DrawnBox("line 1", "cat", (10, 10, 20, 20))

    assert placed(Drawn((box,), (40, 20), pixels=True), ImageSize(4000, 2000, 1)).boxes == [
        Box("cat", 0.25, 0.5, 0.5, 1.0)
    ]
    other = placed(Drawn((box,), (40, 30), pixels=True), ImageSize(4000, 2000, 1))
    assert other.left_out == [(drawn.OTHER_SIZE, "line 1")]
    unknown = placed(Drawn((box,), (0, 0), pixels=True), None)
    assert unknown.left_out == [(drawn.UNKNOWN_SIZE, "line 1")]


@pytest.mark.parametrize(
    ("corners", "reason"),
    [
        ((10, 10, 10, 20), drawn.NO_AREA),
        ((10, 10, 10.0000001, 20), drawn.NO_AREA),
        ((20, 10, 10, 20), drawn.REVERSED),
        ((math.nan, 10, 20, 20), drawn.NOT_FINITE),
        ((10, 10, math.inf, 20), drawn.NOT_FINITE),
        ((100, 10, 120, 20), drawn.OUTSIDE),
        ((-20, 10, -10, 20), drawn.OUTSIDE),
    ],
)
def test_each_degenerate_box_is_named_and_others_stay(corners, reason) -> None:
    good = DrawnBox("line 3", "cat", (50, 50, 150, 75))
    given = placed(Drawn((DrawnBox("line 2", "cat", corners), good), (100, 100), pixels=True), None)

    assert given.left_out == [(reason, "line 2")]
    assert (given.boxes, given.cut) == ([Box("cat", 0.5, 0.5, 1.0, 0.75)], ["line 3"])


def test_lines_that_are_no_box_are_named(tmp_path) -> None:
    write(tmp_path / "classes.txt", "cat\n")
    picture(tmp_path / "images/a.jpg")
    polygon = "0 0.1 0.1 0.2 0.2 0.3 0.1"
    write(tmp_path / "labels/a.txt", f"7 0.5 0.5 1 1\n\n{polygon}\n0 0.5 nan 1 1\n0 0.5 0.5 1 1\n")

    (row,) = read(tmp_path)

    given = boxes_of(row, None)
    assert given.left_out == [
        ("with class 7, which is none of the 1 classes", "labels/a.txt, line 1"),
        (yolo.OTHER_SHAPE, "labels/a.txt, line 3"),
        (drawn.NOT_FINITE, "labels/a.txt, line 4"),
    ]
    assert given.boxes == [Box("cat", 0, 0, 1, 1)]


def test_annotations_of_coco_that_are_no_box_are_named(tmp_path) -> None:
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        {"id": 2, "image_id": 1, "category_id": 3},
        {"id": 3, "image_id": 1, "category_id": 9, "bbox": [0, 0, 9, 9]},
        {"id": 4, "image_id": 1, "category_id": 3, "bbox": [0, None, 9, "9"]},
        {"id": 5, "image_id": 8, "category_id": 3, "bbox": [0, 0, 9, 9]},
    ]
    source = write(tmp_path / "labels.json", json.dumps(coco(annotations=annotations)))

    rows = read(source)

    assert boxes_of(rows[0], None).left_out == [
        (CROWD, "annotation 1"),
        (NO_BOX, "annotation 2"),
        (drawn.NOT_FINITE, "annotation 4"),
        ("with category 9, which the file does not list", "annotation 3"),
    ]
    assert [(row.place, row.problem) for row in rows[2:]] == [("annotation 5 of image 8", NO_IMAGE)]


def test_voc_names_line_and_tolerates_wrong_file_names(tmp_path) -> None:
    text = VOC.replace("a.jpg", "elsewhere/a.png").replace("<xmax>80.0</xmax>", "")
    write(tmp_path / "Annotations/b c.xml", text)
    picture(tmp_path / "JPEGImages/b c.jpg")

    (row,) = read(tmp_path)

    assert row.image == "b c.jpg"
    assert boxes_of(row, None).left_out == [(drawn.NOT_FINITE, "b c.xml, line 4")]
    assert readers.images_folder(tmp_path, "voc") == tmp_path / "JPEGImages"
    assert read(tmp_path / "Annotations/b c.xml") == [row]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><annotation>&c;</annotation>', "document type"),
        ("<annotation>", "no element found"),
        ("<html/>", "its root is html"),
        ('<?xml version="1.0" encoding="none-such"?><annotation/>', "encoding"),
        ("", "no element found"),
    ],
)
def test_xml_that_is_unsafe_or_broken_is_named(tmp_path, text, reason) -> None:
    write(tmp_path / "a.xml", text)
    write(tmp_path / "b.xml", VOC)

    bad, good = read(tmp_path)

    assert reason in bad.problem
    assert not good.problem


def test_one_large_number_does_not_turn_shares_into_pixels(tmp_path) -> None:
    rows = ["image,label,x1,y1,x2,y2", *["a.jpg,cat,0.1,0.1,0.2,0.2"] * 3, "a.jpg,cat,0.1,0.1,20,0.2"]
    given = read(write(tmp_path / "l.csv", "\n".join(rows)))

    assert all(row.drawn is not None and not row.drawn.pixels for row in given)
    assert [boxes_of(row, None).cut for row in given] == [[], [], [], ["line 5"]]


def test_csv_without_columns_of_boxes_needs_whole_labels(tmp_path) -> None:
    listed = json.dumps([{"x": 25, "y": 12.5, "width": 25, "height": 62.5, "rectanglelabels": ["cat"]}])
    cells = ["cat", listed, listed.replace('"x": 25', '"x": 100')]
    rows = [
        "image,label",
        *(f'a.jpg,"{cell}"'.replace('"', '""').replace(',""', ',"', 1)[:-1] for cell in cells),
    ]
    given = [boxes_of(row, None) for row in read(write(tmp_path / "l.csv", "\n".join(rows)))]

    assert [each.boxes for each in given] == [[], [CAT], []]
    assert given[0].left_out == [(NO_BOXES, "line 2")]
    assert given[2].left_out == [("with a box that has no area", "line 4")]


def test_label_studio_s_answers_follow_the_rules_of_the_loop(tmp_path) -> None:
    def region(control: str = "box", **value: Any) -> dict[str, Any]:
        place = {"x": 10, "y": 10, "width": 10, "height": 10, "rectanglelabels": ["cat"]} | value
        return {"from_name": control, "to_name": "i", "type": "rectanglelabels", "value": place}

    brush = {"from_name": "b", "to_name": "i", "type": "brushlabels", "value": {}}
    results = [
        [region(), region(width=0), brush],
        [region(rotation=30)],
        [region(), region("second")],
        [brush],
    ]
    tasks = [{"id": i, "data": {"image": "a"}, "annotations": [{"result": r}]} for i, r in enumerate(results)]
    rows = read(write(tmp_path / "t.json", json.dumps(tasks)))

    assert rows[0].label == '[["cat",0.1,0.1,0.2,0.2]]'
    assert rows[0].left_out == (
        ("parts of answers with a box that has no area", "task 0, region 2"),
        ("parts of answers by a control that is not octospoon's", "task 0, region 3"),
    )
    assert [row.problem for row in rows[1:]] == [
        "with a rotated box",
        "answered by several controls: --control names the one with the classes",
        "by a control that is not octospoon's",
    ]


def test_folders_of_classes_have_no_boxes(tmp_path) -> None:
    picture(tmp_path / "cat/a.jpg")

    with pytest.raises(BadRequest, match="a folder says one class of an image, and detection needs"):
        read(tmp_path)


def test_known_column_names_do_not_overlap() -> None:
    assert len({frozenset(names) for names in (*csv_boxes.CORNERS, *csv_boxes.SIDES)}) == 8


def test_classes_beyond_the_projects_are_numbered_behind_them() -> None:
    label = '[["owl",0.1,0.1,0.2,0.3],["ant",0.1,0.1,0.2,0.4],["dog",0.0,0.0,1.0,0.5]]'
    image = LabelledImage("a.jpg", "e", label, 1.0, 1, False, "margin", None, 1)

    folders = YoloFolders(("dog", "cat"), [image])

    _, text = folders.label_file(image)
    assert sorted(line[0] for line in text.splitlines()) == ["0", "2", "3"]
    assert folders.description()[1].splitlines()[-4:] == [
        '  0: "dog"',
        '  1: "cat"',
        '  2: "ant"',
        '  3: "owl"',
    ]
