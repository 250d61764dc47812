"""The task type of a stack is that of its labels, and stays so."""

from __future__ import annotations

from typing import Any

import pytest

from octospoon.adapters.dynamodb.control.task_type import DynamoTaskTypeRecord
from octospoon.adapters.dynamodb.items import dump_item
from octospoon.domain.errors import NotConfigured


class Table:
    """The control table in memory, with the one condition that the record uses."""

    def __init__(self, **items: dict[str, Any]) -> None:
        self.items = items
        self.reads = self.writes = 0
        self.before_update = lambda: None

    def read(self, id_: str) -> dict[str, Any]:
        self.reads += 1
        return dump_item(self.items.get(id_, {}))

    def update(self, id_: str, values: dict[str, Any], condition: str, given: dict[str, Any]) -> bool:
        assert condition == "attribute_not_exists(#name) OR #name = :name"
        self.before_update()
        self.writes += 1
        stored = self.items.setdefault(id_, {})
        if stored.get("name", given[":name"]) != given[":name"]:
            return False
        stored |= values
        return True


def record(table: Table, name: str) -> DynamoTaskTypeRecord:
    return DynamoTaskTypeRecord(table, name)


def test_a_stack_without_labels_may_become_of_any_type() -> None:
    table = Table(training={"jobs": 0, "new_labels": 0})

    record(table, "multilabel").check()
    record(table, "classification").check()

    assert record(table, "multilabel").read() == ""
    assert not table.writes, "looking keeps nothing"


def test_the_first_label_keeps_its_type() -> None:
    table = Table()
    first = record(table, "multilabel")
    first.keep()
    reads = table.reads
    first.keep()
    assert (table.reads, table.writes) == (reads, 1), "later calls cost nothing"

    record(table, "multilabel").keep()
    other = record(table, "classification")
    for refused in (other.check, other.keep):
        with pytest.raises(NotConfigured, match="labels of the task type multilabel") as error:
            refused()
        assert "set TaskType=multilabel" in str(error.value)
    assert other.read() == "multilabel"


@pytest.mark.parametrize("training", [{"jobs": 1, "new_labels": 0}, {"new_labels": 3}])
def test_labels_of_earlier_releases_are_of_one_class(training: dict[str, int]) -> None:
    table = Table(training=training)

    assert record(table, "classification").read() == "classification"
    with pytest.raises(NotConfigured, match="labels of the task type classification"):
        record(table, "multilabel").keep()
    record(table, "classification").keep()


def test_of_two_types_at_once_only_the_first_is_kept() -> None:
    table = Table()

    def other_process() -> None:
        table.before_update = lambda: None
        record(table, "classification").keep()

    table.before_update = other_process

    with pytest.raises(NotConfigured, match="labels of the task type classification"):
        record(table, "multilabel").keep()
    assert record(table, "multilabel").read() == "classification"
