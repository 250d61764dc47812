"""The tables as they are deployed have the keys and indexes that the adapters query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lanes import ROOT

from octospoon.cli.deploy import sam_template

if TYPE_CHECKING:
    from lanes import Lane

RESOURCES = sam_template.read(ROOT / "template.yaml")["Resources"]
TABLES = {
    name: resource["Properties"]
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::DynamoDB::Table"
}


def shape(table: dict[str, Any]) -> dict[str, Any]:
    """Return keys, their types, and the indexes, sorted."""
    indexes = {
        index["IndexName"]: (index["KeySchema"], index["Projection"]["ProjectionType"])
        for index in table.get("GlobalSecondaryIndexes", [])
    }
    types = {
        attribute["AttributeName"]: attribute["AttributeType"] for attribute in table["AttributeDefinitions"]
    }
    return {"key": table["KeySchema"], "types": types, "indexes": indexes}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_keys_and_indexes_of_the_template(lane: Lane, name: str) -> None:
    described = lane.client("dynamodb").describe_table(TableName=lane.outputs[name])["Table"]

    assert shape(described) == shape(TABLES[name])
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert described["TableStatus"] == "ACTIVE"
