"""The views Model and Watch in a browser: with data, empty and broken, by keyboard, narrow and as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bench.page import served
from browser.conftest import NARROW
from browser.test_views import EVIL, Served, barriers
from fakes.watched import BROKEN, judged, watched

from octospoon.domain.errors import ServiceUnavailable
from octospoon.ui.export import export
from octospoon.ui.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Opener = Any
DRAWN = {"/model": ("Model", "Learning curve"), "/watch": ("Watch", "Uploads")}


def filled(folder: Path, classes: tuple[str, ...] = ("cat", "dog", "owl")) -> Served:
    world = Served(folder, 90, classes)
    watched(world.fake)
    judged(world.fake)
    world.read()
    for document in world.pages.documents.values():
        assert document.now()["error"] == ""
    return world


@pytest.fixture
def figures(tmp_path: Path) -> Iterator[tuple[Served, str]]:
    world = filled(tmp_path / "kept")
    with served(world.pages) as address:
        yield world, address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_views_are_accessible_and_silent(figures: tuple[Served, str], tab: Opener, scheme: str) -> None:
    opened = tab(figures[1], scheme=scheme)
    for address, (title, part) in DRAWN.items():
        opened.go(address, title)
        opened.page.get_by_role("heading", name=part).first.wait_for()
        opened.page.locator("svg[role=img]").first.wait_for()
        opened.page.wait_for_load_state("networkidle")
        assert barriers(opened) == [], address
    assert opened.problems == []


def test_a_cell_opens_its_images(figures: tuple[Served, str], tab: Opener) -> None:
    opened = tab(figures[1])
    opened.go("/model", "Model")
    cell = opened.page.get_by_role("link", name="with the label dog, predicted cat")
    number = int(cell.inner_text())
    cell.press("Enter")
    opened.page.get_by_role("heading", name=f"{number} image").wait_for()
    images = opened.page.locator("#cell .gallery li")
    assert images.count() == number > 0
    images.first.get_by_role("link").click()
    opened.page.get_by_role("heading", name="dog/").first.wait_for()


def test_two_versions_are_compared_in_either_direction(figures: tuple[Served, str], tab: Opener) -> None:
    opened = tab(figures[1])
    opened.go("/model", "Model")
    opened.page.get_by_text("version 2 repairs").wait_for()
    opened.go("/model?version=1&against=2", "Model")
    opened.page.get_by_text("version 1 repairs").wait_for()
    assert "version=1" in opened.page.url


def test_the_numbers_of_a_chart_open_by_keyboard(figures: tuple[Served, str], tab: Opener) -> None:
    opened = tab(figures[1])
    opened.go("/watch", "Watch")
    opened.page.get_by_text("Numbers", exact=True).first.press("Enter")
    opened.page.get_by_role("rowheader", name="1970-01-11").first.wait_for()


def test_watch_shows_messages_quarantine_and_decisions(figures: tuple[Served, str], tab: Opener) -> None:
    opened = tab(figures[1])
    opened.go("/watch", "Watch")
    opened.page.get_by_role("heading", name="Training jobs").wait_for()
    text = opened.page.locator("main").inner_text()
    for expected in ("S3 does not answer", BROKEN, "refused", "Drift is confirmed", "costs nothing at AWS"):
        assert expected in text


def test_a_matrix_of_ten_classes_is_seen_whole(tmp_path: Path, tab: Opener) -> None:
    with served(filled(tmp_path / "kept", tuple("0123456789")).pages) as address:
        opened = tab(address)
        opened.go("/model", "Confusion")
        hidden = "element => element.scrollWidth - element.clientWidth"
        assert opened.page.get_by_role("group", name="Confusion matrix").evaluate(hidden) <= 0


def test_costs_on_aws_are_asked_for_by_a_button(tmp_path: Path, tab: Opener) -> None:
    world = Served(tmp_path / "kept", 9)
    world.fake.local = False
    world.pages = Pages(world.fake.backend(), world.fake.world.clock)
    world.read()
    with served(world.pages) as address:
        opened = tab(address)
        opened.go("/watch", "Cost so far")
        opened.page.get_by_text("AWS was not asked yet").wait_for()
        assert world.fake.spent.call_count == 0
        opened.page.get_by_role("button", name="Ask Cost Explorer").press("Enter")
        opened.page.get_by_text("21.50 USD in the newest 12 months").wait_for()
        assert barriers(opened) == []
        assert opened.problems == []


def test_an_empty_deployment_says_what_comes_next(tmp_path: Path, tab: Opener) -> None:
    world = Served(tmp_path / "kept", 0)
    world.read()
    with served(world.pages) as address:
        opened = tab(address)
        opened.go("/model", "There is no trained model yet")
        assert "octospoon rank" in opened.page.locator("main").inner_text()
        assert barriers(opened) == []
        opened.go("/watch", "Watch")
        opened.page.get_by_role("heading", name="Training jobs").wait_for()
        assert "octospoon watch" in opened.page.locator("main").inner_text()
        assert barriers(opened) == []
        assert opened.problems == []


def test_a_broken_part_says_why_and_leaves_the_others(tmp_path: Path, tab: Opener) -> None:
    world = Served(tmp_path / "kept", 9)

    def fail(*_: Any) -> Any:
        raise ServiceUnavailable("DynamoDB does not answer")

    world.fake.world.observations.read = fail
    world.fake.world.champions.pointer = fail
    with served(world.pages) as address:
        opened = tab(address)
        opened.go("/watch", "Accuracy and drift")
        text = opened.page.locator("main").inner_text()
        assert "DynamoDB does not answer" in text
        assert "No message failed for good" in text
        opened.go("/model", "This could not be read")
        assert "DynamoDB does not answer" in opened.page.locator("main").inner_text()


@pytest.mark.parametrize("viewport", [NARROW, {"width": 320, "height": 640}])
def test_figures_need_no_sideways_scrolling(figures: tuple[Served, str], tab: Opener, viewport: Any) -> None:
    opened = tab(figures[1], viewport=viewport)
    for address, (title, part) in DRAWN.items():
        opened.go(address, title)
        opened.page.get_by_role("heading", name=part).first.wait_for()
        opened.page.locator("svg[role=img]").first.wait_for()
        assert opened.overflow() <= 0, address


def test_an_export_draws_both_views_from_disk(
    figures: tuple[Served, str], tmp_path: Path, tab: Opener
) -> None:
    export(figures[0].pages, tmp_path / "out")
    opened = tab((tmp_path / "out" / "index.html").as_uri(), offline=True)
    for address, (title, part) in DRAWN.items():
        opened.go(address, title)
        opened.page.get_by_role("heading", name=part).first.wait_for()
        opened.page.locator("svg[role=img]").first.wait_for()
    assert opened.page.get_by_role("heading", name="Dead letters").count() == 0
    # the image in quarantine cannot be decoded, so that it has no file
    assert [each for each in opened.problems if "FILE_NOT_FOUND" not in each] == []


def test_hostile_class_names_are_text(tmp_path: Path, tab: Opener) -> None:
    world = filled(tmp_path / "kept", (EVIL.replace("/", ""), "dog"))
    with served(world.pages) as address:
        opened = tab(address)
        opened.go("/model", "Model")
        opened.page.get_by_role("rowheader", name=EVIL).first.wait_for()
        assert opened.page.locator("main script, main img[src=x]").count() == 0
        assert opened.problems == []
