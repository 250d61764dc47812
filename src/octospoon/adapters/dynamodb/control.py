"""The control table: the training job's state machine, the labelling rounds, the progress of re-scoring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.adapters.dynamodb.items import Item, Value, dump_item, integer, names_of, text
from octospoon.adapters.dynamodb.requests import if_met, update_expression
from octospoon.adapters.dynamodb.training_job import classes_text, settings_text, training_state
from octospoon.domain.pool.keys import SHARDS, day
from octospoon.domain.training.jobs import JobSettings, JobStatus, TrainingState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from octospoon.adapters.s3.rounds import RoundFiles
    from octospoon.domain.labelling.tasks import Round

_FIRST_OR_WIDER = (
    "attribute_not_exists(#generation) OR #generation < :generation OR "
    "( #generation = :generation AND #oldest > :oldest )"
)
_THIS_JOB = "#job_id = :job_id AND #status IN "


class ControlTable:
    """One item per state machine, read strongly and changed by conditional updates only."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self.client = client
        self.table = table

    def read(self, id_: str) -> Item:
        """Return one item, empty before its first write."""
        with translated(f"reading {id_}"):
            answer = self.client.get_item(
                TableName=self.table, Key=dump_item({"id": id_}), ConsistentRead=True
            )
        return answer.get("Item") or {}

    def update(
        self,
        id_: str,
        values: dict[str, Value],
        condition: str,
        given: dict[str, Value],
        add: tuple[str, int] | None = None,
    ) -> bool:
        """Set attributes, and add to one, where the condition holds; say whether it did."""
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


class DynamoControl:
    """Implements `octospoon.ports.training.Control`."""

    def __init__(self, table: ControlTable, now: Callable[[], float]) -> None:
        self._table = table
        self._now = now

    def state(self) -> TrainingState:
        """Return the current state."""
        return training_state(self._table.read("training"))

    def begin(
        self,
        before: TrainingState,
        job_id: str,
        reason: str,
        lease_until: float,
        settings: JobSettings | None = None,
    ) -> bool:
        """Move to launching, and take the labels counted in `before` off the counter.

        The settings are kept with the job. False where the state is no longer `before`'s.
        """
        now = self._now()
        today = day(now)
        given: dict[str, Value] = {
            ":jobs": before.jobs,
            ":status": before.status,
            ":new_labels": before.new_labels,
        }
        unchanged = " AND ".join(
            f"(attribute_not_exists(#{name[1:]}) OR #{name[1:]} = {name})" for name in given
        )
        return self._table.update(
            "training",
            {
                "status": JobStatus.LAUNCHING,
                "job_id": job_id,
                "jobs": before.jobs + 1,
                "lease_until": lease_until,
                "reason": reason,
                "new_labels": 0,
                "since": before.jobs + 1,
                "begun_at": now,
                "begun_day": today,
                "begun_today": before.begun_today + 1 if before.begun_day == today else 1,
                "requested": "",
                "settings": settings_text(settings),
            },
            unchanged,
            given,
        )

    def request(self, reason: str) -> None:
        """Ask for a job, until the next one is begun for whatever reason."""
        new = "attribute_not_exists(#requested) OR #requested <> :requested"
        self._table.update("training", {"requested": reason}, new, {":requested": reason})

    def keep_classes(self, classes: tuple[str, ...]) -> None:
        """Record which class names the project has now."""
        others = "attribute_not_exists(#project_classes) OR #project_classes <> :classes"
        value = classes_text(classes)
        self._table.update("training", {"project_classes": value}, others, {":classes": value})

    def abort(self, job_id: str, before: TrainingState) -> bool:
        """Move launching -> idle and give the labels of `before` back: nothing was launched."""
        values: dict[str, Value] = {"status": JobStatus.IDLE, "since": before.since}
        return self._move(job_id, [JobStatus.LAUNCHING], values, ("new_labels", before.new_labels))

    def start(self, job_id: str, lease_until: float) -> bool:
        """Move launching -> running, or take over a running job whose lease has run out."""
        condition = (
            "#job_id = :job_id AND (#status = :launching OR (#status = :running AND #lease_until < :now))"
        )
        return self._table.update(
            "training",
            {"status": JobStatus.RUNNING, "lease_until": lease_until},
            condition,
            {
                ":job_id": job_id,
                ":launching": JobStatus.LAUNCHING,
                ":running": JobStatus.RUNNING,
                ":now": self._now(),
            },
        )

    def renew(self, job_id: str, lease_until: float) -> bool:
        """Extend the lease of a running job; False where it is no longer this job that runs."""
        return self._move(job_id, [JobStatus.RUNNING], {"lease_until": lease_until})

    def finish(self, job_id: str, reason: str) -> bool:
        """Move running -> idle."""
        return self._move(job_id, [JobStatus.RUNNING], {"status": JobStatus.IDLE, "reason": reason})

    def fail(self, job_id: str, reason: str, retry_at: float) -> bool:
        """Move launching or running -> failed, with the reason; it is due again at `retry_at`."""
        active = [JobStatus.LAUNCHING, JobStatus.RUNNING]
        values: dict[str, Value] = {
            "status": JobStatus.FAILED,
            "reason": reason[:1000],
            "lease_until": retry_at,
        }
        return self._move(job_id, active, values)

    def _move(
        self,
        job_id: str,
        before: Sequence[JobStatus],
        values: dict[str, Value],
        add: tuple[str, int] | None = None,
    ) -> bool:
        given: dict[str, Value] = {f":from{i}": status for i, status in enumerate(before)}
        condition = _THIS_JOB + "(" + ", ".join(given) + ")"
        return self._table.update("training", values, condition, given | {":job_id": job_id}, add)


