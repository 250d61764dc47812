"""Labels with several classes, and boxes, in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import Mock, patch

import pytest
from bench.page import served
from browser.test_views import Served, barriers
from fakes.watched import boxed, judged, watched
from unit.ui.test_task_types import BOXED, row, several

from octospoon.domain.pool.images import State
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.domain.trace import ImageRecord
from octospoon.ui.export import export

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    assert world.pages.documents["model"].now()["error"] == ""
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


DRAWN = """boxes => {
  const picture = octospoon.thumbnail("none", "none", "small", boxes);
  document.querySelector("main").replaceChildren(octospoon.h("div", { class: "picture" }, picture));
  picture.style.width = picture.style.height = "300px";
  picture.querySelector("img").remove();
  const layer = picture.querySelector(".overlay"), whole = picture.getBoundingClientRect();
  layer.hidden = false;
  Object.assign(layer.style, { left: 0, top: 0, width: "300px", height: "300px" });
  return [...picture.querySelectorAll(".tag")].filter((tag) => tag.offsetParent).map((tag) => {
    const box = tag.getBoundingClientRect();
    const [across, down] = [["left", "right"], ["top", "bottom"]].map(
      ([low, high]) => box[low] >= whole[low] && box[high] <= whole[high]);
    return across && down;
  });
}"""


def test_names_of_boxes_are_whole_at_every_edge(tmp_path: Path, tab: Opener) -> None:
    world = Served(tmp_path / "kept", 9)
    world.read()
    with served(world.pages) as address:
        page = tab(address).page
        corners = [
            {"name": "red cell", "x1": x, "y1": y, "x2": x + 0.1, "y2": y + 0.1, "predicted": guess}
            for x in (0.02, 0.45, 0.89)
            for y in (0.0, 0.45, 0.89)
            for guess in (False, True)
        ]
        assert page.evaluate(DRAWN, corners[:12]) == [True] * 12
        assert page.evaluate(DRAWN, corners[12:]) == [True] * 6
        assert page.evaluate(DRAWN, corners) == [], "a crowd has none"


@pytest.fixture
def detector(tmp_path: Path) -> Iterator[tuple[Served, str]]:
    """Return the page of a deployment with boxes, whose audit images are judged by two detectors."""
    world = Served(tmp_path / "kept", 90, task_type=DETECTION)
    watched(world.fake)
    boxed(world.fake)
    world.fake.rank()()
    world.read()
    assert world.pages.documents["model"].now()["error"] == ""
    with served(world.pages) as address:
        yield world, address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_detectors_are_judged_by_boxes(detector: tuple[Served, str], tab: Opener, scheme: str) -> None:
    opened = tab(detector[1], scheme=scheme)
    page = opened.page
    opened.go("/model", "Model")
    page.get_by_role("heading", name="Class by class").wait_for()
    text = page.locator("main").inner_text()
    for shown in ("AP50:", "AP50:95:", "AP50 by number of labels", "no boxes of this version are stored"):
        assert shown in text
    figures = page.locator("table").filter(has=page.get_by_role("columnheader", name="Objects"))
    heads, cells = (
        figures.locator(row).all_inner_texts() for row in ("thead th", "tbody tr:first-child > *")
    )
    assert cells[heads.index("Objects")] == "15", "each image of this class has one object"
    assert page.locator(".box.predicted:not(.right)").count() > 0
    assert page.locator(".box:not(.predicted):not(.right)").count() == 0, "version 2 misses no object"
    page.get_by_role("link", name="with owl predicted without being there").press("Enter")
    page.get_by_role("heading", name="with owl predicted without being there").wait_for()
    card = page.locator("#cell .gallery li").first
    assert (card.locator(".box.right").count(), card.locator(".box.predicted:not(.right)").count()) == (2, 1)
    assert "version 2 repairs" in page.locator("main").inner_text()
    assert "lead to port 8188" in page.locator("main").inner_text(), "tests use a free port"
    page.wait_for_load_state("networkidle")
    assert barriers(opened) == []
    assert opened.problems == []


def test_the_map_has_colours_for_boxes(detector: tuple[Served, str], tab: Opener) -> None:
    opened = tab(detector[1])
    opened.go("/map?colour=predicted", "Pool")
    opened.page.get_by_role("button", name="owl").click()
    opened.page.get_by_role("button", name="Select what stands out").click()
    doubtful = [at for at in range(90) if at % 4 == 0 or at % 3 == 2]  # an owl is predicted in these
    opened.page.get_by_role("heading", name=f"{len(doubtful)} images selected").wait_for()
    opened.page.get_by_label("Colour by").select_option("boxes")
    opened.page.get_by_text("2 boxes").wait_for()
    assert "1 box" in opened.page.locator(".ends").inner_text()
    assert barriers(opened) == []
    assert opened.problems == []


def test_an_export_draws_boxes_on_an_image(detector: tuple[Served, str], tmp_path: Path, tab: Opener) -> None:
    export(detector[0].pages, tmp_path / "out")
    opened = tab((tmp_path / "out" / "index.html").as_uri(), offline=True)
    opened.go("/image/cat%2F00000.png", KEY)
    opened.page.locator(".box.predicted").first.wait_for()
    assert opened.page.locator(".box.predicted").count() == 2
    assert opened.page.locator(".box:not(.predicted) .tag").all_inner_texts() == ["cat"]
    assert "1 × cat, 1 × owl" in opened.page.locator("dl").inner_text()
    assert opened.problems == []


def test_a_batch_shows_the_boxes_of_its_images(detector: tuple[Served, str], tab: Opener) -> None:
    opened = tab(detector[1])
    opened.go("/batch", "Round 1")
    cards = opened.page.locator(".card")
    hidden = opened.page.get_by_text("The prediction is hidden").count()
    assert 0 < hidden < cards.count(), "images of the audit share are blind"
    assert cards.filter(has=opened.page.locator(".box.predicted")).count() == cards.count() - hidden
