"""The map in a browser: what it draws, what the pointer does, and what is left without WebGL."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bench.page import served
from browser.test_views import Served, barriers
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from browser.conftest import Tab

Opener = Any
WITHOUT_WEBGL = """
const before = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.startsWith("webgl") ? null : before.call(this, kind, ...rest);
};"""
CORNER = 9
"""Pixels of the map's edge: its frame and its round corners have other colours, also without points."""
LOSE = """() => {
  const canvas = document.querySelector(".map .stage canvas");
  canvas.getContext("webgl2").getExtension("WEBGL_lose_context").loseContext();
}"""


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[tuple[Served, str]]:
    world = Served(tmp_path / "kept", 45)
    world.read()
    with served(world.pages) as address:
        yield world, address


def on_screen(world: Served, tab: Tab) -> dict[str, tuple[float, float]]:
    """Return where the map shows each image, in pixels of the screen, by key."""
    snapshot = world.pages.pool.snapshot
    assert snapshot is not None
    places = snapshot.columns["place"]
    low, high = places.min(axis=0), places.max(axis=0)
    box = tab.page.locator(".map").bounding_box()
    scale = 0.92 * min(np.array([box["width"], box["height"]]) / (high - low))
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    shown = middle + (places - (low + high) / 2) * scale * [1, -1]
    return dict(zip(snapshot.keys, shown.tolist(), strict=True))


def becomes(tab: Tab, place: tuple[float, float], wanted: np.ndarray) -> bool:
    """Wait until the map has about a colour at a place of the screen; return False if it never has."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        image = Image.open(io.BytesIO(tab.page.screenshot())).convert("RGB")
        seen = np.array(image.getpixel((round(place[0]), round(place[1]))))
        if np.abs(seen - wanted).max() < 60:  # points are not quite solid
            return True
    return False


def opened_map(tab: Opener, address: str, **options: Any) -> Tab:
    opened: Tab = tab(address, **options)
    opened.go("/map?colour=predicted", "Pool")
    opened.page.locator(".legend li").first.wait_for()
    if "script" not in options:
        assert drawn(opened), "the map shows no points"
    return opened


def drawn(tab: Tab) -> bool:
    """Wait until the map shows points; return False if it never does."""
    stage, deadline = tab.page.locator(".map .stage"), time.monotonic() + 30
    while time.monotonic() < deadline:
        seen = ImageOps.crop(Image.open(io.BytesIO(stage.screenshot())).convert("RGB"), CORNER)
        if len(seen.getcolors(1 << 20) or ()) > 1:
            return True
    return False


def test_points_have_the_colours_of_the_legend(pool: tuple[Served, str], tab: Opener) -> None:
    world, address = pool
    opened = opened_map(tab, address)
    for name in ("cat", "dog", "owl"):
        row = opened.page.get_by_role("button", name=name)
        swatch = row.locator(".swatch").evaluate("element => getComputedStyle(element).backgroundColor")
        wanted = np.array([int(part) for part in swatch.strip("rgb()").split(",")])
        key = next(key for key in on_screen(world, opened) if key.startswith(name))
        assert becomes(opened, on_screen(world, opened)[key], wanted), name
    assert opened.problems == []


def test_a_point_shows_its_image_and_opens_it(pool: tuple[Served, str], tab: Opener) -> None:
    world, address = pool
    opened = opened_map(tab, address)
    places = on_screen(world, opened)
    key = max(places, key=lambda each: places[each][1])
    opened.page.mouse.move(*places[key], steps=3)
    opened.page.locator(".tip .key").wait_for()
    assert opened.page.locator(".tip .key").inner_text() == key
    opened.page.mouse.click(*places[key])
    opened.page.get_by_role("heading", name=key).wait_for()


def test_dragging_moves_the_map_and_opens_nothing(pool: tuple[Served, str], tab: Opener) -> None:
    world, address = pool
    opened = opened_map(tab, address)
    places = on_screen(world, opened)
    key = max(places, key=lambda each: places[each][1])
    x, y = places[key]
    opened.page.mouse.move(x, y)
    opened.page.mouse.down()
    opened.page.mouse.move(x + 80, y - 60, steps=6)
    opened.page.mouse.up()
    opened.page.mouse.move(x + 1, y, steps=2)
    opened.page.locator(".tip").wait_for(state="hidden")
    opened.page.keyboard.press("0")  # shows everything, as at the beginning
    opened.page.mouse.move(x, y, steps=2)
    opened.page.locator(".tip .key").wait_for()
    assert opened.page.locator(".tip .key").inner_text() == key
    assert "/map" in opened.page.url


def test_a_view_opened_again_while_reading_is_drawn(pool: tuple[Served, str], tab: Opener) -> None:
    opened, held = opened_map(tab, pool[1]), list[Any]()
    opened.page.route("**/data/pool", lambda route: held.append(route))
    with opened.page.expect_request("**/data/pool"):
        opened.page.reload(wait_until="commit")
    opened.go("/image", "Image")
    opened.page.evaluate("location.hash = '/map?colour=predicted'")
    opened.page.get_by_text("Loading").wait_for()
    for route in reversed(held):  # the latest answer arrives first
        route.continue_()
    assert drawn(opened)
    assert len(held) == 1, "the pool is read once"
    assert opened.problems == []


def test_without_webgl_the_legend_still_selects(pool: tuple[Served, str], tab: Opener) -> None:
    opened = opened_map(tab, pool[1], script=WITHOUT_WEBGL)
    alert = opened.page.get_by_role("alert")
    assert "hardware acceleration" in alert.inner_text()
    assert barriers(opened) == []
    opened.page.keyboard.press("l")
    opened.page.keyboard.press("+")
    opened.page.get_by_role("button", name="owl").click()
    opened.page.get_by_role("button", name="Select what stands out").click()
    opened.page.get_by_role("heading", name="15 images selected").wait_for()
    opened.go("/next", "Next round")
    opened.go("/map", "Pool")
    opened.page.get_by_role("heading", name="The map cannot be drawn").wait_for()
    assert opened.problems == []


def test_a_lost_context_is_said(pool: tuple[Served, str], tab: Opener) -> None:
    opened = opened_map(tab, pool[1])
    opened.page.locator(".map .stage canvas").wait_for()
    opened.page.wait_for_timeout(500)
    opened.page.evaluate(LOSE)
    assert "Reload the page" in opened.page.get_by_role("alert").inner_text()
    opened.page.get_by_role("button", name="cat").click()
    opened.page.get_by_role("button", name="Select what stands out").click()
    opened.page.get_by_role("heading", name="15 images selected").wait_for()
