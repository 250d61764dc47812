"""Filters for tasks, in the form of Label Studio's Data Manager."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KEYS_PER_LOOKUP = 100
_LOOKUP_BYTES = 8000  # a look-up travels in the URL
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"  # Label Studio answers 500 to any other form

Query = dict[str, Any]


class Api(Protocol):
    """A connection to Label Studio."""

    def call(self, method: str, path: str, **kwargs: Any) -> Any:  # noqa: ANN401 - JSON
        """Make one request; return the decoded JSON."""


def condition(column: str, operator: str, kind: str, value: object) -> dict[str, Any]:
    """Return one condition on a column of the Data Manager."""
    return {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}


def every(*conditions: dict[str, Any], by_id: bool = False) -> Query:
    """Return the tasks that meet all conditions, by ascending id if asked."""
    query: Query = {"filters": {"conjunction": "and", "items": list(conditions)}}
    return query | {"ordering": ["tasks:id"]} if by_id else query


def with_keys(keys: Sequence[str]) -> Query:
    """Return the query for the tasks of these images."""
    return every(condition("data.key", "in_list", "String", list(keys)))


def after(task_id: int) -> dict[str, Any]:
    """Return the condition that the id is higher."""
    return condition("id", "greater", "Number", task_id)


def since(column: str, seconds: float) -> list[dict[str, Any]]:
    """Return the condition that a time is at or after `seconds` since the epoch; no condition for 0."""
    return [condition(column, "greater_or_equal", "Datetime", _time(seconds))] if seconds else []


def before(column: str, seconds: float) -> dict[str, Any]:
    """Return the condition that a time is before `seconds` since the epoch."""
    return condition(column, "less", "Datetime", _time(seconds))


def unanswered() -> list[dict[str, Any]]:
    """Return the conditions of a task that is neither answered nor skipped."""
    return [
        condition("total_annotations", "equal", "Number", 0),
        condition("cancelled_annotations", "equal", "Number", 0),
    ]


def skipped() -> list[dict[str, Any]]:
    """Return the conditions of a task that is skipped and not answered."""
    return [
        condition("total_annotations", "equal", "Number", 0),
        condition("cancelled_annotations", "greater", "Number", 0),
    ]


def answered() -> dict[str, Any]:
    """Return the condition of a task with an answer."""
    return condition("total_annotations", "greater", "Number", 0)


def predicted() -> list[dict[str, Any]]:
    """Return the conditions of an unanswered task with predictions."""
    return [
        condition("total_annotations", "equal", "Number", 0),
        condition("total_predictions", "greater", "Number", 0),
    ]


def ours() -> list[dict[str, Any]]:
    """Return the conditions of a task that octospoon created: it has the ETag of an image.

    The key cannot be used, because Label Studio takes an object key ``null`` for no value.
    """
    return [_empty("data.etag", "false")]


def not_ours(*also: dict[str, Any]) -> Query:
    """Return the query for tasks that octospoon did not create and that meet these conditions."""
    return every(_empty("data.etag", "true"), *also, by_id=True)


def page(api: Api, project: int, query: Query, limit: int, **params: str) -> dict[str, Any]:
    """Return up to `limit` tasks of a query, and the total number."""
    answer: dict[str, Any] = api.call(
        "GET",
        "/api/tasks",
        params={
            "project": project,
            "resolve_uri": "false",
            "page_size": limit,
            # Label Studio decodes the query twice: without this, a key that contains %20 would not match
            "query": json.dumps(query).replace("%", "%25"),
            **params,
        },
    )
    return answer


def parts(keys: Sequence[str]) -> Iterator[list[str]]:
    """Yield the keys in parts that fit into a URL."""
    part: list[str] = []
    length = 0
    for key in keys:
        size = len(quote(json.dumps(key)))
        if part and (len(part) == KEYS_PER_LOOKUP or length + size > _LOOKUP_BYTES):
            yield part
            part, length = [], 0
        part.append(key)
        length += size
    if part:
        yield part


def _empty(column: str, value: str) -> dict[str, Any]:
    return condition(column, "empty", "String", value)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME)
