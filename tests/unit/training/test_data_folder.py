"""The data set that a program gets: hostile names, special images, and a split that lasts."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.images import FakeImages
from PIL import Image

from octospoon.adapters.imaging.portable import portable
from octospoon.domain.errors import BadImage, BadRequest, NotConfigured, TrainerFailed
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.training.command import data_folder
from octospoon.training.command.data_folder import DataFolder, layout_of
from octospoon.training.command.split import validation

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = ["../../etc/passwd", "..", "a/b", "A/B", "con", "café", "-rf", "x" * 100, ".hidden", "a\\b", "名前"]


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 20), **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(file, kind, **options)
    return file.getvalue()


def images(keys: list[str], label: str = "a") -> list[LabelledImage]:
    return [LabelledImage(key, "e", label, 1.0, 1, False, "margin", None, 1) for key in keys]


def write(
    folder: Path, classes: list[str], keys: list[str], labels: list[int], held: list[bool]
) -> np.ndarray:
    store = FakeImages(dict.fromkeys(keys, (picture(), "e")))
    rows = [image for key, label in zip(keys, labels, strict=True) for image in images([key], classes[label])]
    folder.mkdir()
    layout = layout_of("classification", tuple(classes), CLASSIFICATION.labels)
    data = DataFolder(folder, "classification", tuple(classes), layout)
    return data.write(rows, np.array(held), store)


def test_hostile_names_stay_inside_and_apart(tmp_path):
    keys = [f"{name}/photo.jpg" for name in HOSTILE] + ["../../escape.png", "a/photo.jpg", "b/PHOTO.JPG", "/"]
    labels = [i % len(HOSTILE) for i in range(len(keys))]
    held = [i % 3 == 0 for i in range(len(keys))]

    written = write(tmp_path / "data", HOSTILE, keys, labels, held)

    assert written.all()
    assert {path.name for path in tmp_path.iterdir()} == {"data"}
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.suffix == ".png"]
    assert len(files) == len(keys)
    assert len({str(path).lower() for path in files}) == len(keys), "also apart where case does not count"
    assert all(str(path.relative_to(tmp_path)).isascii() for path in files)
    rows = [json.loads(line) for line in (tmp_path / "data/images.jsonl").read_text("utf-8").splitlines()]
    assert [(row["key"], row["label"]) for row in rows] == [
        (key, HOSTILE[label]) for key, label in zip(keys, labels, strict=True)
    ]
    assert {row["split"] for row in rows} == {"train", "val"}
    assert all((tmp_path / "data" / row["file"]).is_file() for row in rows)


@pytest.mark.parametrize("count", [2, 11, 1200])
def test_folders_sort_in_the_order_of_the_classes(tmp_path, count):
    classes = [f"z{count - i}" for i in range(count)]
    write(tmp_path / "data", classes, ["k"], [1], [False])
    for part in ("train", "val"):
        names = sorted(path.name for path in (tmp_path / "data" / part).iterdir())
        assert [name.partition("-")[2] for name in names] == classes, "an empty class has a folder too"
    assert (tmp_path / "data/classes.txt").read_text().splitlines() == classes
    assert json.loads((tmp_path / "data/data.json").read_text())["format"] == "octospoon/data/1"


def test_images_with_several_classes_have_a_table_with_columns(tmp_path):
    classes, labels = ("a,b", "none", "c"), ['["a,b","c"]', "[]", '["none"]']
    rows = [image for i, label in enumerate(labels) for image in images([f"{i}.png"], label)]
    store = FakeImages({image.key: (picture(), "e") for image in rows})
    (tmp_path / "data").mkdir()
    layout = layout_of("multilabel", classes, MULTILABEL.labels)
    data = DataFolder(tmp_path / "data", "multilabel", classes, layout)

    assert data.write(rows, np.array([False, False, True]), store).all()

    with (tmp_path / "data/train.csv").open(newline="") as table:
        header, *train = list(csv.reader(table))
    with (tmp_path / "data/val.csv").open(newline="") as table:
        (_, val) = list(csv.reader(table))
    assert header == ["file", *classes]
    assert [row[1:] for row in train] == [["1", "0", "1"], ["0", "0", "0"]]
    assert val[1:] == ["0", "1", "0"]
    assert all((tmp_path / "data" / row[0]).is_file() for row in [*train, val])
    described = json.loads((tmp_path / "data/data.json").read_text())
    assert (described["task"], described["folders"]) == ("multilabel", [])
    lines = [json.loads(line) for line in (tmp_path / "data/images.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines] == [["a,b", "c"], [], ["none"]]


def test_labels_without_a_layout_are_refused_by_name():
    with pytest.raises(NotConfigured, match="cannot train TaskType=outlines: set another Trainer"):
        layout_of("outlines", ("a", "b"), DETECTION.labels)


def test_writing_stops_when_the_disk_is_nearly_full(tmp_path, monkeypatch):
    monkeypatch.setattr(data_folder, "_LEAST_FREE", 2**60)
    with pytest.raises(TrainerFailed, match="while the labelled images are written"):
        write(tmp_path / "data", ["a", "b"], ["k"], [1], [False])


def test_a_split_lasts_when_labels_are_added():
    keys = [f"{i}.jpg" for i in range(1000)]
    strata = np.arange(1000) % 7
    whole = validation(images(keys), strata)
    early = validation(images(keys[:300]), strata[:300])
    assert 0.15 < whole.mean() < 0.25
    assert (early == whole[:300]).all(), "no image that validated a model is trained on later"


def test_each_class_keeps_an_image_and_one_validates():
    keys = [f"{i}.jpg" for i in range(60)]
    strata = np.repeat(np.arange(30), 2)
    chosen = validation(images(keys), strata)
    assert all((~chosen[strata == number]).any() for number in range(30))
    for i in range(50):
        assert validation(images([f"{i}a", f"{i}b"]), np.zeros(2, np.int64)).sum() == 1
    with pytest.raises(BadRequest, match="3 labelled images are too few"):
        validation(images(["a", "b", "c"]), np.arange(3))


@pytest.mark.parametrize(("kind", "extension"), [("JPEG", ".jpg"), ("PNG", ".png")])
def test_plain_images_are_copied(kind, extension):
    data = picture(kind=kind)
    assert portable(data) == data_of(data, extension)


def data_of(data: bytes, extension: str, size: tuple[int, int] = (40, 20)) -> object:
    from octospoon.adapters.imaging.portable import PortableImage

    return PortableImage(data, extension, *size)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(kind="JPEG", exif=exif)


def transparent() -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (40, 20), (0, 0, 0, 0)).save(file, "PNG")
    return file.getvalue()


def deep() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((20, 40), 40_000, np.uint16)).save(file, "PNG")
    return file.getvalue()


def cmyk() -> bytes:
    file = io.BytesIO()
    Image.new("CMYK", (40, 20), (0, 0, 0, 0)).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "size", "colour"),
    [
        (turned(), (20, 40), (200, 10, 10)),
        (transparent(), (40, 20), (255, 255, 255)),
        (deep(), (40, 20), (156, 156, 156)),
        (cmyk(), (40, 20), (255, 255, 255)),
        (picture(kind="WEBP", lossless=True), (40, 20), (200, 10, 10)),
        (picture(kind="BMP"), (40, 20), (200, 10, 10)),
        (picture(kind="TIFF"), (40, 20), (200, 10, 10)),
    ],
)
def test_special_images_become_what_octospoon_sees(data, size, colour):
    made = portable(data)
    image = Image.open(io.BytesIO(made.data))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", size)
    assert (made.extension, made.width, made.height) == (".png", *size)
    assert np.abs(np.asarray(image, int) - colour).max() <= 3


def test_damaged_image_is_refused():
    with pytest.raises(BadImage):
        portable(picture(kind="JPEG", size=(400, 400))[:300])
