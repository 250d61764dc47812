"""Run with LocalStack's own Python, for the moto that it brings: `python moto_scenarios.py NAME`."""

from __future__ import annotations

import copy
import sys
import time

from localstack_process_executor import statements, transactions
from moto.core.exceptions import RESTError
from moto.dynamodb import dynamodb_backends
from moto.dynamodb.exceptions import (
    MultipleTransactionsException,
    TransactionCanceledException,
)

NEW = "attribute_not_exists(id)"


def backend(items: int = 3):
    made = dynamodb_backends["000000000000"]["us-east-1"]
    made.reset()
    for name, keys in {"plain": ["id"], "ranged": ["id", "at"]}.items():
        made.create_table(
            name,
            schema=[
                {"AttributeName": key, "KeyType": kind}
                for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            throughput=None,
            attr=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            global_indexes=[],
            indexes=[],
            streams={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
            billing_mode="PAY_PER_REQUEST",
            sse_specification=None,
            tags=[],
            deletion_protection_enabled=False,
        )
    for number in range(items):
        made.put_item("plain", {"id": text(f"k{number}"), "n": {"N": "0"}, "vector": {"B": "AAAA" * 64}})
        made.put_item("ranged", {"id": text("k"), "at": text(f"{number}"), "n": {"N": "0"}})
    return made


def text(value: str) -> dict[str, str]:
    return {"S": value}


def state(made) -> dict[str, object]:
    return {
        name: (
            sorted(str(item.to_json()) for item in table.all_items()),
            [record.to_json() for record in table.stream_shard.items],
        )
        for name, table in made.tables.items()
    }


def put(table: str, key: dict, condition: str | None = None) -> dict:
    return {"Put": {"TableName": table, "Item": {**key, "n": {"N": "9"}}, "ConditionExpression": condition}}


def update(table: str, key: dict) -> dict:
    return {
        "Update": {
            "TableName": table,
            "Key": key,
            "UpdateExpression": "SET n = n + :one",
            "ExpressionAttributeNames": {},
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }


def delete(table: str, key: dict) -> dict:
    return {"Delete": {"TableName": table, "Key": key}}


EVERYTHING = [
    put("plain", {"id": text("new")}, NEW),
    update("plain", {"id": text("k0")}),
    delete("plain", {"id": text("k1")}),
    put("ranged", {"id": text("k"), "at": text("9")}),
    put("ranged", {"id": text("other"), "at": text("0")}),
    update("ranged", {"id": text("k"), "at": text("0")}),
    delete("ranged", {"id": text("k"), "at": text("1")}),
]


def commits() -> None:
    made = backend()
    made.transact_write_items(copy.deepcopy(EVERYTHING))
    plain, ranged = made.tables["plain"], made.tables["ranged"]
    assert [item.attrs["id"].value for item in plain.all_items()] == ["k0", "k2", "new"]
    assert plain.all_items()[0].attrs["n"].value == "1"
    assert len(ranged.all_items()) == 4
    assert len(plain.stream_shard.items) == 3 + 3


def rolls_back() -> None:
    made = backend()
    before = state(made)
    tables = made.tables
    failing = put("plain", {"id": text("k2")}, NEW)
    assert "ConditionalCheckFailed" in str(refusal(made, [*EVERYTHING, failing]))
    assert state(made) == before
    assert made.tables is tables


def rolls_back_when_refused() -> None:
    made = backend()
    before = state(made)
    twice = delete("plain", {"id": text("k0")})
    no_table = put("missing", {"id": text("x")})
    no_key = put("ranged", {"id": text("x")})
    assert isinstance(refusal(made, [*EVERYTHING, twice]), MultipleTransactionsException)
    assert isinstance(refusal(made, [*EVERYTHING, no_table]), TransactionCanceledException)
    assert isinstance(refusal(made, [*EVERYTHING, no_key]), TransactionCanceledException)
    assert refusal(made, [update("plain", {"id": text("k0")})] * 101)
    assert state(made) == before


def refusal(made, items: list[dict]) -> RESTError | None:
    try:
        made.transact_write_items(copy.deepcopy(items))
    except RESTError as error:
        return error
    return None


def same_as_moto() -> None:
    """The original implementation, which copies the whole state, produces the same state."""
    failing = [*EVERYTHING, put("plain", {"id": text("k2")}, NEW)]
    for items in (EVERYTHING, failing):
        outcomes = []
        for method in ("transact_write_items", "__wrapped__"):
            made = backend()
            call = type(made).transact_write_items
            call = call if method == "transact_write_items" else call.__wrapped__
            try:
                call(made, copy.deepcopy(items))
                outcome = "committed"
            except TransactionCanceledException as error:
                outcome = str(error.description)
            items_of = {name: items for name, (items, _records) in state(made).items()}  # type: ignore[has-type, misc]
            outcomes.append((outcome, items_of))
        assert outcomes[0] == outcomes[1]


def costs_the_same_with_a_large_table() -> None:
    def seconds(items: int) -> float:
        made = backend(items)
        best = float("inf")
        for number in range(5):
            began = time.perf_counter()
            made.transact_write_items([put("plain", {"id": text(f"new{number}")}, NEW)])
            best = min(best, time.perf_counter() - began)
        return best

    small, large = seconds(10), seconds(4000)
    print(f"10 items: {small * 1000:.2f} ms, 4000 items: {large * 1000:.2f} ms")
    assert large < 20 * small


def insert(table: str, item: dict) -> dict:
    pairs = ", ".join(f"'{name}': ?" for name in item)
    return {"Statement": f'INSERT INTO "{table}" VALUE {{{pairs}}}', "Parameters": list(item.values())}


def inserts_new_items_only() -> None:
    made = backend()
    before = str(made.tables["plain"].all_items()[1].to_json())
    ranged = {"id": text("k"), "at": text("7"), "n": {"N": "1"}}
    responses = made.batch_execute_statement(
        [
            insert("plain", {"id": text("k1"), "n": {"N": "7"}}),
            insert("plain", {"id": text("it's, {new}"), "vector": {"B": "AAAA"}}),
            insert("ranged", ranged),
            insert("ranged", ranged),
        ]
    )
    assert [response.get("Error", {}).get("Code") for response in responses] == [
        "DuplicateItem",
        None,
        None,
        "DuplicateItem",
    ]
    items = {item.attrs["id"].value: item for item in made.tables["plain"].all_items()}
    assert str(items["k1"].to_json()) == before
    assert items["it's, {new}"].attrs["vector"].value == "AAAA"
    assert len(made.tables["plain"].stream_shard.items) == 3 + 1


def update_where(table: str, sets: dict, tests: list[tuple[str, str, dict]]) -> dict:
    changes = " ".join(f'SET "{name}"=?' for name in sets)
    condition = " AND ".join(f'"{name}"{operator}?' for name, operator, _ in tests)
    return {
        "Statement": f'UPDATE "{table}" {changes} WHERE {condition}',
        "Parameters": [*sets.values(), *(value for _, _, value in tests)],
    }


def updates_where_the_condition_is_met_only() -> None:
    made = backend()
    new = {"n": {"N": "7"}, "vector": {"B": "BBBB"}}
    responses = made.batch_execute_statement(
        [
            update_where("plain", new, [("id", "=", text("k0")), ("n", "<=", {"N": "0"})]),
            update_where("plain", new, [("id", "=", text("k1")), ("n", "<", {"N": "0"})]),
            update_where("plain", new, [("id", "=", text("k2")), ("missing", "=", {"N": "0"})]),
            update_where("plain", new, [("id", "=", text("new")), ("n", "<=", {"N": "0"})]),
            update_where("plain", new, [("n", "<=", {"N": "0"})]),
            update_where("ranged", {"n": {"N": "7"}}, [("id", "=", text("k")), ("at", "=", text("1"))]),
            update_where("ranged", {"n": {"N": "7"}}, [("id", "=", text("k")), ("n", "=", {"N": "0"})]),
            insert("plain", {"id": text("other")}),
        ]
    )
    assert [response.get("Error", {}).get("Code") for response in responses] == [
        None,
        "ConditionalCheckFailed",
        "ConditionalCheckFailed",
        "ConditionalCheckFailed",
        "ValidationError",
        None,
        "ValidationError",
        None,
    ]
    plain = {item.attrs["id"].value: item.attrs for item in made.tables["plain"].all_items()}
    assert plain.keys() == {"k0", "k1", "k2", "other"}
    assert {key: item["n"].value for key, item in plain.items() if "n" in item} == {
        "k0": "7",
        "k1": "0",
        "k2": "0",
    }
    assert plain["k0"]["vector"].value == "BBBB"
    ranged = {item.attrs["at"].value: item.attrs["n"].value for item in made.tables["ranged"].all_items()}
    assert ranged == {"0": "0", "1": "7", "2": "0"}


def leaves_other_statements_to_moto() -> None:
    made = backend()
    select = {"Statement": "SELECT n FROM plain WHERE id = ?", "Parameters": [text("k0")]}
    missing = insert("missing", {"id": text("x")})
    responses = made.batch_execute_statement([insert("plain", {"id": text("new")}), select, missing])
    assert responses[1]["Item"] == {"n": {"N": "0"}}
    assert [("Error" in response) for response in responses] == [False, False, True]


def inserts_cost_the_same_with_a_large_table() -> None:
    def seconds(items: int) -> float:
        made = backend(items)
        best = float("inf")
        for number in range(5):
            began = time.perf_counter()
            made.batch_execute_statement([insert("plain", {"id": text(f"new{number}")})])
            best = min(best, time.perf_counter() - began)
        return best

    small, large = seconds(10), seconds(4000)
    print(f"10 items: {small * 1000:.2f} ms, 4000 items: {large * 1000:.2f} ms")
    assert large < 20 * small


if __name__ == "__main__":
    for module in (transactions, statements) * 2:
        module.install()
    globals()[sys.argv[1]]()
