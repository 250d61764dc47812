from __future__ import annotations

import itertools
import json
from dataclasses import replace

import msgspec
import pytest
from fakes.world import FakeWorld

from octospoon.adapters.label_studio.rectangle_labels import RectangleLabels
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.errors import BadRequest, ServiceUnavailable
from octospoon.domain.labelling.answers import NO_CLASS, NOT_IN_POOL, SEVERAL_CLASSES, UNKNOWN_CLASS
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.pool.images import State
from octospoon.domain.training.jobs import JobSettings, JobStatus
from octospoon.domain.training.policy import TrainingRules
from octospoon.ports.labelling import AnnotationBody, Message, TaskBody

CLASSES = ("cat", "dog")


class World(FakeWorld):
    def __init__(self, images: int = 10, threshold: int = 3) -> None:
        super().__init__()
        for i in range(images):
            self.export(f"{i}.png", f"e{i}", task=i)
        self.collect = self.build_collect(CLASSES, TrainingRules(threshold), SingleChoice().read)


def test_job_carries_its_settings_and_the_projects_classes() -> None:
    world = World(threshold=1)
    world.collect(message(1))
    state = world.control.state()
    assert state.settings == JobSettings(CLASSES)
    assert state.project_classes == CLASSES


def test_parts_of_an_answer_that_are_no_label_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    world, told = World(threshold=100), []
    world.collect = replace(world.collect, left_out=told.append)
    world.collect(message(1))
    assert told == []

    parsed = msgspec.json.decode(message(2), type=Message)
    body = msgspec.structs.replace(parsed.annotations[0], left_out=3)
    skipped = msgspec.structs.replace(body, id=99, unique_id="99", was_cancelled=True)
    world.collect(msgspec.json.encode(msgspec.structs.replace(parsed, annotations=[body, skipped])).decode())

    assert told == [3], "a skipped task has no answer"
    assert world.pool.table["2.png"].label == "cat"
    assert "3 parts of annotation" in caplog.text


def test_a_class_that_was_removed_stops_counting() -> None:
    world = World(threshold=100)
    world.collect(message(1, "dog"))
    assert world.control.state().new_labels == 1
    world.collect = replace(world.collect, history=lambda: ClassHistory(("cat", "owl")))
    world.collect.resolve_label("1.png")
    assert world.pool.table["1.png"].label is None
    assert world.control.state().new_labels == 0


def test_changed_classes_start_the_requested_job_at_once() -> None:
    world = World(threshold=1)
    world.collect(message(1))
    job = world.control.state().job_id
    world.control.start(job, world.clock.now() + 60)
    world.control.finish(job, "promoted")
    world.control.request("the classes changed")
    assert world.collect.launch_if_due() is None, "the same labels would give the same model"

    world.collect = replace(world.collect, history=lambda: ClassHistory(("cat", "hound")))

    assert world.collect.launch_if_due() not in (None, job)


def choice(*names: str) -> list[dict]:
    return [{"type": "choices", "from_name": "label", "to_name": "image", "value": {"choices": list(names)}}]


def message(
    image: int,
    label: str | None = "cat",
    *,
    action: str = "ANNOTATION_CREATED",
    annotator: int = 1,
    updated: int = 1,
) -> str:
    body = AnnotationBody(
        id=100 * annotator + image,
        unique_id=f"u{annotator}-{image}",
        updated_at=f"2026-01-01T00:00:{updated:02d}.000000Z",
        task=image,
        completed_by=annotator,
        was_cancelled=label is None,
        result=[] if label is None else choice(label),
    )
    tasks = [TaskBody(image, {"key": f"{image}.png", "etag": f"e{image}", "image": "s3://b/k"})]
    return msgspec.json.encode(Message(action, 1, [body], tasks)).decode()


def deleted(image: int, annotator: int = 1, made: str = "") -> str:
    body = AnnotationBody(id=100 * annotator + image)
    return msgspec.json.encode(Message("ANNOTATIONS_DELETED", 1, [body], [], made)).decode()


def test_the_threshold_launches_one_job() -> None:
    world = World()

    launched = [world.collect(message(i)) for i in range(4)]

    assert launched == [None, None, "train-000001", None]
    assert world.launcher.launched == ["train-000001"]
    state = world.control.state()
    assert (state.status, state.new_labels) == (JobStatus.LAUNCHING, 1)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_image_counts_once_for_any_order_and_number_of_deliveries(order: tuple[int, ...]) -> None:
    world = World(threshold=100)
    events = [
        message(0, "cat", updated=1),
        message(0, "dog", action="ANNOTATION_UPDATED", updated=2),
        message(0, "dog", action="ANNOTATION_UPDATED", updated=2),
        message(0, "cat", updated=1),
    ]

    for i in order:
        world.collect(events[i])

    assert world.control.state().new_labels == 1
    assert world.pool.table["0.png"].label == "dog"


