"""The page of `octospoon ui` starts beside the servers of the local stack, and ends with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from octospoon.cli.deployment import LocalProject, remember
from octospoon.cli.local.page import PAGE, start_page
from octospoon.cli.operations import page_address
from octospoon.cli.stack import down, start

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NAMES = ("ArtifactsBucket", "ControlTable", "ImagesBucket", "PoolTable")
OUTPUTS = {"Classes": "cat,dog", **{name: name.lower() for name in NAMES}}
PROJECT = LocalProject("http://127.0.0.1:9", OUTPUTS, "http://127.0.0.1:9", 1, "")


def test_the_page_is_served_until_the_stack_stops(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    stack = start(root, progress=print, detached=True)
    remember(PROJECT)
    lines: list[str] = []

    start_page(stack, PROJECT, lines.append)

    folder = page_address.folder_of(PROJECT.endpoint_url, "pooltable")
    address = page_address.read(folder)
    assert (folder / "address").stat().st_mode & 0o077 == 0
    assert httpx.get(address.partition("?")[0]).status_code == 401
    assert httpx.get(address).status_code == 303
    start_page(stack, PROJECT, lines.append)
    assert lines == ["starting the page"]
    assert [process.name for process in stack.processes].count(PAGE) == 1
    assert page_address.read(folder) == address
    assert "token" not in (stack.logs_dir / f"{PAGE}.log").read_text()

    assert down(root, progress=print)
    assert page_address.read(folder) == ""
