from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.label_studio import FakePredictions
from fakes.world import FakeWorld

from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import Task, TaskCounts
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.monitoring.observations import DriftExample, Observation
from octospoon.domain.pool.images import ImageRef, Prediction, State
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.ports.labelling import AnnotationBody
from octospoon.usecases.rank import EXPORT_SECONDS
from octospoon.usecases.refresh_predictions import RefreshPredictions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BACKBONE = "b" * 64
CLASSES = ("cat", "dog", "owl")


def prediction(i: int, version: int) -> Prediction:
    generator = np.random.default_rng(i)
    embedding = generator.normal(size=8).astype(np.float32)
    weights = generator.exponential(size=3) if version else None
    probabilities = None if weights is None else (weights / weights.sum()).astype(np.float32)
    return Prediction(version, BACKBONE, embedding, probabilities)


class Head:
    """A model that predicts another class in each version."""

    def __init__(self, version: int) -> None:
        self.probabilities = np.eye(3, dtype=np.float32)[version % 3] * 0.8 + np.float32(0.2 / 3)

    def run(self, embedding: np.ndarray) -> np.ndarray:
        return np.tile(self.probabilities, (len(embedding), 1))


class World(FakeWorld):
    def __init__(self, images: int, version: int = 1) -> None:
        super().__init__()
        self.predictions = FakePredictions(self.labeler)
        self.rescoring.order = dict.fromkeys(range(SHARDS), "margin")
        self.champions.set(
            ChampionPointer(
                version,
                "a" * 64,
                "m",
                BACKBONE,
                "h" if version else "",
                "c" * 64 if version else "",
                CLASSES if version else (),
            )
        )
        for i in range(images):
            self.pool.put_score(ImageRef(f"{i:04d}.png", f"etag{i}", "1", 10), prediction(i, version))
        self.rank = self.build_rank(
            BatchRules(size=20, audit_share=0.2, drift_share=0.2),
            "margin_diverse",
            days=14,
            max_open_tasks=20,
            refresh=RefreshPredictions(
                self.predictions,
                self.pool,
                self.rounds,
                self.champions,
                lambda pointer: (pointer, Head(pointer.version)),
                self.clock,
                CLASSIFICATION,
                self.rereading.newest,
            ),
        )

    def promote(self, version: int) -> None:
        pointer, _ = self.champions.pointer()  # type: ignore[misc]
        self.champions.set(replace(pointer, version=version))

    def drift(self, count: int, version: int = 1) -> None:
        examples = tuple(DriftExample(f"{i:04d}.png", f"etag{i}", 0.3 - i / 1000) for i in range(count))
        self.observations.save(Observation(version, self.clock.time, drifted=examples))

    def by_drift(self, number: int) -> list[str]:
        return sorted(pick.key for pick in self.rounds.files[number].picks if pick.strategy == "drift")


@pytest.mark.parametrize("version", [0, 1], ids=["cold", "warm"])
def test_a_round_is_exported_once_with_its_audit_share(version: int) -> None:
    world = World(300, version)

    report = world.rank()

    assert (report.round_number, report.exported, report.created) == (1, 20, 20)
    picks = world.rounds.files[1].picks
    assert sum(pick.audit for pick in picks) == 4
    assert {pick.strategy for pick in picks if pick.audit} == {"random"}
    assert {pick.draw_probability for pick in picks if pick.audit} == {4 / 300}
    assert {pick.draw_probability for pick in picks if not pick.audit} == {None}
    for pick in picks:
        assert world.pool.table[pick.key].pick == pick, "the row keeps how it was drawn"
    assert {pick.strategy for pick in picks if not pick.audit} == {
        "margin_diverse" if version else "typiclust"
    }
    assert world.pool.counts()[State.EXPORTED] == 20
    assert len({task.key for task in world.labeler.tasks.values()}) == 20


def test_next_rounds_take_the_most_drifted_images_until_exhausted() -> None:
    world = World(300)
    world.drift(10)
    calm = World(300)

    for number in (1, 2, 3, 4):
        assert world.rank().exported == 20
        world.labeler.answered = set(world.labeler.tasks)
        audit = [pick.key for pick in world.rounds.files[number].picks if pick.audit]
        assert len(audit) == 4
    calm.rank()

    audited = {pick.key for round_ in world.rounds.files.values() for pick in round_.picks if pick.audit}
    remaining = [f"{i:04d}.png" for i in range(10) if f"{i:04d}.png" not in audited]
    assert world.by_drift(1) == remaining[:4]
    assert [*world.by_drift(1), *world.by_drift(2), *world.by_drift(3)] == remaining
    assert world.by_drift(4) == []
    drawn = [
        [pick.key for pick in rounds.files[1].picks if pick.audit] for rounds in (world.rounds, calm.rounds)
    ]
    assert sorted(drawn[0]) == sorted(drawn[1]), "the audit share is drawn as if nothing had drifted"
    for pick in world.rounds.files[1].picks:
        assert world.pool.table[pick.key].pick == pick


