"""The accuracy estimator compared with its authors' package."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from integration import elsewhere
from unit.domain.test_estimators import KINDS, POOL, population

from octospoon.domain.evaluation import estimators

ORACLE = elsewhere.ROOT / ".octospoon/envs/oracle/bin/python"
CASE = """
import json, sys
import numpy as np
from ppi_py import ppi_mean_ci, ppi_mean_pointestimate
right, sure, pool = (np.array(part) for part in json.load(sys.stdin))
low, high = ppi_mean_ci(right, sure, pool, alpha=0.05)
print(json.dumps([float(np.squeeze(x)) for x in (ppi_mean_pointestimate(right, sure, pool), low, high)]))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_it_agrees_with_the_authors_own_package(kind):
    if not ORACLE.exists():
        pytest.skip("ppi-python is not installed: `make oracle` installs it (570 MB) and runs this test")
    right, confidence = population(kind)
    drawn = np.random.default_rng(3).choice(POOL, 2000, replace=False)
    inputs = json.dumps(
        [right[drawn].astype(float).tolist(), confidence[drawn].tolist(), confidence.tolist()]
    )
    process = subprocess.run(
        [ORACLE, "-W", "ignore", "-c", CASE], input=inputs, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    value, low, high = json.loads(process.stdout)
    ours = estimators.prediction_powered(right[drawn], confidence[drawn], confidence)
    assert ours.value == pytest.approx(value, abs=5e-4)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=1.5e-3)
