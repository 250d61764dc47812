"""Training shares the processors with other programs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOADS_OPENMP = "import octospoon.training; import sklearn.cluster"


@pytest.mark.parametrize(("chosen", "spins"), [({}, 0), ({"OMP_WAIT_POLICY": "ACTIVE"}, 30_000_000_000)])
def test_waiting_threads_leave_the_processor(chosen, spins):
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    ran = subprocess.run(
        [sys.executable, "-c", LOADS_OPENMP],
        env=inherited | chosen | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"GOMP_SPINCOUNT = '{spins}'" in ran.stderr
