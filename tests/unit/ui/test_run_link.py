"""A link of the page leads to the run in MLflow that made a version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from fakes.page import PageWorld
from unit.ui.browser import Client

from octospoon.domain.errors import ServiceUnavailable
from octospoon.ui.pages import Pages
from octospoon.ui.server import application

if TYPE_CHECKING:
    from pathlib import Path

RUN = "http://127.0.0.1:5000/#/experiments/1/runs/a"


@pytest.fixture
def fake(tmp_path: Path) -> PageWorld:
    return PageWorld(tmp_path, images=3)


def followed(fake: PageWorld, version: int) -> Any:
    pages = Pages(fake.backend(), fake.world.clock)
    return Client(application(pages, str), "http://127.0.0.1:8188").get(f"/run/{version}")


def test_a_link_leads_to_the_run(fake: PageWorld) -> None:
    fake.runs = {4: RUN}
    answer = followed(fake, 4)
    assert (answer.status_code, answer.headers["location"]) == (303, RUN)


def test_a_version_without_a_run_is_named(fake: PageWorld) -> None:
    fake.runs = {2: "javascript:alert(1)"}
    for version in (2, 3):
        answer = followed(fake, version)
        assert (answer.status_code, answer.text) == (404, f"MLflow has no run of version {version}.")


def test_a_link_says_when_mlflow_does_not_answer(fake: PageWorld) -> None:
    fake.runs = Mock(get=Mock(side_effect=ServiceUnavailable("MLflow does not answer")))
    answer = followed(fake, 1)
    assert (answer.status_code, answer.text) == (502, "MLflow does not answer")
