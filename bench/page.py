"""Serves the page of `octospoon ui` to Chromium, for benchmarks, screenshots and tests."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from octospoon.ui import server
from octospoon.ui.guard import new_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from octospoon.ui.pages import Pages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox"]
"""The sandbox needs rights that containers lack, and the pages are our own."""


@contextmanager
def served(
    pages: Pages, sentence: Callable[[BaseException], str] = str, port: int | None = 0
) -> Iterator[str]:
    """Serve the page in a thread; yield the address with the token.

    Args:
        pages: of the deployment.
        sentence: says what an error means.
        port: 0 for a free one; see `octospoon.ui.server.listen`.
    """
    listener, token = server.listen(port), new_token()
    running = server.guarded_server(pages, sentence, token, listener)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    try:
        yield server.address(listener, token)
    finally:
        running.should_exit = True
        thread.join()


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield Playwright's browser.

    Raises:
        SystemExit: Chromium is not installed.
    """
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise SystemExit("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
