"""The answers that yield no label, from a sparse index of the annotations table."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.items import Item, Value, integer, text
from octospoon.adapters.dynamodb.requests import batch_get, query
from octospoon.domain.labelling.answers import PROBLEMS, UncountedAnswer, UncountedAnswers
from octospoon.domain.pool.images import State

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MOST = 1000
"""How many answers of one problem are read at most; a count of this many means at least as many."""
_INDEX = "by_problem"


def uncounted_answers(client: DynamoDBClient, pool: str, annotations: str, examples: int) -> UncountedAnswers:
    """Return the answers that yield no label, by problem, with up to `examples` answers of each."""
    counts: dict[str, int] = {}
    named: list[UncountedAnswer] = []
    for problem in PROBLEMS:
        given: dict[str, Value] = {":problem": problem}
        items = query(client, annotations, _INDEX, "#problem = :problem", given, limit=MOST)
        entries = list(islice(items, MOST))
        rows = {
            text(row, "key"): row
            for row in batch_get(
                client, pool, [text(entry, "key") for entry in entries], ("key", "etag", "state", "task_id")
            )
        }
        open_ = [entry for entry in entries if _matters(entry, rows.get(text(entry, "key")))]
        counts[problem] = len(open_)
        named += [_answer(entry, rows.get(text(entry, "key")), problem) for entry in open_[:examples]]
    return UncountedAnswers(counts, tuple(named))


def _matters(entry: Item, row: Item | None) -> bool:
    """Return True unless the image has a label or other bytes by now."""
    if row is None or text(row, "state") == State.QUARANTINED:
        return True
    return text(row, "etag") == text(entry, "etag") and text(row, "state") != State.LABELLED


def _answer(entry: Item, row: Item | None, problem: str) -> UncountedAnswer:
    task = integer(row, "task_id") if row else 0
    return UncountedAnswer(text(entry, "key"), task, integer(entry, "number"), problem)