def test_what_drifted_to_another_model_is_not_taken() -> None:
    world = World(300)
    world.drift(10, version=2)

    assert world.rank().exported == 20
    assert world.by_drift(1) == []


def test_new_bytes_of_what_drifted_have_not_drifted() -> None:
    world = World(300)
    world.drift(2)
    world.pool.put_score(ImageRef("0000.png", "newer", "2", 10), prediction(500, 1))

    world.rank()

    assert world.by_drift(1) == ["0001.png"]


def test_tasks_carry_the_prediction_of_the_model_that_scored_them() -> None:
    world = World(300)

    world.rank()

    round_ = world.rounds.read(1)
    assert round_ is not None
    blind = {pick.key for pick in round_.picks if pick.blind}
    assert {pick.key for pick in round_.picks if pick.audit} < blind
    assert len(blind) == 8, "as many others as there are audit images"
    for task in world.labeler.tasks.values():
        if task.key in blind:
            assert (task.label, task.confidence) == (None, None)
            continue
        scored = world.pool.table[task.key].prediction
        assert scored is not None
        assert scored.probabilities is not None
        assert task.label == CLASSES[int(scored.probabilities.argmax())]
        assert task.confidence == pytest.approx(float(scored.probabilities.max()))
    assert world.labeler.model_version == "v1"


def test_every_task_carries_a_prediction_under_the_old_rule() -> None:
    world = World(300)
    choose = world.rank.choose
    world.rank = replace(world.rank, choose=replace(choose, rules=replace(choose.rules, blind=False)))

    world.rank()

    assert all(task.label for task in world.labeler.tasks.values())
    assert not any(row.pick.blind for row in world.pool.table.values() if row.pick)


def test_a_cold_start_has_no_prediction_to_show() -> None:
    world = World(100, version=0)

    world.rank()

    assert {task.label for task in world.labeler.tasks.values()} == {None}
    assert world.labeler.model_version == ""


def test_no_new_round_while_annotators_are_behind() -> None:
    world = World(300)
    world.rank()

    report = world.rank()

    assert report.round_number == 0
    assert "wait for an annotator" in report.reason
    assert len(world.labeler.tasks) == 20


def test_the_next_round_takes_other_images() -> None:
    world = World(300)
    world.rank()
    world.labeler.answered = set(world.labeler.tasks)

    report = world.rank()

    assert report.round_number == 2
    keys = [task.key for task in world.labeler.tasks.values()]
    assert len(set(keys)) == 40


def test_import_whose_answer_is_lost_is_not_repeated() -> None:
    world = World(300)
    world.labeler.lose_answers = 1

    with pytest.raises(ServiceUnavailable):
        world.rank()
    assert "another run is exporting round 1" in world.rank().reason, "Label Studio may still be importing"
    world.clock.time += EXPORT_SECONDS + 1
    report = world.rank()

    assert (report.round_number, report.exported, report.created) == (1, 20, 0)
    assert len(world.labeler.tasks) == 20
    assert world.pool.counts()[State.EXPORTED] == 20


@pytest.mark.parametrize("dies_after", range(1, 60, 7))
def test_rank_that_dies_anywhere_resumes_with_the_same_images(dies_after: int) -> None:
    calm = World(300)
    calm.drift(30)
    calm.rank()
    world = World(300)
    world.drift(30)
    calls = 0

    class Died(Exception):
        pass

    def dying(method):
        def call(*args):
            nonlocal calls
            calls += 1
            result = method(*args)
            if calls == dies_after:
                raise Died
            return result

        return call

    for target, names in (
        (world.rounds, ("begin", "close")),
        (world.pool, ("claim", "mark_exported")),
        (world.labeler, ("find", "create")),
        (world.predictions, ("version", "show")),
    ):
        for name in names:
            setattr(target, name, dying(getattr(target, name)))

    try:
        world.rank()
    except Died:
        world.clock.time += EXPORT_SECONDS + 1
        world.rank()

    expected = {pick.key for pick in calm.rounds.files[1].picks}
    assert {pick.key for pick in world.rounds.files[1].picks} == expected
    exported = [task.key for task in world.labeler.tasks.values()]
    assert sorted(exported) == sorted(expected)


