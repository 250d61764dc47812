"""The counter of new labels, which changes in the same transaction as a label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import Value, dump_item, integer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOT_COUNTED = -1
_SAME_JOB = (
    "(attribute_not_exists(#jobs) OR #jobs = :jobs) AND (attribute_not_exists(#since) OR #since = :since)"
)


class LabelCounter:
    """Counts each image once between two training jobs.

    Every label stores the number of jobs begun when it was counted. So a removed label is subtracted only if
    the present counter includes it, and not if a job has been trained on it.
    """

    def __init__(self, client: DynamoDBClient, control: str) -> None:
        self._client = client
        self._control = control

    def change(self, delta: int, counted_in: int) -> tuple[dict[str, Any], int]:
        """Return the part of a transaction that adds or subtracts one label.

        Args:
            delta: +1 for an image that becomes labelled, -1 for an image that loses its label.
            counted_in: of the image's present label.

        Returns:
            The write, and the image's new `counted_in`. The write fails if a job begins in the meantime.
        """
        with translated("reading the counter of new labels"):
            answer = self._client.get_item(
                TableName=self._control, Key=dump_item({"id": "training"}), ConsistentRead=True
            )
        item = answer.get("Item") or {}
        jobs, since = integer(item, "jobs"), integer(item, "since")
        amount = delta if delta > 0 or counted_in >= since else 0
        given: dict[str, Value] = {":amount": amount, ":jobs": jobs, ":since": since}
        write = {
            "Update": {
                "TableName": self._control,
                "Key": dump_item({"id": "training"}),
                "UpdateExpression": "ADD #new_labels :amount",
                "ConditionExpression": _SAME_JOB,
                "ExpressionAttributeNames": {
                    "#new_labels": "new_labels",
                    "#jobs": "jobs",
                    "#since": "since",
                },
                "ExpressionAttributeValues": dump_item(given),
            }
        }
        return write, jobs if delta > 0 else NOT_COUNTED
