"""PartiQL in DynamoDB: up to 25 statements a call, each of which succeeds or fails alone."""

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
"""What is said of an UPDATE whose WHERE fits no item."""


def execute(client: DynamoDBClient, statements: Sequence[BatchStatementRequestTypeDef]) -> Iterator[str]:
    """Run statements of different keys; yield for each the code of its error, empty where there is none.

    Raises:
        ServiceUnavailable: DynamoDB was not reached, or took none of them.
    """
    for start in range(0, len(statements), _AT_ONCE):
        batch = statements[start : start + _AT_ONCE]
        with translated(f"writing {len(batch)} rows"):
            answer = client.batch_execute_statement(Statements=batch)
        for response in answer["Responses"]:
            yield response["Error"].get("Code", "") if "Error" in response else ""


def insert(table: str, values: Mapping[str, Value | None]) -> BatchStatementRequestTypeDef:
    """Return the statement that writes an item, and fails where there is one of this key."""
    item = dump_item(values)
    pairs = ", ".join(f"'{name}': ?" for name in item)
    return {"Statement": f'INSERT INTO "{table}" VALUE {{{pairs}}}', "Parameters": list(item.values())}


def update(
    table: str, values: Mapping[str, Value | None], condition: str, given: Sequence[Value]
) -> BatchStatementRequestTypeDef:
    """Return the statement that sets attributes of one item, and fails where the condition is not met.

    Args:
        table: its name.
        values: what is set; None leaves an attribute as it is.
        condition: as PartiQL writes it, with the whole primary key; values are question marks.
        given: the condition's values, in their order.
    """
    item = dump_item(values)
    sets = " ".join(f'SET "{name}"=?' for name in item)
    return {
        "Statement": f'UPDATE "{table}" {sets} WHERE {condition}',
        "Parameters": [*item.values(), *map(dump, given)],
    }