def test_two_ranks_at_once_export_one_round() -> None:
    world = World(300)
    chosen = world.rank.choose(world.champions.pointer()[0])
    world.rank()

    # the slower of two runs: it chose before the other one began
    stored = world.rounds.begin(chosen)
    world.rank._export(stored)

    assert len(world.labeler.tasks) == 20


def test_a_rank_in_the_middle_of_anothers_export_creates_nothing() -> None:
    world = World(300)
    create, reasons = world.labeler.create, []

    def slowly(tasks: Sequence[Task]) -> dict[str, int]:
        reasons.append(world.rank().reason)
        return create(tasks)

    world.labeler.create = slowly

    assert world.rank().created == 20
    assert "another run is exporting round 1" in reasons[0]
    assert len(world.labeler.tasks) == 20


def test_failure_before_sending_is_retried_at_once() -> None:
    world = World(300)
    find = world.labeler.find

    def down(etags: Mapping[str, str]) -> dict[str, int]:
        raise ServiceUnavailable("Label Studio does not answer")

    world.labeler.find = down
    with pytest.raises(ServiceUnavailable):
        world.rank()
    world.labeler.find = find

    assert world.rank().created == 20


def test_new_bytes_of_an_image_get_their_own_task() -> None:
    world = World(20)
    world.rank()
    world.labeler.answered = set(world.labeler.tasks)
    world.pool.put_score(ImageRef("0000.png", "newer", "2", 10), prediction(0, 1))

    report = world.rank()

    assert (report.exported, report.created) == (1, 1)
    assert [task.etag for task in world.labeler.tasks.values() if task.key == "0000.png"] == [
        "etag0",
        "newer",
    ]


def test_model_version_is_set_even_when_tasks_exist() -> None:
    world = World(300)
    world.labeler.lose_answers = 1
    with pytest.raises(ServiceUnavailable):
        world.rank()
    world.clock.time += EXPORT_SECONDS + 1
    world.rank()

    assert world.labeler.model_version == "v1"


def test_an_empty_pool_is_said_plainly() -> None:
    report = World(0).rank()

    assert report.exported == 0
    assert "no image can be selected" in report.reason


def test_a_small_pool_gives_a_small_round() -> None:
    world = World(7)

    assert world.rank().exported == 7


def test_changed_strategy_waits_until_the_pool_is_reordered() -> None:
    world = World(300)
    world.rescoring.order[3] = "entropy"
    del world.rescoring.order[5]

    report = world.rank()

    assert report.exported == 0
    assert report.reason == "the pool is being reordered for margin_diverse: 2 shards to go"
    assert len(world.queue) == 2
    world.rescoring.order = dict.fromkeys(range(SHARDS), "margin")
    assert world.rank().exported == 20


def test_a_cold_start_needs_no_order() -> None:
    world = World(300, version=0)
    world.rescoring.order.clear()

    assert world.rank().exported == 20
    assert world.queue == []


def skip(world: World, *tasks: int) -> None:
    for id_ in tasks:
        skipped = AnnotationBody(id=id_, unique_id=f"u{id_}", task=id_, was_cancelled=True)
        world.labeler.annotate(id_, skipped)


def test_a_round_that_was_skipped_holds_up_nothing() -> None:
    world = World(300)
    world.rank()
    skip(world, *world.labeler.tasks)

    report = world.rank()

    assert (report.round_number, report.exported) == (2, 20)
    assert report.tasks == TaskCounts(skipped=20)
    assert len({task.key for task in world.labeler.tasks.values()}) == 40, (
        "what was skipped is not offered anew"
    )


def test_tasks_that_are_not_ours_are_counted_and_block_nothing() -> None:
    world = World(300)
    for id_ in range(1, 41):
        world.labeler.tasks[id_] = Task("", "", f"s3://images/{id_}.png", None, None)
    world.labeler.annotate(3, AnnotationBody(id=1, unique_id="u", task=3))

    report = world.rank()

    assert report.exported == 20
    assert report.tasks == TaskCounts(not_ours=40, not_ours_answered=1)


def test_tasks_of_images_outside_the_pool_block_nothing() -> None:
    world = World(300)
    for id_ in range(1, 41):
        world.labeler.tasks[id_] = Task(f"{id_}.png", "of an earlier deployment", "s3://b/x.png", None, None)

    assert world.rank().exported == 20
    assert [task.id for task in world.rank.open_tasks.not_ours(3)] == [1, 2, 3]
    assert world.rank().reason == "60 tasks still wait for an annotator"


