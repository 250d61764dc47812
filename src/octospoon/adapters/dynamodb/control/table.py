"""The control table, read consistently and changed by conditional updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import Item, Value, dump_item, names_of
from octospoon.adapters.dynamodb.requests import if_met, update_expression

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class ControlTable:
    """One item for each state machine, read consistently and changed by conditional updates only."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self.client = client
        self.table = table

    def read(self, id_: str) -> Item:
        """Return one item; empty before its first write."""
        with translated(f"reading {id_}"):
            answer = self.client.get_item(
                TableName=self.table, Key=dump_item({"id": id_}), ConsistentRead=True
            )
        return answer.get("Item") or {}

    def replace(self, id_: str, body: str, before: int) -> bool:
        """Replace the body of revision `before` by the next; return False if the revision is another."""
        return self.update(
            id_,
            {"revision": before + 1, "body": body},
            "attribute_not_exists(#revision) OR #revision = :was",
            {":was": before},
        )

    def update(
        self,
        id_: str,
        values: dict[str, Value],
        condition: str,
        given: dict[str, Value],
        add: tuple[str, int] | None = None,
    ) -> bool:
        """Set attributes, and add to an attribute, if the condition is met; return True if it was."""
        update = update_expression(list(values), ())
        given = given | {f":set_{name}": value for name, value in values.items()}
        if add:
            update += f"ADD #{add[0]} :add "
            given[":add"] = add[1]
        with translated(f"updating {id_}"):
            return if_met(
                lambda: self.client.update_item(
                    TableName=self.table,
                    Key=dump_item({"id": id_}),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names_of(update + condition),
                    ExpressionAttributeValues=dump_item(given),
                )
            )