class DynamoRounds:
    """Implements `octospoon.ports.labelling.Rounds`: files are immutable, the table says which is open."""

    def __init__(self, table: ControlTable, files: RoundFiles) -> None:
        self._table = table
        self._files = files

    def open(self) -> Round | None:
        """Return the round that was chosen but not yet wholly exported."""
        item = self._table.read("round")
        return self._files.read(integer(item, "number")) if text(item, "status") == "open" else None

    def read(self, number: int) -> Round | None:
        """Return a round by its number, None where there is no such."""
        return self._files.read(number)

    def last_number(self) -> int:
        """Return the number of the newest round, 0 before the first."""
        return integer(self._table.read("round"), "number")

    def begin(self, round_: Round) -> Round:
        """Store a new round as the open one; where another was first, return that one instead."""
        stored = self._files.write(round_)
        self._table.update(
            "round",
            {"number": stored.number, "status": "open", "export_until": 0.0},
            "attribute_not_exists(#number) OR #number < :number",
            {":number": stored.number},
        )
        return stored

    def acquire(self, number: int, now: float, until: float) -> bool:
        """Become the only one who exports an open round until then; False where somebody else is."""
        return self._table.update(
            "round",
            {"export_until": until},
            "#number = :number AND #status = :open AND "
            "(attribute_not_exists(#export_until) OR #export_until < :now)",
            {":number": number, ":open": "open", ":now": now},
        )

    def release(self, number: int, until: float) -> None:
        """Let others export the round at once: nothing of it is on its way to Label Studio."""
        condition = "#number = :number AND #export_until = :until"
        self._table.update("round", {"export_until": 0.0}, condition, {":number": number, ":until": until})

    def acquire_predictions(self, now: float, until: float) -> bool:
        """Become the only one who adds predictions to tasks until then; False where somebody else is."""
        free = "attribute_not_exists(#until) OR #until < :now"
        return self._table.update("predictions", {"until": until}, free, {":now": now})

    def release_predictions(self, until: float) -> None:
        """Let others add predictions at once: none is on its way to Label Studio."""
        self._table.update("predictions", {"until": 0.0}, "#until = :until", {":until": until})

    def close(self, number: int) -> None:
        """Mark a round as exported."""
        self._table.update("round", {"status": "closed"}, "#number = :number", {":number": number})


class DynamoRescoring:
    """Implements `octospoon.ports.models.Rescoring`."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table

    def begin(self, generation: int, version: int, oldest: str = "") -> None:
        """Start counting for a version, unless this generation or a later one is being counted already.

        What goes back further than what is being counted starts the count again.
        """
        update = "SET #generation = :generation , #version = :version , #oldest = :oldest REMOVE #done"
        self._write(update, _FIRST_OR_WIDER, generation, dump_item({":version": version, ":oldest": oldest}))

    def done(self, generation: int, shard: int, oldest: str = "") -> None:
        """Record that one shard has no score of an earlier generation among the uploads from a day on."""
        given = {":shard": {"SS": [f"{shard:02d}"]}, ":oldest": {"S": oldest}}
        self._write("ADD #done :shard", "#generation = :generation AND #oldest >= :oldest", generation, given)

    def oldest(self) -> str:
        """Return the first day of the uploads that are counted, empty for all."""
        return text(self._table.read("rescore"), "oldest")

    def progress(self) -> tuple[int, int]:
        """Return the version of the latest generation, and how many shards it has gone through."""
        item = self._table.read("rescore")
        return integer(item, "version", -1), len(item["done"]["SS"]) if "done" in item else 0

    def orders(self) -> dict[int, str]:
        """Return which stored score the priorities of each shard are; unknown shards are missing."""
        item = self._table.read("rescore")
        names = {shard: f"order_{shard:02d}" for shard in range(SHARDS)}
        return {shard: text(item, name) for shard, name in names.items() if name in item}

    def ordered(self, shard: int, order: str) -> None:
        """Record which stored score the priorities of one shard are; empty while they are being changed."""
        name = f"order_{shard:02d}"
        another = f"attribute_not_exists(#{name}) OR #{name} <> :order"
        self._table.update("rescore", {name: order}, another, {":order": order})

    def _write(self, update: str, condition: str, generation: int, given: Item) -> bool:
        with translated("recording the progress of re-scoring"):
            return if_met(
                lambda: self._table.client.update_item(
                    TableName=self._table.table,
                    Key=dump_item({"id": "rescore"}),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames=names_of(f"{update} {condition}"),
                    ExpressionAttributeValues=dump_item({":generation": generation}) | given,
                )
            )
