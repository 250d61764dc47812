"""BatchExecuteStatement's INSERT in moto, as DynamoDB does it.

moto's own cannot read parameters there, copies every item of every table for each statement, and overwrites
an item that exists already. Here an INSERT whose values are all parameters writes one item, or fails with
DuplicateItem. Every other statement is left to moto.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import RESTError
from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend

if TYPE_CHECKING:
    from collections.abc import Callable

Answers = list[dict[str, Any]]

_INSERT = re.compile(r"""\s*INSERT\s+INTO\s+"?([\w.-]+)"?\s+VALUE\s+\{(.*)\}\s*""", re.IGNORECASE | re.DOTALL)
_PAIRS = re.compile(r"""\s*'([^']+)'\s*:\s*\?\s*(?:,(?=.)|$)""", re.DOTALL)


def inserted(statement: str, parameters: list[dict[str, Any]]) -> tuple[str, dict[str, Any]] | None:
    """Return table and item of an INSERT whose values are all parameters, else None."""
    found = _INSERT.fullmatch(statement)
    if found is None:
        return None
    table, body = found.groups()
    names = _PAIRS.findall(body)
    if _PAIRS.sub("", body).strip() or len(names) != len(parameters):
        return None
    return table, dict(zip(names, parameters, strict=True))


def _insert(backend: Any, name: str, item: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    try:
        table = backend.get_table(name)
        table.put_item(
            item,
            condition_expression="attribute_not_exists(#key)",
            expression_attribute_names={"#key": table.hash_key_attr},
        )
    except ConditionalCheckFailed:
        return _error("DuplicateItem", "Duplicate primary key exists in table")
    except RESTError as error:
        return _error("ValidationError", str(error.description))
    return {"TableName": name}


def _error(code: str, message: str) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": message}}


def _batch(original: Callable[[Any, Answers], Answers]) -> Callable[[Any, Answers], Answers]:
    @functools.wraps(original)
    def batch_execute_statement(self: Any, statements: Answers) -> Answers:  # noqa: ANN401
        inserts = [inserted(one["Statement"], one.get("Parameters", [])) for one in statements]
        rest = [one for one, insert in zip(statements, inserts, strict=True) if insert is None]
        others = iter(original(self, rest))
        return [_insert(self, *insert) if insert else next(others) for insert in inserts]

    return batch_execute_statement


def install() -> None:
    """Replace moto's method, once."""
    if not hasattr(DynamoDBBackend.batch_execute_statement, "__wrapped__"):
        DynamoDBBackend.batch_execute_statement = _batch(DynamoDBBackend.batch_execute_statement)
