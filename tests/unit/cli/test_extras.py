"""The packages that commands import, compared with the packages of the extras."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from octospoon.cli import extras
from octospoon.domain.errors import NotConfigured

PYPROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(extra: str) -> set[str]:
    """Return the names of an extra's packages, including those of other extras in it."""
    names: set[str] = set()
    for requirement in PYPROJECT["optional-dependencies"][extra]:
        if inner := re.match(r"octospoon\[(.*)\]", requirement):
            names |= {name for each in inner[1].split(",") for name in packages(each)}
        else:
            names.add(normal(re.split(r"[><=]", requirement)[0]))
    return names


ELSEWHERE = {"labels"}
"""Extras that this environment does not have; `tests/integration/labels` tests them in another one."""
HERE = [extra for extra in extras.MODULES if extra not in ELSEWHERE]


@pytest.mark.parametrize("extra", HERE)
def test_modules_of_an_extra_are_those_of_its_packages(extra: str) -> None:
    providers = packages_distributions()
    required = {normal(providers[module][0]) for module in extras.MODULES[extra]}
    assert required == packages(extra)


def test_missing_packages_are_named_by_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.MODULES, "simulate", ("numpy", "no_such_module"))
    with pytest.raises(NotConfigured) as refused:
        extras.require("simulate", "octospoon simulate")
    expected = '`octospoon simulate` needs more packages: pip install "octospoon[simulate]"'
    assert str(refused.value) == expected


def test_installed_packages_are_not_asked_for() -> None:
    for extra in HERE:
        extras.require(extra, "octospoon")
