"""Labels with several classes, and boxes, in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import Mock, patch

import pytest
from bench.page import served
from browser.test_views import Served, barriers
from fakes.watched import judged, watched
from unit.ui.test_task_types import BOXED, row, several

from octospoon.domain.pool.images import State
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.domain.trace import ImageRecord

if TYPE_CHECKING:
    from pathlib import Path

Opener = Any
KEY = "cat/00000.png"


def test_several_classes_have_no_matrix_but_precision_and_recall(tmp_path: Path, tab: Opener) -> None:
    world = Served(tmp_path / "kept", 90)
    world.fake.task_type = MULTILABEL
    watched(world.fake)
    judged(world.fake, label=several)
    world.pages = type(world.pages)(world.fake.backend(), world.fake.world.clock)
    world.read()
    assert world.pages.kept["model"].now()["error"] == ""
    with served(world.pages) as address:
        opened = tab(address)
        opened.go("/model", "Model")
        opened.page.get_by_role("heading", name="Class by class").wait_for()
        text = opened.page.locator("main").inner_text()
        assert "Macro F1" in text
        assert "The whole set of classes is right" in text
        assert opened.page.get_by_text("Rows are labels").count() == 0
        opened.page.get_by_role("link", name="with owl missed").press("Enter")
        opened.page.get_by_role("heading", name="with owl missed").wait_for()
        images = opened.page.locator("#cell .gallery li")
        assert images.count() > 0
        assert "label cat, owl, predicted cat" in images.first.inner_text()
        assert barriers(opened) == []

        opened.go("/map?colour=label", "Pool")
        opened.page.get_by_text("has the colour of its rarest one").wait_for()
        opened.page.get_by_role("button", name="owl").click()
        opened.page.get_by_role("button", name="Select what stands out").click()
        owls = sum("owl" in several(image["key"]) for image in world.pages.model()["document"]["images"])
        opened.page.get_by_role("heading", name=f"{owls} images selected").wait_for()
        assert opened.problems == []


@pytest.mark.parametrize("width", [1280, 390])
def test_boxes_are_drawn_where_they_are(tmp_path: Path, tab: Opener, width: int) -> None:
    world = Served(tmp_path / "kept", 9)
    world.read()
    world.fake.task_type = DETECTION
    world.fake.records[KEY] = ImageRecord(KEY, f"etag-{KEY}", "1", State.LABELLED, label=BOXED)
    backend = world.fake.backend()
    rows = backend.storage.pool.rows
    backend.storage.pool = Mock(rows=lambda keys: {**rows(keys), KEY: row()})
    with patch.object(world.pages, "_backend", backend), served(world.pages) as address:
        opened = tab(address, viewport={"width": width, "height": 860})
        opened.go("/image/cat%2F00000.png", KEY)
        page = opened.page
        page.locator(".large .box.predicted").wait_for()
        page.wait_for_load_state("networkidle")
        # the image has 40 by 30 pixels; it fits into its element
        shown = page.locator(".large img").bounding_box()
        scale = min(shown["width"] / 40, shown["height"] / 30)
        left = shown["x"] + (shown["width"] - 40 * scale) / 2
        top = shown["y"] + (shown["height"] - 30 * scale) / 2
        drawn = page.locator(".large .box.predicted").bounding_box()
        expected = {"x": left + 10 * scale, "y": top + 7.5 * scale, "width": 10 * scale, "height": 15 * scale}
        assert drawn == pytest.approx(expected, abs=1.5)
        assert page.locator(".large .box:not(.predicted)").count() == 2
        assert "1 × cat" in page.locator("dl").inner_text()
        assert opened.overflow() <= 0
        assert barriers(opened) == []
