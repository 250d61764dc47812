"""A real browser on the page. `make test-browser` installs its driver; Chromium must be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bench.page import ARGUMENTS, CHROMIUM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

playwright = pytest.importorskip("playwright.sync_api", reason="`make test-browser` installs Playwright")
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
SECONDS = 30_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)


class Tab:
    """A tab of the browser; what its scripts complain about, and where it sends requests.

    Attributes:
        page: Playwright's page.
        problems: messages of the console, and errors.
        requests: addresses.
    """

    def __init__(self, page: Any) -> None:
        self.page, self.problems, self.requests = page, list[str](), list[str]()
        page.set_default_timeout(SECONDS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog {dialog.message}"))

    def _console(self, message: Any) -> None:
        # an image that cannot be shown is answered with 404, which the console notes
        if message.type in ("error", "warning") and "404" not in message.text:
            self.problems.append(message.text)

    def go(self, address: str, heading: str) -> None:
        """Open a view by the part of its address behind the hash, and wait for its heading."""
        self.page.evaluate("address => { location.hash = address; }", address)
        self.page.get_by_role("heading", name=heading).first.wait_for()

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        wide: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wide

    def lasso(self) -> None:
        """Draw a lasso around nearly the whole map."""
        self.page.locator(".map .lasso").wait_for(state="attached")
        box = self.page.locator(".map").bounding_box()
        corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
        self.page.keyboard.press("l")
        for i, (x, y) in enumerate(corners):
            self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
            if i == 0:
                self.page.mouse.down()
        self.page.mouse.up()


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[..., Tab]]:
    """Return a function that opens an address in a new tab with cookies of its own."""
    contexts = []

    def opened(address: str, viewport: dict[str, int] = WIDE, scheme: str = "light", **options: Any) -> Tab:
        context = browser.new_context(viewport=viewport, color_scheme=scheme, **options)
        contexts.append(context)
        result = Tab(context.new_page())
        result.page.goto(address)
        return result

    yield opened
    for context in contexts:
        context.close()