def test_a_skip_does_not_count() -> None:
    world = World(threshold=1)

    assert world.collect(message(0, None)) is None
    assert world.control.state().new_labels == 0
    assert world.pool.table["0.png"].state is State.EXPORTED


def test_deletion_subtracts_and_an_old_event_does_not_restore_it() -> None:
    world = World(threshold=100)
    world.collect(message(0))

    world.collect(deleted(0))
    world.collect(message(0))

    assert world.control.state().new_labels == 0
    assert world.pool.table["0.png"].label is None


def test_failed_launch_returns_the_labels_and_is_retried() -> None:
    world = World(threshold=2)
    world.collect(message(0))
    world.launcher.down = True

    with pytest.raises(ServiceUnavailable):
        world.collect(message(1))
    assert world.control.state().new_labels == 2

    world.launcher.down = False
    assert world.collect(message(1)) == "train-000002"
    assert world.control.state().new_labels == 0


def test_refused_launch_says_why_and_gives_labels_back(caplog: pytest.LogCaptureFixture) -> None:
    world = World(threshold=2)
    world.collect(message(0))
    world.launcher.refuses = "AccessDenied: no ecs:RunTask"

    assert world.collect(message(1)) is None, "the annotation is counted: its message must not come again"
    state = world.control.state()
    assert (state.status, state.new_labels) == (JobStatus.FAILED, 2)
    assert state.reason == "it could not be started: AccessDenied: no ecs:RunTask"
    assert "no ecs:RunTask" in caplog.text

    for image in range(2, 9):
        world.collect(message(image))
    assert world.control.state().jobs == 2, "one more try at once, then a pause"
    assert world.control.state().lost_in_a_row() == 2

    world.launcher.refuses = ""
    assert world.collect.launch_if_due(at_once=True) == "train-000003"
    assert world.control.state().new_labels == 0


def test_lost_job_whose_relaunch_is_refused_stays_due() -> None:
    world = World(threshold=1)
    world.collect(message(0))
    world.clock.time += 10_000
    world.launcher.refuses = "the subnet does not exist"
    assert world.collect.launch_if_due() is None

    world.launcher.refuses = ""
    world.clock.time += 10_000
    assert world.collect.launch_if_due() == "train-000003", "its labels are not forgotten"


def test_job_that_never_starts_is_launched_ever_more_rarely() -> None:
    world = World(threshold=1)
    world.collect(message(0))
    launch_times, days = [], 7
    for _ in range(days * 24 * 4):  # reconcile, every 15 minutes
        world.clock.time += 901
        if world.collect.launch_if_due():
            launch_times.append(world.clock.time)

    assert len(launch_times) <= 8 + 4 * days
    waits = [later - earlier for earlier, later in itertools.pairwise(launch_times)]
    assert waits[-1] >= 6 * 3600
    assert waits == sorted(waits), waits


def test_a_job_that_never_started_is_launched_anew() -> None:
    world = World(threshold=1)
    world.collect(message(0))
    world.clock.time += 10_000

    assert world.collect.launch_if_due() == "train-000002"


def test_labels_during_training_count_towards_the_next() -> None:
    world = World(threshold=2)
    world.collect(message(0))
    world.collect(message(1))
    world.control.start("train-000001", world.clock.now() + 100)

    assert world.collect(message(2)) is None
    assert world.collect(message(3)) is None
    world.control.finish("train-000001", "done")

    assert world.collect.launch_if_due() == "train-000002"


def test_other_project_deletes_only_its_own_annotation_of_that_number() -> None:
    world = World(threshold=5)
    first = msgspec.json.decode(message(1), type=Message)
    world.collect(msgspec.json.encode(msgspec.structs.replace(first, project_created_at="2026")).decode())

    world.collect(deleted(1, made="2027"))
    world.collect(deleted(1))
    assert world.control.state().new_labels == 1

    world.collect(deleted(1, made="2026"))
    assert world.control.state().new_labels == 0


def test_what_an_answer_lacks_is_kept_with_it() -> None:
    world = World()
    history = ClassHistory(("cat", "dog"))
    boxes = replace(world.collect, read=RectangleLabels().read, history=lambda: history)
    part = {"from_name": "label", "to_name": "image", "type": "rectanglelabels"}
    place = {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["cat"]}
    result = [part | {"value": place}, part | {"value": place | {"width": 0}}]
    body = AnnotationBody(id=1, unique_id="u", updated_at="2026", task=1, result=result)

    stored = boxes.annotation(body, TaskBody(1, {"key": "1.png", "etag": "e1"}))

    assert stored.label == '[["cat",0.1,0.2,0.4,0.6]]'
    assert (stored.problem, stored.note) == ("", "1 with a box that has no area")
    assert world.labels.upsert(stored)
    assert world.labels.of("1.png") == [stored]


def test_a_task_that_is_not_ours_is_passed_over() -> None:
    world = World(threshold=1)
    body = AnnotationBody(id=1, unique_id="u", updated_at="2026", task=5, result=choice("cat"))
    not_ours = Message("ANNOTATION_CREATED", 1, [body], [TaskBody(5, {"image": "x"})])

    assert world.collect(msgspec.json.encode(not_ours).decode()) is None


