"""The page asks AWS for the costs only when somebody wants to know, and at most once a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from fakes.page import PageWorld
from unit.ui.browser import Client

from octospoon.domain.errors import Refused
from octospoon.ui.export import export
from octospoon.ui.pages import Pages
from octospoon.ui.refresher import DAILY
from octospoon.ui.server import application

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fake(tmp_path: Path) -> PageWorld:
    world = PageWorld(tmp_path / "kept", 3)
    world.local = False
    return world


def answered(pages: Pages) -> Any:
    client = Client(application(pages, str), "http://127.0.0.1:8188")
    return client.post("/do/cost", json={"keys": []}).json()


def test_costs_are_asked_for_once_a_day(fake: PageWorld) -> None:
    pages = Pages(fake.backend(), fake.world.clock)
    assert pages.watch()["cost"]["document"] is None
    assert fake.spent.call_count == 0
    first = answered(pages)
    assert first["document"]["months"][0]["amount"] == 21.5
    assert answered(pages) == first
    assert pages.watch()["cost"] == first
    assert answered(Pages(fake.backend(), fake.world.clock)) == first, "also after a restart"
    assert fake.spent.call_count == 1
    fake.world.clock.time += DAILY
    answered(pages)
    assert fake.spent.call_count == 2


def test_a_failed_question_is_not_repeated_at_once(fake: PageWorld) -> None:
    fake.spent = Mock(side_effect=Refused("no right to ce:GetCostAndUsage"))
    pages = Pages(fake.backend(), fake.world.clock)
    assert [answered(pages)["error"] for _ in range(2)] == ["no right to ce:GetCostAndUsage"] * 2
    assert fake.spent.call_count == 1


def test_an_export_holds_no_costs(fake: PageWorld, tmp_path: Path) -> None:
    pages = Pages(fake.backend(), fake.world.clock)
    answered(pages)
    export(pages, tmp_path / "out")
    assert "21.5" not in (tmp_path / "out" / "data" / "watch.js").read_text()


def test_a_local_stack_has_no_costs(fake: PageWorld) -> None:
    fake.local = True
    assert Pages(fake.backend(), fake.world.clock).watch()["cost"] is None