def test_unanswered_round_blocks_nothing_after_some_days() -> None:
    world = World(300)
    world.rank()
    world.clock.time += 14 * 86400 - 60
    assert world.rank().exported == 0
    world.clock.time += 120

    report = world.rank()

    assert report.exported == 20
    assert report.tasks == TaskCounts(abandoned=20)
    assert world.rank().exported == 0, "the new round is not abandoned"


def shown(world: World) -> dict[int, list[str]]:
    """Return the versions of every task's predictions."""
    return {id_: [version for version, _ in shown] for id_, shown in world.labeler.predictions.items()}


def test_open_tasks_get_the_predictions_of_a_promoted_model() -> None:
    world = World(300)
    world.rank()
    blind = [task for task, shown in world.labeler.predictions.items() if not shown]
    answered, skipped, replaced, *others = world.labeler.predictions.keys() - blind
    world.labeler.annotate(answered, AnnotationBody(id=1, unique_id="u", task=answered))
    skip(world, skipped)
    world.pool.table[world.labeler.tasks[replaced].key].etag = "newer bytes"
    world.promote(2)

    report = world.rank()

    after = shown(world)
    new = [task for task in after if task > 20 and after[task]]
    assert (report.created, report.refreshed) == (20, len(others) + 1 + len(new)), "version 1 chose the new"
    assert world.labeler.model_version == "v2"
    assert (after[answered], after[replaced]) == (["v1"], ["v1"])
    assert [after[task] for task in blind] == [[]] * len(blind), "what is to show no prediction gets none"
    assert blind
    assert {tuple(after[task]) for task in (skipped, *others, *new)} == {("v1", "v2")}
    assert {label for shown in world.labeler.predictions.values() for _, label in shown[1:]} == {CLASSES[2]}
    assert world.rank().refreshed == 0


@pytest.mark.parametrize("back", [False, True])
def test_no_task_gets_a_version_s_prediction_twice(back: bool) -> None:
    world = World(300)
    world.rank()
    world.promote(2)
    world.predictions.lose_answers = 1
    with pytest.raises(ServiceUnavailable):
        world.rank()
    assert world.labeler.model_version == "v1"
    assert world.rank().refreshed == 0, "Label Studio may still be adding"
    if back:
        world.promote(1)
    world.clock.time += EXPORT_SECONDS + 1

    assert world.rank().refreshed == 0
    assert world.labeler.model_version == ("v1" if back else "v2")
    assert set(map(tuple, shown(world).values())) == {("v1", "v2"), ()}


def test_model_without_predicted_tasks_is_shown_with_its_first_round() -> None:
    world = World(300)
    world.rank()
    world.labeler.answered = set(world.labeler.tasks)
    for task in world.labeler.tasks:
        world.labeler.annotate(task, AnnotationBody(id=task, unique_id=f"u{task}", task=task))
    world.promote(2)
    assert world.rank.refresh() == 0
    assert world.labeler.model_version == "v1"

    assert world.rank().exported == 20
    assert world.labeler.model_version == "v2"


def test_an_added_class_has_a_share_until_it_has_labels() -> None:
    world = World(300)
    history = ClassHistory(CLASSES).add(["new"], 1.0)
    labels: dict[str, int] = {}
    rules = replace(world.rank.choose.rules, class_share=0.2)
    choose = replace(world.rank.choose, rules=rules, history=lambda: history, class_labels=lambda: labels)
    pointer = world.champions.pointer()[0]

    picks = choose(pointer).picks
    assert sum(pick.strategy == "new-class" for pick in picks) == 4
    assert sum(pick.audit for pick in picks) == 4

    labels["new"] = 20
    assert {pick.strategy for pick in choose(pointer).picks} == {"random", "margin_diverse"}


def test_predictions_name_the_classes_of_today() -> None:
    world = World(40)
    history = ClassHistory(CLASSES).rename(CLASSES[0], "first", 1.0).merge(CLASSES[1:], "others", 2.0)
    world.rank = replace(world.rank, history=lambda: history)
    world.rank()
    labels = {task.label for task in world.labeler.tasks.values() if task.label}
    assert labels == {"first", "others"}
    confidences = [task.confidence for task in world.labeler.tasks.values() if task.confidence]
    assert min(confidences) >= 0.499, "the parts of a merged class are added"