def test_a_message_that_is_not_ours_is_refused() -> None:
    with pytest.raises(BadRequest):
        World().collect(json.dumps({"hello": "world"}))


def test_annotations_of_a_deleted_account_are_voters_of_their_own() -> None:
    world = World()
    for annotator, label, updated in ((1, "dog", 1), (2, "cat", 2), (3, "cat", 3)):
        world.collect(message(0, label, annotator=annotator, updated=updated))
    for annotator, label, updated in ((2, "cat", 2), (3, "cat", 3)):
        body = msgspec.json.decode(message(0, label, annotator=annotator, updated=updated), type=Message)
        anonymous = msgspec.structs.replace(body.annotations[0], completed_by=None)
        stored = world.collect.annotation(anonymous, body.tasks[0])
        before = next(
            annotation
            for annotation in world.labels.of("0.png")
            if annotation.annotation_id == anonymous.unique_id
        )
        assert world.labels.replace(before, stored)

    world.collect.resolve_label("0.png")

    row = world.pool.table["0.png"]
    assert (row.label, row.annotators, round(row.agreement, 2)) == ("cat", 3, 0.67)


@pytest.mark.parametrize(
    ("result", "problem"),
    [([], NO_CLASS), ([choice("cat", "dog")[0]], SEVERAL_CLASSES), (choice("cow"), UNKNOWN_CLASS)],
)
def test_uncounted_answer_is_kept_with_its_reason_until_edited(result: list[dict], problem: str) -> None:
    world = World()
    body = msgspec.json.decode(message(0), type=Message)
    answer = msgspec.structs.replace(body.annotations[0], result=result)

    world.collect(msgspec.json.encode(msgspec.structs.replace(body, annotations=[answer])).decode())

    assert world.labels.uncounted(examples=1).counts[problem] == 1
    assert world.pool.table["0.png"].state is State.EXPORTED
    world.collect(message(0, "cat", action="ANNOTATION_UPDATED", updated=2))
    assert world.labels.uncounted(examples=1).total == 0
    assert world.pool.table["0.png"].label == "cat"


def test_a_skip_is_no_problem() -> None:
    world = World()
    world.collect(message(0, None))

    assert world.labels.uncounted(examples=1).total == 0


def test_answer_counts_as_soon_as_its_image_joins_the_pool() -> None:
    world = World()
    row = world.pool.table.pop("0.png")
    world.collect(message(0))
    assert world.labels.uncounted(examples=1).counts[NOT_IN_POOL] == 1

    world.pool.table["0.png"] = row
    world.collect(message(0))

    assert world.labels.uncounted(examples=1).total == 0
    assert row.label == "cat"


def test_votes_of_merged_classes_count_together_until_undone() -> None:
    world = World(threshold=100)
    history = ClassHistory(("cat", "kitten", "dog"))
    merged = history.merge(["kitten"], "cat", 1.0)
    for annotator, label in ((1, "dog"), (2, "kitten"), (3, "cat")):
        world.collect = replace(world.collect, history=lambda: merged)
        world.collect(message(1, label, annotator=annotator, updated=annotator))
    row = world.pool.table["1.png"]
    world.labels.classes = merged
    assert [image.label for image in world.labels.labelled()] == ["cat"]
    assert row.agreement == pytest.approx(2 / 3)
    assert row.annotators == 3

    world.labels.classes = undone = merged.undo(2.0)
    world.collect = replace(world.collect, history=lambda: undone)
    assert world.collect.resolve_label("1.png") == 0
    assert row.label == "dog"
    assert row.agreement == pytest.approx(1 / 3)
    assert world.control.state().new_labels == 1


def test_labels_of_a_retired_class_are_kept_and_come_back() -> None:
    world = World(threshold=100)
    world.collect(message(1, "dog"))
    retired = ClassHistory(("cat", "dog", "owl")).retire(["dog"], 1.0)
    world.collect = replace(world.collect, history=lambda: retired)
    world.labels.classes = retired
    assert world.collect.resolve_label("1.png") == 0
    assert list(world.labels.labelled()) == []
    world.collect(message(2, "dog"))
    assert world.pool.table["2.png"].state is State.LABELLED

    world.labels.classes = retired.undo(2.0)
    assert [image.label for image in world.labels.labelled()] == ["dog", "dog"]


def test_an_earlier_name_counts_for_the_renamed_class() -> None:
    world = World(threshold=100)
    history = ClassHistory(CLASSES).rename("dog", "hound", 1.0)
    world.collect = replace(world.collect, history=lambda: history)
    world.collect(message(1, "dog"))
    world.collect(message(2, "hound"))
    world.labels.classes = history
    assert [image.label for image in world.labels.labelled()] == ["hound", "hound"]
    world.labels.classes = history.undo(2.0)
    assert [image.label for image in world.labels.labelled()] == ["dog", "dog"]
