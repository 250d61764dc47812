"""The code in the how-to guides works."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from unit.domain import test_acquisition as contract

from octospoon.domain import uncertainty
from octospoon.domain.acquisition import Strategy

GUIDES = Path(__file__).parents[3] / "docs" / "how-to"


@pytest.fixture
def strategy(monkeypatch) -> Strategy:
    """Return the strategy from the guide, registered as the guide describes."""
    (source,) = re.findall(r"```python\n(.*?)```", (GUIDES / "add-a-strategy.md").read_text(), re.DOTALL)
    module = ModuleType("power_entropy")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(source, "add-a-strategy.md", "exec"), module.__dict__)
    monkeypatch.setitem(uncertainty.ORDERS, "power_entropy", "entropy")
    return Strategy("power_entropy", module.select, module.score)


def test_the_example_strategy_keeps_the_contract(strategy):
    for size, n in [(60, 7), (5, 9), (1, 1), (0, 3), (60, 0), (60, 60)]:
        contract.test_selection_is_distinct_and_as_long_as_possible(strategy, size, n)
    for classes in (2, 1000):
        contract.test_any_number_of_classes(strategy, classes)
    contract.test_the_order_of_the_rows_does_not_matter(strategy)
    contract.test_ties_are_broken_by_id_in_any_row_order(strategy)
    contract.test_the_input_is_not_mutated(strategy)
    contract.test_what_a_strategy_needs_and_lacks_is_named(strategy)
    contract.test_the_stored_priority_is_the_score(strategy)
