"""A local Label Studio that other machines in the network can reach."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from octospoon.cli.local import saved_settings
from octospoon.cli.local.addresses import shared_address
from octospoon.cli.local.saved_settings import UpSettings, changes, merged
from octospoon.cli.stack.credentials import Credentials
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.ports import EVERYWHERE
from octospoon.cli.stack.services import SERVICES, Place
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from pathlib import Path


def test_label_studio_is_shared_only_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    layout, address = Layout(tmp_path), "http://127.0.0.1:8080/user/signup/?token=1"
    saved_settings.remember(layout, UpSettings(("cat",)))
    assert shared_address(address) == ""

    saved_settings.remember(layout, UpSettings(("cat",), host=EVERYWHERE))

    shared = urlsplit(shared_address(address))
    assert (shared.port, shared.path, shared.query) == (8080, "/user/signup/", "token=1")
    assert shared.hostname not in ("127.0.0.1", "0.0.0.0", None)
    assert shared_address("https://labels.example.com/") == ""


@pytest.mark.parametrize("host", ["localhost", "192.168.1.5", "::"])
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(BadRequest, match=r"use 0\.0\.0\.0 for every machine"):
        changes(None, (), host=host)


def test_the_host_is_remembered() -> None:
    before = merged(changes("cat,dog", (), host=EVERYWHERE), UpSettings())

    assert merged(changes(None, ()), before).host == EVERYWHERE
    assert merged(changes(None, (), host="127.0.0.1"), before).host == "127.0.0.1"


def test_a_shared_label_studio_uses_the_address_of_its_visitor(tmp_path: Path) -> None:
    credentials = Credentials("a@b.c", "password", "token")
    place = Place(Layout(tmp_path), 8080, tmp_path, tmp_path, credentials)
    service = SERVICES["label-studio"]
    assert service.env(place)["LABEL_STUDIO_HOST"] == "http://127.0.0.1:8080"

    shared = replace(place, listen=EVERYWHERE)

    assert "LABEL_STUDIO_HOST" not in service.env(shared)
    assert EVERYWHERE in service.argv(shared)
    assert all(EVERYWHERE not in SERVICES[name].argv(shared) for name in ("mlflow", "localstack"))
