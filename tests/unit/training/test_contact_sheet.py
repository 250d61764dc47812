from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.images import FakeImages
from PIL import Image

from octospoon.cli.datasets import digits
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import LabelledImage, Pick, Round
from octospoon.domain.monitoring.observations import DriftExample
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.label import Box, Boxes
from octospoon.training.report import contact_sheet
from octospoon.training.report.contact_sheet import MOST, Thumbnails, Tile, draw
from octospoon.training.report.figures import Figures, chosen, most_drifted
from octospoon.training.report.one_class import mistakes

if TYPE_CHECKING:
    from octospoon.domain.pool.images import ImageBytes


@pytest.fixture(name="images")
def bucket() -> FakeImages:
    images = FakeImages()
    for index in range(3):
        images.objects[f"{index}.png"] = (digits.png_bytes(index), "e")
    images.objects["bad.png"] = (b"no picture", "e")
    return images


def test_what_cannot_be_shown_says_why(images):
    thumbnails = Thumbnails(images, "squash")
    assert isinstance(thumbnails.read("0.png", "e"), Image.Image)
    assert thumbnails.read("0.png", "older") == "changed since"
    assert thumbnails.read("bad.png", "e") == "not-an-image"
    assert thumbnails.read("gone.png", "e") == "gone"


def test_a_store_that_does_not_answer_is_a_reason(images, monkeypatch):
    def read(key: str) -> ImageBytes:
        raise ServiceUnavailable("no")

    monkeypatch.setattr(images, "read", read)
    assert Thumbnails(images, "squash").read("0.png", "e") == "not read: ServiceUnavailable"


def test_reading_ends_with_its_bytes_and_with_its_time(images):
    thumbnails = Thumbnails(images, "squash", budget=10)
    assert isinstance(thumbnails.read("0.png", "e"), Image.Image)
    assert thumbnails.read("1.png", "e") == "not read: too many bytes"
    times = iter([0.0, 1.0, 31.0])
    thumbnails = Thumbnails(images, "squash", monotonic=lambda: next(times))
    assert isinstance(thumbnails.read("0.png", "e"), Image.Image)
    assert thumbnails.read("1.png", "e") == "not read: no time left"


def test_a_sheet_shows_images_and_grey_tiles(images, tmp_path):
    tiles = [
        Tile("0.png", "e", ("label 0 (2.0%)", "predicted 6 (91.0%)"), marked=True),
        Tile("gone/" * 40 + "é漢.png", "e", ("is $\\alpha$\n(1%)", "x" * 500)),
    ]
    draw(tmp_path / "sheet.png", "audit share", tiles, Thumbnails(images, "squash"))
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    assert tuple(pixels[35, 10]) == (0xC6, 0x28, 0x28)
    assert tuple(pixels[60, 200]) == (0xD0, 0xD0, 0xD0)


def test_a_sheet_is_bounded(images, tmp_path):
    draw(tmp_path / "a.png", "t", [Tile("0.png", "e", ())] * MOST, Thumbnails(images, "squash"))
    draw(tmp_path / "b.png", "t", [Tile("0.png", "e", ())] * 99, Thumbnails(images, "squash"))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_worst_come_first_and_wrong_ones_are_marked():
    images = [LabelledImage(f"{i}.png", "e", "", 1.0, 1, True, "random", None, 1) for i in range(3)]
    answers = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    tiles = mistakes(("cat", "dog"), images, np.array([0, 0, 0]), answers)
    assert [(tile.key, tile.marked) for tile in tiles] == [
        ("1.png", True),
        ("2.png", False),
        ("0.png", False),
    ]
    assert tiles[0].lines == ("label cat (20.0%)", "predicted dog (80.0%)")


def test_what_drifted_is_shown_with_its_label():
    examples = (DriftExample("a", "e", 0.25), DriftExample("b", "e", 0.125))
    tiles = most_drifted(examples, {("b", "e"): "cat", ("a", "older"): "dog"})
    assert [(tile.key, *tile.lines) for tile in tiles] == [
        ("a", "1. score 0.2500", "not labelled yet"),
        ("b", "2. score 0.1250", "label cat"),
    ]


def test_round_is_shown_by_rank_with_audit_last():
    picks = (
        Pick("a", "e", True, "random", None, 0, 0.1),
        Pick("b", "e", False, "margin", 0.25, 1, None),
        Pick("c", "e", False, "margin", 0.5, 2, None),
    )
    tiles = chosen(Round(3, "2026-01-31T10:00:00Z", 2, picks), {("b", "e"): "cat", ("c", "older"): "dog"})
    assert [(tile.key, *tile.lines) for tile in tiles] == [
        ("b", "2. margin", "score 0.2500", "label cat"),
        ("c", "3. margin", "score 0.5000", "not labelled yet"),
        ("a", "1. audit", "no score", "not labelled yet"),
    ]


def test_sheets_show_labels_as_people_read_them(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(contact_sheet, "draw", lambda path, title, tiles, thumbnails: drawn.extend(tiles))
    label = Boxes().write((Box("cat", 0.1, 0.1, 0.2, 0.2), Box("cat", 0.5, 0.5, 0.7, 0.7)))
    image = LabelledImage("b", "e", label, 1.0, 1, False, "margin", None, 1)
    batch = Round(3, "2026-01-31T10:00:00Z", 2, (Pick("b", "e", False, "margin", 0.25, 1, None),))
    rounds = SimpleNamespace(last_number=lambda: 3, read=lambda _: batch)
    ports = SimpleNamespace(task_type=DETECTION, class_history=ClassHistory, rounds=rounds, images=None)

    Figures(ports, tmp_path, "squash").newest_round([image])

    text = drawn[0].lines[-1]
    assert text == f"label {DETECTION.labels.shown(label, ClassHistory())}"
    assert "[" not in text
