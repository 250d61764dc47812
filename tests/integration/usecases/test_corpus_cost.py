"""The cost of decoding each hostile or odd file, each in a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from unit.corpus import CASES

TESTS = Path(__file__).parents[2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells a process' peak memory")
def test_none_costs_more_time_or_memory_than_its_bound() -> None:
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    measured = subprocess.run(
        [sys.executable, "-m", "unit.corpus"],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    )
    spent = json.loads(measured.stdout)

    over = {
        case.name: spent[case.name]
        for case in CASES
        if spent[case.name][0] > case.megabytes or spent[case.name][1] > case.seconds
    }
    assert not over
    assert len(spent) == len(CASES)
