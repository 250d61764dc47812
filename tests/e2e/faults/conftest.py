from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from e2e.faults.lab import Host, Lab, host_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from octospoon.cli.local.assemble import LocalStack

INJECTED: Counter[str] = Counter()
Labs = "Callable[..., Lab]"


@pytest.fixture(scope="session")
def host(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    host = Host(tmp_path_factory.mktemp("faults"), host_environment(stack))
    yield host
    host.close()
    print(f"\nfaults injected: {sum(INJECTED.values())} {dict(INJECTED)}")


@pytest.fixture
def make_lab(stack: LocalStack, host: Host, request: pytest.FixtureRequest) -> Iterator[Callable[..., Lab]]:
    """Creates separate labs, and counts the faults that were injected into them."""
    labs: list[Lab] = []

    def make(**settings: int) -> Lab:
        labs.append(Lab(stack, host, **settings))
        return labs[-1]

    yield make
    for lab in labs:
        INJECTED[request.node.name] += lab.schedule.injected
        print(f"\n{request.node.name}: {lab.schedule.injected} faults injected")
        lab.close()
