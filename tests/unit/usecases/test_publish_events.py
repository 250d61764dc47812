"""Events are derived from the stored state, sent at least once, and match their documented schemas."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.world import FakeWorld
from jsonschema.validators import Draft202012Validator

from octospoon.adapters.aws.event_bridge import EventBridgeBus
from octospoon.adapters.label_studio.choices import choice
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.tasks import Pick, Round, Task
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring.drift import DriftResult, Level
from octospoon.domain.monitoring.events import STALE, Event, Kind
from octospoon.domain.monitoring.observations import ModelDecision, Observation
from octospoon.domain.pool.images import StoredObject
from octospoon.domain.training.policy import TrainingRules
from octospoon.ports.labelling import AnnotationBody
from octospoon.usecases.publish_events import OVERLAP

SCHEMAS = Path(__file__).parents[3] / "docs" / "reference" / "events"
CONFIRMED = DriftResult(Level.CONFIRMED, 500, 0.001, 0.2, 0.5, 0.005)
NOW = 1_767_300_000.0


class World(FakeWorld):
    def __init__(self) -> None:
        super().__init__(time=NOW)
        for task in (1, 2, 3):
            self.export(f"{task}.png", f"e{task}", task)
            self.labeler.tasks[task] = Task(f"{task}.png", f"e{task}", f"s3://b/{task}.png", None, None)
            self.bucket.objects[f"{task}.png"] = StoredObject(f"{task}.png", f"e{task}", 1, 0.0)
        self.collect = self.build_collect(("cat", "dog"), TrainingRules(100), SingleChoice().read)
        self.events = self.build_events(self.collect)
        self.reconcile = replace(
            self.build_reconcile(self.build_stores(), self.collect),
            events=self.events,
            sync_registry_alias=None,
        )

    def begun(self) -> World:
        self.reconcile()
        assert self.bus.published == []
        self.clock.time += 900
        return self

    def export_round(self) -> None:
        number = self.rounds.last_number() + 1
        pick = Pick(f"{number}.png", "e", number % 2 == 0, "margin", 0.1, 1, None)
        self.rounds.begin(Round(number, "2026-01-01T12:00:00+00:00", 4, (pick,)))
        self.rounds.close(number)

    def train(self, *, promoted: bool | None) -> None:
        state = self.control.state()
        job = f"train-{state.jobs + 1:06d}"
        self.control.begin(state, job, "50 new labels", self.clock.now() + 900)
        self.control.start(job, self.clock.now() + 600)
        if promoted is None:
            self.control.fail(job, "no disk", self.clock.now())
            return
        self.history.record(ModelDecision(job, state.jobs + 2, promoted, ("reason",), self.clock.now(), {}))
        self.control.finish(job, "refused: reason" if not promoted else "promoted: better")

    def serve(self, version: int) -> None:
        pointer = ChampionPointer.of(version, "b" * 64, "a" * 64, "c" * 64, ("cat", "dog"))
        current = self.champions.pointer()
        self.champions.set(pointer.after(current[0] if current else None))

    def answer(self, task: int, label: str | None = "cat") -> None:
        body = AnnotationBody(
            id=100 + task,
            unique_id=f"u{task}",
            updated_at=datetime.fromtimestamp(self.clock.time, UTC).isoformat(),
            task=task,
            completed_by=1,
            was_cancelled=label is None,
            result=[] if label is None else [choice(label)],
        )
        self.labeler.annotate(task, body)

    def everything(self) -> None:
        self.export_round()
        self.train(promoted=True)
        self.train(promoted=False)
        self.train(promoted=None)
        self.serve(7)
        self.observations.save(Observation(7, self.clock.now(), None, "2026-01-31", CONFIRMED))
        self.answer(1)

    def kinds(self) -> list[str]:
        return [event.kind.value for event in self.bus.published]


def test_everything_that_happened_is_published_once() -> None:
    world = World().begun()
    world.everything()

    assert world.reconcile().events == 8

    assert sorted(world.kinds()) == sorted(
        [
            Kind.LABEL_SETTLED,
            Kind.ROUND_EXPORTED,
            *[Kind.TRAINING_FINISHED] * 3,
            Kind.MODEL_REFUSED,
            Kind.MODEL_PROMOTED,
            Kind.DRIFT_CONFIRMED,
        ]
    )
    outcomes = [event.detail["outcome"] for event in world.bus.published if "outcome" in event.detail]
    assert outcomes == ["promoted", "refused", "failed"]
    ids = [event.id for event in world.bus.published]
    assert len(set(ids)) == len(ids)
    world.clock.time += 2 * OVERLAP
    assert world.reconcile().events == 0


def test_what_the_bus_refused_comes_with_the_next_run() -> None:
    world = World().begun()
    world.everything()
    world.bus.down = True
    with pytest.raises(ServiceUnavailable):
        world.reconcile()
    assert world.bus.published == []
    assert world.labels.label_state("1.png").label == "cat", "the answer is counted all the same"

    world.bus.down = False
    world.clock.time += 900
    world.reconcile()
    assert len(world.kinds()) == 8


def test_publication_whose_progress_was_lost_is_repeated_with_its_ids() -> None:
    world = World().begun()
    before = world.event_progress.stored
    world.everything()
    world.reconcile()
    first = [event.id for event in world.bus.published]
    world.bus.published.clear()
    world.event_progress.stored = before  # it died before the progress was stored

    world.events()

    again = [event.id for event in world.bus.published]
    assert again == [id_ for id_ in first if not id_.startswith("label-settled")]


def test_nothing_of_the_past_is_told_where_publishing_begins() -> None:
    world = World()
    world.everything()
    world.reconcile()
    assert world.bus.published == []

    world.export_round()
    world.reconcile()
    assert world.kinds() == [Kind.ROUND_EXPORTED]
    world.clock.time += STALE + 1
    world.export_round()
    assert world.reconcile().events == 0, "after a week without a publication it begins anew"


def test_open_round_and_running_job_are_no_news() -> None:
    world = World().begun()
    world.rounds.begin(Round(1, "2026-01-01T12:00:00+00:00", 4, ()))
    state = world.control.state()
    world.control.begin(state, "train-000001", "50 new labels", world.clock.now() + 9_000)
    assert world.reconcile().events == 0

    world.rounds.close(1)
    world.control.fail("train-000001", "no disk", 0.0)
    world.reconcile()
    assert world.kinds()[:2] == [Kind.ROUND_EXPORTED, Kind.TRAINING_FINISHED]


def test_each_change_of_a_label_has_its_own_id() -> None:
    world = World().begun()
    for label in ("cat", "dog", "cat", None):
        world.answer(1, label)
        world.reconcile()
        world.clock.time += 30
    settled = [event for event in world.bus.published if event.kind is Kind.LABEL_SETTLED]
    assert [event.detail["label"] for event in settled] == ["cat", "dog", "cat", None]
    assert len({event.id for event in settled}) == 4


def test_a_full_sync_tells_no_old_labels() -> None:
    world = World().begun()
    world.answer(1)
    world.reconcile()
    world.bus.published.clear()
    world.clock.time += 2 * 86_400

    assert world.reconcile(full=True).events == 0


class Recorded:
    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def put_events(self, *, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803 - boto3's name
        self.entries += Entries
        return {"Entries": [{} for _ in Entries]}


def test_every_event_keeps_to_its_schema() -> None:
    world = World().begun()
    world.everything()
    world.reconcile()
    world.clock.time += 60
    world.answer(1, None)
    world.reconcile()
    client = Recorded()
    EventBridgeBus(client, "default", "octospoon").publish(world.bus.published)

    for entry in client.entries:
        schema = json.loads((SCHEMAS / f"{entry['DetailType'].lower().replace(' ', '-')}.json").read_text())
        Draft202012Validator.check_schema(schema)
        detail = json.loads(entry["Detail"])
        Draft202012Validator(schema).validate(detail)
        assert detail.keys() == schema["properties"].keys()
    assert {entry["DetailType"] for entry in client.entries} == set(Kind)
    assert {path.stem for path in SCHEMAS.iterdir()} == {Event(kind, "x", {}).id[:-2] for kind in Kind}
