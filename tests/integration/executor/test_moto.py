"""DynamoDB transactions, inserts and updates in the moto that LocalStack brings: see moto_scenarios.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from octospoon.cli.stack.layout import Layout

ROOT = Path(__file__).parents[3]
SCENARIOS = [
    "commits",
    "rolls_back",
    "rolls_back_when_refused",
    "same_as_moto",
    "costs_the_same_with_a_large_table",
    "inserts_new_items_only",
    "updates_where_the_condition_is_met_only",
    "leaves_other_statements_to_moto",
    "inserts_cost_the_same_with_a_large_table",
]


@pytest.mark.stack(own=True)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    python = Layout(ROOT).program("localstack", "python")
    command = [str(python), str(Path(__file__).with_name("moto_scenarios.py")), name]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
