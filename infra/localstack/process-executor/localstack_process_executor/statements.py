"""INSERT and UPDATE of BatchExecuteStatement in moto, as DynamoDB executes them.

moto's implementation cannot read parameters there, copies every item of every table for each statement,
overwrites existing items, and supports no conditions. This one handles statements in which every value is a
parameter. An INSERT writes one item, or fails with DuplicateItem. An UPDATE sets attributes of the item
with the key in its WHERE, or fails with ConditionalCheckFailed if the rest of its WHERE is not met. moto
handles every other statement.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import RESTError
from moto.dynamodb.exceptions import ConditionalCheckFailed
from moto.dynamodb.models import DynamoDBBackend

if TYPE_CHECKING:
    from collections.abc import Callable

Answers = list[dict[str, Any]]

_INSERT = re.compile(r"""\s*INSERT\s+INTO\s+"?([\w.-]+)"?\s+VALUE\s+\{(.*)\}\s*""", re.IGNORECASE | re.DOTALL)
_PAIRS = re.compile(r"""\s*'([^']+)'\s*:\s*\?\s*(?:,(?=.)|$)""", re.DOTALL)
_UPDATE = re.compile(
    r"""\s*UPDATE\s+"?([\w.-]+)"?((?:\s+SET\s+"\w+"\s*=\s*\?)+)\s+WHERE\s+(.*\S)\s*""",
    re.IGNORECASE | re.DOTALL,
)
_SETS = re.compile(r'''"(\w+)"''')
_TEST = re.compile(r"""\s*"(\w+)"\s*(=|<>|<=|>=|<|>)\s*\?\s*""")
_AND = re.compile(r"\s+AND\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Update:
    """An UPDATE in which every value is a parameter.

    Attributes:
        table: name of the table.
        sets: attributes and their new values.
        tests: attribute, operator and value of each condition of the WHERE.
    """

    table: str
    sets: dict[str, dict[str, Any]]
    tests: list[tuple[str, str, dict[str, Any]]]


def inserted(statement: str, parameters: list[dict[str, Any]]) -> tuple[str, dict[str, Any]] | None:
    """Return table and item of an INSERT in which every value is a parameter, else None."""
    match = _INSERT.fullmatch(statement)
    if match is None:
        return None
    table, body = match.groups()
    names = _PAIRS.findall(body)
    if _PAIRS.sub("", body).strip() or len(names) != len(parameters):
        return None
    return table, dict(zip(names, parameters, strict=True))


def updated(statement: str, parameters: list[dict[str, Any]]) -> Update | None:
    """Return the parsed UPDATE if every value is a parameter, else None."""
    match = _UPDATE.fullmatch(statement)
    if match is None:
        return None
    table, sets, where = match.groups()
    names = _SETS.findall(sets)
    tests = [_TEST.fullmatch(part) for part in _AND.split(where)]
    if not all(tests) or len(names) + len(tests) != len(parameters):
        return None
    values = parameters[len(names) :]
    wanted = [(test[1], test[2], value) for test, value in zip(tests, values, strict=True) if test]
    return Update(table, dict(zip(names, parameters, strict=False)), wanted)


def _update(backend: Any, update: Update) -> dict[str, Any]:  # noqa: ANN401
    try:
        table = backend.get_table(update.table)
        keys = {table.hash_key_attr, table.range_key_attr} - {None}
        key = {name: value for name, operator, value in update.tests if name in keys and operator == "="}
        if key.keys() != keys:
            return _error("ValidationError", "Where clause does not contain a mandatory equality on all keys")
        _write(backend, update, key)
    except ConditionalCheckFailed:
        return _error("ConditionalCheckFailed", "The conditional request failed")
    except RESTError as error:
        return _error("ValidationError", str(error.description))
    return {"TableName": update.table}


def _write(backend: Any, update: Update, key: dict[str, Any]) -> None:  # noqa: ANN401
    names = {f"#{name}": name for name in (*update.sets, *(name for name, _, _ in update.tests))}
    sets = {f":set{i}": value for i, value in enumerate(update.sets.values())}
    tests = {f":test{i}": value for i, (_, _, value) in enumerate(update.tests)}
    backend.update_item(
        update.table,
        key,
        "SET " + ", ".join(f"#{name} = {place}" for name, place in zip(update.sets, sets, strict=True)),
        expression_attribute_names=names,
        expression_attribute_values=sets | tests,
        condition_expression=" AND ".join(
            f"#{name} {operator} {place}"
            for (name, operator, _), place in zip(update.tests, tests, strict=True)
        ),
    )


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
        writes = [
            _understood(statement["Statement"], statement.get("Parameters", [])) for statement in statements
        ]
        rest = [statement for statement, write in zip(statements, writes, strict=True) if write is None]
        others = iter(original(self, rest))
        return [write(self) if write else next(others) for write in writes]

    return batch_execute_statement


def _understood(statement: str, parameters: list[dict[str, Any]]) -> Callable[[Any], dict[str, Any]] | None:
    if insert := inserted(statement, parameters):
        return lambda backend: _insert(backend, *insert)
    if update := updated(statement, parameters):
        return lambda backend: _update(backend, update)
    return None


def install() -> None:
    """Replace moto's method, unless it is replaced already."""
    if not hasattr(DynamoDBBackend.batch_execute_statement, "__wrapped__"):
        DynamoDBBackend.batch_execute_statement = _batch(DynamoDBBackend.batch_execute_statement)
