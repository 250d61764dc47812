"""The map in a browser: what it draws, and what the pointer, the wheel and fingers do."""

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
Place = tuple[float, float]
APART = 25
"""Pixels between an image and its neighbours, so that a pointer is over no other."""
CORNER = 9
"""Pixels of the map's edge: its frame and its round corners have other colours, also without points."""


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[tuple[Served, str]]:
    world = Served(tmp_path / "kept", 45)
    world.read()
    with served(world.pages) as address:
        yield world, address


def on_screen(world: Served, tab: Tab) -> dict[str, Place]:
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


def becomes(tab: Tab, place: Place, wanted: np.ndarray) -> bool:
    """Wait until the screen has about a colour at a place in its own pixels; return False if it never has."""
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
    assert drawn(opened), "the map shows no points"
    return opened


def drawn(tab: Tab) -> bool:
    """Wait until the map shows points; return False if it never does."""
    stage, deadline = tab.page.locator(".map"), time.monotonic() + 30
    while time.monotonic() < deadline:
        seen = ImageOps.crop(Image.open(io.BytesIO(stage.screenshot())).convert("RGB"), CORNER)
        if len(seen.getcolors(1 << 20) or ()) > 1:
            return True
    return False


@pytest.mark.parametrize("density", [1, 2])
def test_points_have_the_colours_of_the_legend(pool: tuple[Served, str], tab: Opener, density: int) -> None:
    world, address = pool
    opened = opened_map(tab, address, device_scale_factor=density)
    for name in ("cat", "dog", "owl"):
        row = opened.page.get_by_role("button", name=name)
        swatch = row.locator(".swatch").evaluate("element => getComputedStyle(element).backgroundColor")
        wanted = np.array([int(part) for part in swatch.strip("rgb()").split(",")])
        key = next(key for key in on_screen(world, opened) if key.startswith(name))
        x, y = on_screen(world, opened)[key]
        assert becomes(opened, (density * x, density * y), wanted), name
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


def test_the_legend_selects_without_a_pointer(pool: tuple[Served, str], tab: Opener) -> None:
    opened = opened_map(tab, pool[1])
    for name in ("owl", "Select what stands out"):
        opened.page.get_by_role("button", name=name).focus()
        opened.page.keyboard.press("Enter")
    opened.page.get_by_role("heading", name="15 images selected").wait_for()
    assert barriers(opened) == []
    assert opened.problems == []


def two_images(world: Served, tab: Tab) -> tuple[Place, str, Place]:
    """Return the place of an image, another image, and where that is when the map has twice the size.

    The first image stays where it is. Nothing else is where the other one will be.
    """
    places, box = on_screen(world, tab), tab.page.locator(".map").bounding_box()
    for first in places.values():
        grown = {key: tuple(2 * np.array(place) - first) for key, place in places.items()}
        for key, place in grown.items():
            inside = (np.abs(np.array(place) - first) > 60).all() and (
                box["x"] + 9 < place[0] < box["x"] + box["width"] - 9
                and box["y"] + 9 < place[1] < box["y"] + box["height"] - 9
            )
            others = [np.hypot(*np.subtract(place, grown[other])) for other in grown if other != key]
            if inside and min(others) > APART:
                return first, key, place
    raise AssertionError("no two images are far enough from the others")


def test_the_wheel_zooms_around_the_pointer(pool: tuple[Served, str], tab: Opener) -> None:
    opened = opened_map(tab, pool[1])
    first, key, place = two_images(pool[0], opened)
    opened.page.mouse.move(*first)
    opened.page.mouse.wheel(0, -500)  # one doubling
    opened.page.wait_for_function("document.querySelector('.tip').hidden")
    opened.page.mouse.move(*place, steps=2)
    opened.page.locator(".tip .key", has_text=key).wait_for()
    assert opened.page.evaluate("scrollY") == 0


def test_two_fingers_zoom_the_map(pool: tuple[Served, str], tab: Opener) -> None:
    opened = opened_map(tab, pool[1], has_touch=True)
    first, key, place = two_images(pool[0], opened)
    touch = opened.page.context.new_cdp_session(opened.page)

    def fingers(kind: str, *places: Place) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    away = 60 if first[0] < place[0] else -60
    fingers("touchStart", first)
    fingers("touchStart", first, (first[0] + away, first[1]))
    fingers("touchMove", first, (first[0] + 1.5 * away, first[1]))
    fingers("touchMove", first, (first[0] + 2 * away, first[1]))
    fingers("touchEnd")
    opened.page.mouse.move(*place, steps=2)
    opened.page.locator(".tip .key", has_text=key).wait_for()
