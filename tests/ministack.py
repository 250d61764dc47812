"""MiniStack, an emulator of AWS beside LocalStack, for `make second-dynamodb`."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from lanes import ROOT

from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack.ports import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WANTED = "OCTOSPOON_SECOND_DYNAMODB"
PROGRAM = ROOT / ".octospoon/envs/second-dynamodb/bin/ministack"


@contextmanager
def ministack(home: Path, **settings: str) -> Iterator[str]:
    """Run MiniStack; yield its address.

    Args:
        home: an empty folder, which gets its log.
        settings: environment variables, such as ``AUTH="true"`` to enforce policies.
    """
    if not os.environ.get(WANTED):
        pytest.skip("`make second-dynamodb` installs MiniStack and runs this")
    port = free_port()
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "GATEWAY_PORT": str(port), "BIND_HOST": HOST}
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [PROGRAM], env=env | settings, cwd=home, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://{HOST}:{port}"
        wait_for("MiniStack", lambda: _answers(url, server), seconds=60)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _answers(url: str, server: subprocess.Popen[bytes]) -> bool | None:
    assert server.poll() is None, "MiniStack has ended"
    try:
        return True if httpx.get(f"{url}/_localstack/health").is_success else None
    except httpx.TransportError:
        return None
