from __future__ import annotations

import dataclasses
import sys

import pytest
from integration.stack.stand_ins import SERVER

from octospoon.cli.stack import down
from octospoon.cli.stack.ports import free_port
from octospoon.cli.stack.services import SERVICES


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A checkout whose servers are stand-ins that count how often their data folder was started on."""
    for service in SERVICES.values():
        python = tmp_path / ".octospoon" / "envs" / service.name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.touch()
        requirements = tmp_path / "infra" / "requirements" / f"{service.requirements}.txt"
        requirements.parent.mkdir(parents=True, exist_ok=True)
        requirements.write_text("pinned==1")
        stand_in = dataclasses.replace(
            service,
            argv=lambda place: [sys.executable, "-c", SERVER, str(place.port)],
            env=lambda _: {},
            port=free_port(),  # other tests run at the same time
            prepare=None,
            upgrade=None,
        )
        monkeypatch.setitem(SERVICES, service.name, stand_in)
    yield tmp_path
    down(tmp_path, progress=print)
