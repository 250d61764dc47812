"""Reads and conditional writes as every table here makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code, translated
from octospoon.adapters.dynamodb.items import Item, Value, dump_item, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

_BATCH_GET = 100


def batch_get(
    client: DynamoDBClient,
    table: str,
    keys: Sequence[str],
    attributes: Sequence[str] = (),
    *,
    consistent: bool = True,
) -> Iterator[Item]:
    """Yield the items of these keys, whole or some attributes; none for missing ones."""
    unique = list(dict.fromkeys(keys))
    projection: dict[str, Any] = {}
    if attributes:
        projection["ProjectionExpression"] = ", ".join(f"#{name}" for name in attributes)
        projection["ExpressionAttributeNames"] = {f"#{name}": name for name in attributes}
    for start in range(0, len(unique), _BATCH_GET):
        request: dict[str, Any] = {
            table: {
                "Keys": [dump_item({"key": key}) for key in unique[start : start + _BATCH_GET]],
                "ConsistentRead": consistent,
                **projection,
            }
        }
        while request:
            with translated("reading rows"):
                answer = client.batch_get_item(RequestItems=request)
            yield from answer["Responses"].get(table, [])
            request = answer.get("UnprocessedKeys") or {}


def query(
    client: DynamoDBClient,
    table: str,
    index: str,
    condition: str,
    given: dict[str, Value],
    *,
    limit: int,
    forward: bool = True,
) -> Iterator[Item]:
    """Yield the entries of an index, `limit` a request, with as many requests as the caller consumes."""
    request = query_request(table, index, condition, given) | {"ScanIndexForward": forward, "Limit": limit}
    while True:
        with translated(f"querying {index}"):
            answer = client.query(**request)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def query_request(
    table: str, index: str, condition: str, given: dict[str, Value], filtered: str = ""
) -> dict[str, Any]:
    """Return the arguments of a query with this key condition and this filter."""
    request: dict[str, Any] = {
        "TableName": table,
        "IndexName": index,
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names_of(f"{condition} {filtered}"),
        "ExpressionAttributeValues": dump_item(given),
    }
    return request | ({"FilterExpression": filtered} if filtered else {})


def update_expression(names: Sequence[str], remove: Sequence[str]) -> str:
    """Return ``SET #a = :set_a … REMOVE #b …`` for these attributes."""
    update = "SET " + ", ".join(f"#{name} = :set_{name}" for name in names)
    return update + (" REMOVE " + ", ".join(f"#{name}" for name in remove) if remove else "") + " "


def if_met(call: Callable[[], object]) -> bool:
    """Make a conditional call; False where its condition is not met."""
    try:
        call()
    except ClientError as error:
        if code(error) == "ConditionalCheckFailedException":
            return False
        raise
    return True
