"""How `make test` distributes tests to its workers; only a run with workers imports this."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Groups(LoadScopeScheduling):
    """Gives a whole group of tests to one worker, and every other test to any free worker.

    xdist's own `--dist loadgroup` writes the group into the test's id, where pytest 9 no longer looks.
    """

    def __init__(self, config: pytest.Config, log: Any, file: Path) -> None:
        super().__init__(config, log)
        self._file = file

    @cached_property
    def _group_of(self) -> dict[str, str]:
        groups: dict[str, str] = json.loads(self._file.read_text())
        return groups

    def _split_scope(self, nodeid: str) -> str:
        return self._group_of.get(nodeid, nodeid)
