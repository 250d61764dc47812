"""Every view in a browser: with data, empty and broken, by mouse and by keyboard, live and as files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bench.page import served
from browser.conftest import NARROW, WIDE, Tab
from fakes.page import PageWorld

from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.manual import MANUAL
from octospoon.domain.pool.images import RETIRED, State
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.ui.export import export
from octospoon.ui.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from octospoon.domain.task_types.task_type import TaskType

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="`make test-browser` installs axe")
Opener = Any
EVIL = "<img src=x onerror=alert(1)>"
VIEWS = {
    "/map": "Pool",
    "/map?colour=confidence": "Pool",
    "/batch": "Round 1",
    "/next": "Next round",
    "/image/cat%2F00000.png": "cat/00000.png",
    "/image": "Image",
}

LIVE_VIEWS = {**VIEWS, "/watch": "Watch"}


class Served:
    """The page over a world in memory."""

    def __init__(
        self,
        folder: Path,
        images: int,
        classes: tuple[str, ...] = ("cat", "dog", "owl"),
        task_type: TaskType = CLASSIFICATION,
    ) -> None:
        self.fake = PageWorld(folder, images, classes, task_type)
        self.pages = Pages(self.fake.backend(), self.fake.world.clock)
        self.pool = self.fake.world.pool

    def labelled_round(self) -> None:
        self.fake.rank()()
        for pick in self.fake.world.rounds.read(1).picks[:6]:
            self.fake.world.resolve(pick.key, Consensus(pick.key.partition("/")[0], 1.0, 1))

    def read(self) -> None:
        self.pages.pool.refresh()
        assert self.pages.pool.progress.error == ""


Full = tuple[Served, str]


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Full]:
    world = Served(tmp_path / "kept", 45)
    world.labelled_round()
    world.read()
    with served(world.pages) as address:
        yield world, address


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[str]:
    world = Served(tmp_path / "kept", 0)
    world.read()
    with served(world.pages) as address:
        yield address


def barriers(tab: Tab) -> list[str]:
    """Return what axe finds, of every impact."""
    found = axe.Axe().run(tab.page).response["violations"]
    return [f"{each['id']} ({each['impact']}): {node['html']}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_accessible_and_silent(full: Full, tab: Opener, scheme: str) -> None:
    opened = tab(full[1], scheme=scheme)
    for address, heading in LIVE_VIEWS.items():
        opened.go(address, heading)
        opened.page.wait_for_load_state("networkidle")
        assert barriers(opened) == [], address
    assert opened.problems == []
    own = full[1].partition("/?")[0]
    assert {request for request in opened.requests if not request.startswith(own)} == set()


def test_an_empty_deployment_says_what_to_do_next(empty: str, tab: Opener) -> None:
    opened = tab(empty)
    for address, heading, advice in (
        ("/map", "The pool is empty", "octospoon drop"),
        ("/batch", "There is no batch yet", "octospoon rank"),
        ("/next", "This could not be read", "no model is in service"),
    ):
        opened.go(address, heading)
        assert advice in opened.page.locator("main").inner_text()
        assert barriers(opened) == []
    assert [problem for problem in opened.problems if "400" not in problem and "502" not in problem] == []


def test_a_broken_deployment_shows_the_reason(tmp_path: Path, tab: Opener) -> None:
    world = Served(tmp_path / "kept", 3)

    def fail(*_: Any) -> Any:
        raise ServiceUnavailable("DynamoDB does not answer: `octospoon up` starts the local stack again")

    world.pool.images = fail
    world.fake.world.rounds.read = fail
    world.fake.world.rounds.last_number = lambda: 1
    world.pages.pool.refresh()
    with served(world.pages) as address:
        opened = tab(address)
        for view, heading in (("/map", "The pool was not read yet"), ("/batch", "This could not be read")):
            opened.go(view, heading)
            assert "DynamoDB does not answer" in opened.page.locator("main").inner_text()


def test_a_lasso_becomes_a_round(full: Full, tab: Opener) -> None:
    world, address = full
    free = {key for key, row in world.pool.table.items() if row.state is State.SCORED}
    opened = tab(address)
    opened.go("/map", "Pool")
    opened.lasso()
    opened.page.get_by_role("heading", name="45 images selected").wait_for()
    opened.page.get_by_role("button", name=f"Label {len(free)}").click()
    opened.page.get_by_role("button", name="Send").click()
    opened.page.get_by_role("link", name="Show the round").click()
    opened.page.get_by_role("heading", name="Round 2").wait_for()
    picks = world.fake.world.rounds.read(2).picks
    assert {pick.key for pick in picks} == free
    assert {pick.strategy for pick in picks} == {MANUAL}
    assert opened.page.get_by_text("by hand", exact=True).count() == len(free)


def test_the_keyboard_selects_and_retires(full: Full, tab: Opener) -> None:
    world, address = full
    opened = tab(address)
    opened.go("/map?colour=predicted", "Pool")
    page = opened.page
    page.get_by_role("button", name="owl").press("Enter")
    page.get_by_role("button", name="Select what stands out").press("Enter")
    page.get_by_role("heading", name="15 images selected").wait_for()
    free = [
        key for key, row in world.pool.table.items() if key.startswith("owl") and row.state is State.SCORED
    ]
    page.get_by_role("button", name=f"Retire {len(free)}").press("Enter")
    page.get_by_role("button", name="Retire", exact=True).press("Enter")
    page.get_by_text(f"{len(free)} images retired.").wait_for()
    assert {world.pool.table[key].reason for key in free} == {RETIRED}
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="Selection").wait_for()


def test_cancelling_changes_nothing(full: Full, tab: Opener) -> None:
    world, address = full
    opened = tab(address)
    opened.go("/map", "Pool")
    opened.lasso()
    before = {key: row.state for key, row in world.pool.table.items()}
    opened.page.get_by_role("button", name="Retire ").click()
    opened.page.get_by_role("button", name="Cancel").click()
    opened.page.get_by_role("dialog").wait_for(state="detached")
    assert {key: row.state for key, row in world.pool.table.items()} == before


def test_hostile_names_are_shown_as_text(tmp_path: Path, tab: Opener) -> None:
    world = Served(tmp_path / "kept", 6, (EVIL, "dog"))
    key = f'"><script>alert(1)</script>{EVIL}/../%2e#?.png'
    world.fake.add(key, np.zeros(16, np.float32), 0)
    world.read()
    with served(world.pages) as address:
        opened = tab(address)
        opened.go("/map?colour=predicted", "Pool")
        opened.page.get_by_role("button", name=EVIL).wait_for()
        opened.page.locator("input[name=key], a[data-view=image]").first.click()
        opened.page.get_by_label("Object key").fill(key)
        opened.page.get_by_role("button", name="Show").click()
        opened.page.get_by_role("heading", name=key).wait_for()
        assert opened.page.locator("main script, main img[src=x]").count() == 0
        assert opened.problems == []


@pytest.mark.parametrize("viewport", [NARROW, {"width": 320, "height": 640}])
def test_narrow_screens_need_no_sideways_scrolling(
    full: tuple[Served, str], tab: Opener, viewport: Any
) -> None:
    opened = tab(full[1], viewport=viewport)
    for address, heading in LIVE_VIEWS.items():
        opened.go(address, heading)
        opened.page.wait_for_load_state("networkidle")
        assert opened.overflow() <= 0, address


def test_an_export_opens_from_disk_without_network(
    full: tuple[Served, str], tmp_path: Path, tab: Opener
) -> None:
    export(full[0].pages, tmp_path / "out")
    opened = tab((tmp_path / "out" / "index.html").as_uri(), offline=True)
    for address, heading in VIEWS.items():
        opened.go(address, heading)
        if address.startswith("/image/"):
            assert "uploaded" in opened.page.locator(".timeline").inner_text()
    opened.go("/batch", "Round 1")
    shown = opened.page.locator(".card img").first
    shown.wait_for()
    while not shown.evaluate("image => image.naturalWidth"):  # the policy forbids to wait for a text of code
        time.sleep(0.05)
    opened.go("/map", "Pool")
    opened.lasso()
    opened.page.get_by_role("heading", name="45 images selected").wait_for()
    assert opened.page.get_by_role("button", name="Label ").count() == 0
    assert {request.partition("://")[0] for request in opened.requests} == {"file"}
    assert opened.problems == []


def test_a_stranger_gets_a_sentence_and_no_data(full: Full, tab: Opener) -> None:
    opened = tab(full[1].partition("?")[0])
    assert "octospoon ui" in opened.page.inner_text("body")
    assert opened.page.locator("script").count() == 0


def test_the_theme_is_kept(full: Full, tab: Opener) -> None:
    opened = tab(full[1], viewport=WIDE)
    opened.go("/batch", "Round 1")
    opened.page.get_by_role("button", name="Use the dark theme").click()
    opened.page.reload()
    assert opened.page.evaluate("document.documentElement.dataset.theme") == "dark"
