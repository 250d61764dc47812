"""Statements of a batch that fail individually. The contract tests cover conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from octospoon.adapters.dynamodb.pool.rescoring import DynamoRescoringPool
from octospoon.adapters.dynamodb.pool.scores import Order
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.pool.images import PoolRow, Prediction, State
from octospoon.domain.task_types.classification import CLASSIFICATION

ROWS = 60


class Client:
    """Throttles every third statement. Every fifth fails because its condition is not met."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.alone: list[str] = []
        self.refuses: set[str] = set()
        self.down = False

    def batch_execute_statement(self, **request: Any) -> Any:
        statements = request["Statements"]
        self.batches.append(len(statements))
        keys = [statement["Parameters"][-4]["S"] for statement in statements]
        return {"Responses": [self._said(int(key)) for key in keys]}

    @staticmethod
    def _said(number: int) -> dict[str, Any]:
        if number % 5 == 0:
            return {"Error": {"Code": "ConditionalCheckFailed"}}
        return {"Error": {"Code": "ThrottlingError"}} if number % 3 == 0 else {"TableName": "pool"}

    def update_item(self, **request: Any) -> Any:
        key = request["Key"]["key"]["S"]
        self.alone.append(key)
        if self.down:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "UpdateItem")
        if key in self.refuses:
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")


def rescored(client: Any) -> set[str]:
    probabilities = np.array([0.7, 0.3], np.float32)
    embedding = np.zeros(4, np.float32)
    rows = [PoolRow(f"{i:03d}", "e", State.SCORED, 1, "b", embedding, None) for i in range(ROWS)]
    pool = DynamoRescoringPool(client, "pool", Order("margin", CLASSIFICATION), lambda: 1.0)
    return pool.rescore(rows, [Prediction(2, "b", embedding, probabilities, 1)] * ROWS)


def test_only_a_throttled_statement_is_retried_alone() -> None:
    client = Client()
    throttled = {f"{i:03d}" for i in range(ROWS) if i % 3 == 0 and i % 5}
    client.refuses = {"003"}

    written = rescored(client)

    assert client.batches == [25, 25, 10]
    assert set(client.alone) == throttled
    assert written == {f"{i:03d}" for i in range(ROWS) if i % 5} - {"003"}


def test_where_dynamodb_stays_busy_the_message_goes_back() -> None:
    client = Client()
    client.down = True

    with pytest.raises(ServiceUnavailable, match="updating 003"):
        rescored(client)
