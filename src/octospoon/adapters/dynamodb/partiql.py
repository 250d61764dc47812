"""PartiQL in DynamoDB: up to 25 statements per call, each of which succeeds or fails separately."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import dump, dump_item

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import BatchStatementRequestTypeDef

    from octospoon.adapters.dynamodb.items import Value

_AT_ONCE = 25
NOT_MET = "ConditionalCheckFailed"
"""The error code of an UPDATE whose WHERE matches no item."""


def execute(client: DynamoDBClient, statements: Sequence[BatchStatementRequestTypeDef]) -> Iterator[str]:
    """Run statements for distinct keys; yield the error code of each, empty for success.

    Raises:
        ServiceUnavailable: DynamoDB could not be reached, or refused the whole call.
    """
    for start in range(0, len(statements), _AT_ONCE):
        batch = statements[start : start + _AT_ONCE]
        with translated(f"writing {len(batch)} rows"):
            answer = client.batch_execute_statement(Statements=batch)
        for response in answer["Responses"]:
            yield response["Error"].get("Code", "") if "Error" in response else ""


def insert(table: str, values: Mapping[str, Value | None]) -> BatchStatementRequestTypeDef:
    """Return the statement that writes an item, and fails if its key exists."""
    item = dump_item(values)
    pairs = ", ".join(f"'{name}': ?" for name in item)
    return {"Statement": f'INSERT INTO "{table}" VALUE {{{pairs}}}', "Parameters": list(item.values())}


def update(
    table: str, values: Mapping[str, Value | None], condition: str, given: Sequence[Value]
) -> BatchStatementRequestTypeDef:
    """Return the statement that sets attributes of one item, and fails if the condition is not met.

    Args:
        table: name of the table.
        values: the attributes to set; None leaves an attribute as it is.
        condition: in PartiQL, with the whole primary key, and question marks for values.
        given: the condition's values, in order.
    """
    item = dump_item(values)
    sets = " ".join(f'SET "{name}"=?' for name in item)
    return {
        "Statement": f'UPDATE "{table}" {sets} WHERE {condition}',
        "Parameters": [*item.values(), *map(dump, given)],
    }
