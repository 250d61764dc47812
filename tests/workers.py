"""Groups of tests that one worker of `make test` runs together, because they share servers or builds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from worker_groups import Groups

SHARED = ("e2e", "parts")
"""The groups of the tests that use the shared stack: those of the whole system, and those of its parts.

Each worker that runs one starts a stack. With two, both groups run at the same time."""
TESTS = Path(__file__).parent


def group(item: pytest.Item) -> str:
    """Return the group that one worker runs in order; empty if any worker may run the test."""
    if mark := item.get_closest_marker("stack"):
        return item.path.stem if mark.kwargs.get("own") else SHARED[item.path.parent != TESTS / "e2e"]
    if name := next((name for name in ("docker", "packaging") if item.get_closest_marker(name)), ""):
        return name
    # the tests of a file share its fixtures and imports
    return str(item.path.relative_to(TESTS)) if is_unit(item) else ""


def is_unit(item: pytest.Item) -> bool:
    """Return whether a test is a unit test, which takes milliseconds."""
    return item.path.is_relative_to(TESTS / "unit")


def order(item: pytest.Item) -> int:
    """Return the place of a test in the run: the larger, the later."""
    name = group(item)
    if name in SHARED:
        return SHARED.index(name)
    if is_unit(item):
        return 4
    return 2 if name else 3


def is_worker(config: pytest.Config) -> bool:
    """Return whether this is one of several processes that run tests side by side."""
    return hasattr(config, "workerinput")


def groups_file(config: pytest.Config) -> Path:
    """Return the file, common to all workers of a run, that holds the group of each test that has one."""
    folder = Path(config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]
    return (folder.parent if is_worker(config) else folder) / "groups.json"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    from worker_groups import Groups

    config.option.loadscopereorder = False
    return Groups(config, log, groups_file(config))


@pytest.hookimpl(trylast=True)  # when `-m` and `-k` have chosen
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the longest tests first: the shared stacks, then tests with their own servers."""
    if not is_worker(config):
        return
    items.sort(key=order)
    # every worker writes the same: the process that started them distributes tests that it did not collect
    file = groups_file(config)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({item.nodeid: name for item in items if (name := group(item))}))
    draft.replace(file)
