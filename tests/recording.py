"""Every request that the tests make to LocalStack on this machine is recorded, and must be valid."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from workers import is_worker

from octospoon.cli.stack.services import RECORD_REQUESTS

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

SHOWN = 20
_FILE = pytest.StashKey[Path]()
_WRONG = pytest.StashKey[list[str]]()


@pytest.hookimpl(trylast=True)  # when pytest has a folder
def pytest_configure(config: pytest.Config) -> None:
    """Choose the file's name before a worker or a server starts, so that all use the same."""
    if is_worker(config):
        return
    given = os.environ.get(RECORD_REQUESTS)
    folder = Path(config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]
    file = Path(given) if given else folder / "requests.jsonl"
    os.environ[RECORD_REQUESTS] = str(file)
    config.stash[_FILE] = file


def recorded() -> Path:
    """Return the file with the requests of this run."""
    return Path(os.environ[RECORD_REQUESTS])


def invalid(file: Path) -> list[str]:
    """Return the recorded requests that violate botocore's service models, each kind once."""
    problems: dict[str, None] = {}
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if '"problems": []' not in line and '"problems"' in line:
                made = json.loads(line)
                name = f"{made.get('service', '')}.{made.get('operation', '')}"
                problems[f"{name} by {made.get('caller', 'nobody')}: {'; '.join(made['problems'])}"] = None
    return list(problems)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a request was invalid."""
    file = session.config.stash.get(_FILE, None)
    if file is None or not file.exists():
        return
    if wrong := invalid(file):
        session.config.stash[_WRONG] = wrong
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Print the invalid requests."""
    if wrong := config.stash.get(_WRONG, []):
        terminalreporter.section("invalid requests to AWS", red=True)
        for request in wrong[:SHOWN]:
            terminalreporter.line(request)
        if len(wrong) > SHOWN:
            terminalreporter.line(f"and {len(wrong) - SHOWN} other kinds")
