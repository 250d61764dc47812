from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.images import FakeBacklog
from fakes.training import FakePlatform
from fakes.world import FakeWorld

from octospoon.adapters.label_studio.choices import choice
from octospoon.adapters.label_studio.single_choice import SingleChoice
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import Round, Task
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, State, StoredObject
from octospoon.domain.training.jobs import Fate
from octospoon.domain.training.policy import TrainingRules
from octospoon.ports.labelling import AnnotationBody
from octospoon.usecases import full_audit as full_audit
from octospoon.usecases import reconcile as reconcile_
from octospoon.usecases.give_up_lost_job import GiveUpLostJob
from octospoon.usecases.reconcile import BUDGET, FULL_EVERY, OVERLAP
from octospoon.usecases.reconcile_report import ReconcileReport

CLASSES = ("cat", "dog")
IMAGES = 10


class World(FakeWorld):
    def __init__(self, threshold: int = 100, images: int = IMAGES) -> None:
        super().__init__()
        self.alias.named = 1
        for task in range(1, images + 1):
            key, etag = f"{task}.png", f"e{task}"
            self.export(key, etag, task)
            self.labeler.tasks[task] = Task(key, etag, f"s3://b/{key}", None, None)
            self.bucket.objects[key] = StoredObject(key, etag, 1, 0.0)
        self.collect = self.build_collect(CLASSES, TrainingRules(threshold), SingleChoice().read)
        self.stores = self.build_stores()
        self.reconcile = self.build_reconcile(self.stores, self.collect)

    def with_classes(self, *classes: str) -> None:
        """Deploy the functions with other classes."""
        self.collect = replace(self.collect, history=lambda: ClassHistory(classes))
        self.reconcile = replace(self.reconcile, collect=self.collect)

    def annotate(self, *tasks: int, label: str | None = "cat", version: int = 1) -> None:
        for task in tasks:
            self.labeler.annotate(task, body(task, label, version=version))

    def state(self, task: int) -> State:
        return self.pool.table[f"{task}.png"].state

    def everything(self) -> object:
        labels = {key: row.label for key, row in self.pool.table.items()}
        return dict(self.labels.stored), self.control.state(), labels


def body(task: int, label: str | None = "cat", *, annotator: int = 1, version: int = 1) -> AnnotationBody:
    return AnnotationBody(
        id=100 * annotator + task,
        unique_id=f"u{annotator}-{task}",
        updated_at=f"2026-01-01T00:00:{version:02d}.000000Z",
        task=task,
        completed_by=annotator,
        was_cancelled=label is None,
        result=[] if label is None else [choice(label)],
    )


def test_round_without_webhooks_is_counted_and_launches_one_job() -> None:
    world = World(threshold=IMAGES)
    world.annotate(*range(1, IMAGES + 1))

    first, second = world.reconcile(), world.reconcile()

    assert first == ReconcileReport(IMAGES, IMAGES, IMAGES, finished=True, audited=True, job="train-000001")
    assert (second.annotations, second.labels, second.job) == (0, 0, "")
    assert world.launcher.launched == ["train-000001"]
    assert world.control.state().new_labels == 0
    assert world.pool.table["1.png"].label == "cat"


def test_what_a_webhook_has_counted_is_left_as_it_is() -> None:
    world = World()
    world.annotate(1)
    world.labels.upsert(
        world.collect.annotation(body(1), world.labeler.changed(0, 0, 1)[0], world.labeler.name)
    )
    world.collect.resolve_label("1.png")
    world.control.keep_classes(CLASSES)
    before = world.everything()

    assert world.reconcile() == ReconcileReport(IMAGES, 0, 0, finished=True, audited=True)
    assert world.everything() == before


def test_a_run_in_the_middle_of_another_counts_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_, "PAGE", 3)
    world, calls = World(threshold=IMAGES), []
    world.annotate(*range(1, IMAGES + 1))
    listed = world.labeler.changed

    def changed(since: float, after: int, limit: int) -> list:
        tasks = listed(since, after, limit)
        calls.append(after)
        if len(calls) == 2:
            world.reconcile()
        return tasks

    monkeypatch.setattr(world.labeler, "changed", changed)

    report = world.reconcile()

    assert world.launcher.launched == ["train-000001"]
    assert len(list(world.labels.labelled())) == IMAGES
    assert world.control.state().new_labels == 0
    assert (report.tasks, report.job) == (6, "")  # the other run has gone on with the rest
    assert world.task_syncs.progress.finished


@pytest.mark.parametrize("dies_at", range(1, 6))
def test_a_run_that_dies_anywhere_is_resumed_from_its_page(
    monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    monkeypatch.setattr(reconcile_, "PAGE", 3)
    world, resolved = World(threshold=IMAGES), []
    world.annotate(*range(1, IMAGES + 1))
    resolve_label = world.labels.resolve_label

    def dying(*args: object) -> int:
        resolved.append(args[0])
        if len(resolved) == dies_at:
            raise ServiceUnavailable("throttled")
        return resolve_label(*args)

    monkeypatch.setattr(world.labels, "resolve_label", dying)
    with pytest.raises(ServiceUnavailable):
        world.reconcile()
    assert world.task_syncs.progress.position == 3 * ((dies_at - 1) // 3)

    report = world.reconcile()

    assert report.tasks == IMAGES - 3 * ((dies_at - 1) // 3)
    assert len(list(world.labels.labelled())) == IMAGES
    assert world.launcher.launched == ["train-000001"]


def test_the_cursor_stays_where_label_studio_does_not_answer() -> None:
    world = World()
    world.reconcile()
    world.clock.time += 900
    world.labeler.down = True
    with pytest.raises(ServiceUnavailable):
        world.reconcile()
    world.annotate(3)
    world.clock.time += 900
    world.labeler.down = False

    assert (world.reconcile().labels, world.state(3)) == (1, State.LABELLED)


def test_only_changed_tasks_are_looked_at_with_an_overlap() -> None:
    world = World()
    world.reconcile()
    began = world.clock.time
    world.clock.time += 900
    world.annotate(2)

    report = world.reconcile()

    assert (report.tasks, report.labels) == (1, 1)
    assert world.labeler.calls[-1] == (began - OVERLAP, 2)


@pytest.mark.parametrize(("full", "later"), [(True, 60.0), (False, FULL_EVERY)])
def test_every_task_is_checked_on_request_and_daily(full: bool, later: float) -> None:
    world = World()
    world.annotate(1)
    world.reconcile()
    world.labels.stored.clear()
    world.clock.time += later

    assert world.reconcile(full=full).tasks == IMAGES
    assert len(world.labels.stored) == 1


def test_annotation_counts_while_the_project_has_its_class() -> None:
    world = World()
    world.annotate(1, label="owl")
    world.reconcile()
    assert world.pool.table["1.png"].label is None

    world.clock.time += 3 * OVERLAP
    world.with_classes(*CLASSES, "owl")
    world.reconcile()
    assert world.pool.table["1.png"].label == "owl", "no task has changed, the classes have"

    world.clock.time += 3 * OVERLAP  # type: ignore[unreachable]
    world.with_classes(*CLASSES)
    world.reconcile()
    assert world.pool.table["1.png"].label is None


def test_request_for_every_task_restarts_a_task_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(reconcile_, "BUDGET", -1.0)
    assert not world.reconcile().finished
    monkeypatch.setattr(reconcile_, "BUDGET", BUDGET)
    world.clock.time += 1

    assert world.reconcile(full=True) == ReconcileReport(IMAGES, 0, 0, finished=True, audited=True)


def test_run_stops_at_its_budget_and_the_next_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_, "PAGE", 4)
    world = World()
    world.annotate(*range(1, IMAGES + 1))
    listed = world.labeler.changed

    def slow(since: float, after: int, limit: int) -> list:
        world.clock.time += BUDGET
        return listed(since, after, limit)

    monkeypatch.setattr(world.labeler, "changed", slow)

    reports = [world.reconcile() for _ in range(4)]

    assert [(report.tasks, report.finished) for report in reports] == [
        (4, False),
        (4, False),
        (2, False),
        (0, True),
    ]
    assert world.control.state().new_labels == IMAGES


def test_a_deletion_whose_webhook_was_lost_takes_the_label_back() -> None:
    world = World()
    world.annotate(1, 2)
    world.reconcile()
    world.labeler.annotate(1)

    report = world.reconcile()

    assert (report.annotations, report.labels) == (1, 1)
    assert (world.state(1), world.state(2)) == (State.EXPORTED, State.LABELLED)
    assert world.control.state().new_labels == 1
    assert world.reconcile().annotations == 0


def test_annotation_newer_than_the_page_is_not_considered_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    page = world.labeler.changed(0, 0, 1)
    world.annotate(1)
    world.labels.upsert(world.collect.annotation(body(1), page[0], world.labeler.name))
    monkeypatch.setattr(world.labeler, "changed", lambda since, after, limit: [] if after else page)

    world.reconcile()

    assert world.state(1) is State.LABELLED
    assert not world.labels.stored["1.png", "u1-1"].deleted


def test_second_task_of_an_image_keeps_the_firsts_annotations() -> None:
    world = World()
    world.labeler.tasks[IMAGES + 1] = world.labeler.tasks[1]
    world.annotate(1)

    assert (world.reconcile().labels, world.reconcile().annotations) == (1, 0)
    assert world.state(1) is State.LABELLED


def test_a_changed_mind_a_skip_and_a_task_not_ours() -> None:
    world = World()
    world.annotate(1, 2)
    world.labeler.tasks[IMAGES + 1] = Task("", "", "x", None, None)
    world.annotate(IMAGES + 1)
    world.reconcile()
    world.annotate(1, label="dog", version=2)
    world.annotate(2, 3, label=None, version=2)

    report = world.reconcile()

    assert (report.annotations, report.labels) == (3, 1)
    assert (world.pool.table["1.png"].label, world.state(2), world.state(3)) == (
        "dog",
        State.EXPORTED,
        State.EXPORTED,
    )


def test_an_image_that_changes_meanwhile_is_settled_again() -> None:
    world = World()
    world.annotate(1)
    world.labels.conflicts = 2

    assert world.reconcile().labels == 1


def test_a_label_that_was_stored_but_never_settled_is_settled() -> None:
    world = World()
    world.annotate(1)
    world.labels.upsert(
        world.collect.annotation(body(1), world.labeler.changed(0, 0, 1)[0], world.labeler.name)
    )

    assert world.reconcile() == ReconcileReport(IMAGES, 0, 1, finished=True, audited=True)


@pytest.mark.parametrize("version", [1, 2])
def test_an_annotation_that_was_taken_for_deleted_comes_back(version: int) -> None:
    world = World()
    world.annotate(1)
    world.reconcile()
    (stored,) = world.labels.of("1.png")
    world.labels.upsert(replace(stored, deleted=True))
    world.collect.resolve_label("1.png")
    assert world.state(1) is State.EXPORTED
    world.annotate(1, version=version)

    report = world.reconcile(full=True)

    assert (report.annotations, report.labels, world.state(1)) == (1, 1, State.LABELLED)
    assert world.reconcile(full=True).annotations == 0


def test_deleting_a_task_deletes_annotations_and_frees_its_image() -> None:
    world = World()
    world.annotate(1, 2)
    world.reconcile()
    for task in (1, 3):
        del world.labeler.tasks[task]
    world.labeler.annotations.pop(1)

    assert world.reconcile().annotations == 0, "it leaves no trace among the changed ones"
    report = world.reconcile(full=True)

    assert (report.annotations, report.labels, report.released) == (1, 1, 2)
    assert [world.state(i) for i in (1, 2, 3)] == [State.SCORED, State.LABELLED, State.SCORED]
    assert world.control.state().new_labels == 1


def test_second_task_is_deleted_only_when_unanswered() -> None:
    world = World()
    for extra in (1, 2, 3):
        world.labeler.tasks[IMAGES + extra] = world.labeler.tasks[extra]
    world.annotate(IMAGES + 1, 2, IMAGES + 2)

    report = world.reconcile()

    assert report.duplicates == 2
    assert not {1, IMAGES + 3} & world.labeler.tasks.keys()
    assert {2, 3, IMAGES + 1, IMAGES + 2} <= world.labeler.tasks.keys()
    assert world.control.state().new_labels == 2


def test_task_of_older_bytes_is_deleted_and_its_answers_ignored() -> None:
    world = World()
    world.annotate(2)
    for i in (1, 2):
        world.pool.put_score(ImageRef(f"{i}.png", "newer", "2", 1), world.pool.table["3.png"].prediction)
        world.bucket.objects[f"{i}.png"] = StoredObject(f"{i}.png", "newer", 1, 0.0)

    report = world.reconcile()

    assert (report.duplicates, report.labels) == (1, 0)
    assert 1 not in world.labeler.tasks
    assert 2 in world.labeler.tasks
    assert (world.state(1), world.state(2)) == (State.SCORED, State.SCORED)


def test_expired_claim_returns_to_the_pool_unless_its_task_exists() -> None:
    world = World()
    picks = tuple(world.pool.table[f"{i}.png"].pick for i in (1, 2, 3))
    world.rounds.begin(Round(1, "2026-01-01", 1, picks))
    for i, until in ((1, 1.0), (2, 1.0), (3, 2e9)):
        world.pool.claim(world.pool.table[f"{i}.png"].pick, 1, until)
    del world.labeler.tasks[1]

    report = world.reconcile()

    assert (report.released, report.adopted) == (1, 1)
    assert [world.state(i) for i in (1, 2, 3)] == [State.SCORED, State.EXPORTED, State.CLAIMED]


def test_object_whose_etag_is_not_its_identity_is_queued_once() -> None:
    world = World()
    row, long_ago = world.pool.table["1.png"], world.clock.time - 3600
    world.bucket.objects["1.png"] = StoredObject("1.png", "md5-of-parts-2", 5, long_ago)

    assert world.reconcile(full=True).requeued == 1
    (sent,) = world.uploads.sent
    read = replace(sent, etag=row.etag, object_etag=sent.etag)
    world.pool.note_upload(read)

    assert world.reconcile(full=True).requeued == 0
    assert row.object_etag == "md5-of-parts-2"


def test_archived_object_is_queued_when_restored_but_folder_markers_never() -> None:
    world = World()
    long_ago = world.clock.time - 3600
    archived = StoredObject("cold.png", "c", 5, long_ago, archived=True)
    world.bucket.objects |= {"cold.png": archived, "folder/": StoredObject("folder/", "f", 0, long_ago)}

    assert world.reconcile(full=True).requeued == 1
    world.pool.put_quarantine(world.uploads.sent.pop(), "archived", "")
    assert world.reconcile(full=True).requeued == 0
    world.bucket.objects["cold.png"] = replace(archived, archived=False)
    assert world.reconcile(full=True).requeued == 1
    assert [upload.key for upload in world.uploads.sent] == ["cold.png"]


def test_image_that_nobody_can_see_is_withdrawn_with_a_reason() -> None:
    world = World()
    world.bucket.objects["1.png"] = replace(world.bucket.objects["1.png"], archived=True)
    row = world.pool.table.pop("2.png")
    world.pool.table["photo?"], world.labeler.tasks[2] = row, replace(world.labeler.tasks[2], key="photo?")
    world.bucket.objects["photo?"] = StoredObject("photo?", row.etag, 5, world.clock.time)

    assert world.reconcile(full=True).withdrawn == 2
    assert (world.pool.table["1.png"].reason, row.reason) == ("archived", "key-not-shown")
    assert world.reconcile().duplicates == 0
    assert {1, 2}.isdisjoint(world.labeler.tasks), "nobody answers for an image that is not seen"


def test_what_an_existing_bucket_held_is_left_to_a_backfill() -> None:
    world = World()
    backlog, began = FakeBacklog(), world.clock.time
    stores = replace(world.stores, backlog=backlog)
    reconcile = world.build_reconcile(stores, world.collect)
    for key, modified in (("old.png", began - 9000), ("new.png", began + 10)):
        world.bucket.objects[key] = StoredObject(key, "e", 5, modified)
    world.bucket.objects["1.png"] = StoredObject("1.png", "newer", 5, began - 9000)
    reconcile(full=True)
    assert [image.key for image in world.uploads.sent] == ["1.png"]

    world.clock.time += 3600  # the event of a new object was lost
    reconcile(full=True)
    assert [image.key for image in world.uploads.sent[1:]] == ["1.png", "new.png"]

    backlog.reach(0.0)
    reconcile(full=True)
    assert [image.key for image in world.uploads.sent[3:]] == ["1.png", "new.png", "old.png"]


def test_unscored_object_is_queued_after_its_grace_period() -> None:
    world = World()
    now = world.clock.time
    for key, etag, modified in (
        ("new.png", "n", now),
        ("lost.png", "l", now - 3600),
        ("1.png", "newer", now - 3600),
    ):
        world.bucket.objects[key] = StoredObject(key, etag, 5, modified)

    assert world.reconcile(full=True).requeued == 2
    assert world.uploads.sent == [ImageRef("1.png", "newer", "1", 5), ImageRef("lost.png", "l", "", 5)]
    assert world.pool.put_score(world.uploads.sent[0], world.pool.table["2.png"].prediction)


def test_image_without_its_object_is_withdrawn_unless_labelled() -> None:
    world = World()
    world.annotate(2)
    world.reconcile()
    world.labeler.tasks.pop(3)
    for i in (1, 2):
        del world.bucket.objects[f"{i}.png"]

    report = world.reconcile(full=True)

    assert (report.withdrawn, report.duplicates, report.released) == (1, 1, 1)
    assert (world.state(1), world.state(2)) == (State.QUARANTINED, State.LABELLED)
    assert world.pool.quarantined(9) == [("1.png", "gone", "there is no such object")]
    assert 1 not in world.labeler.tasks


def test_an_alias_that_was_left_behind_is_brought_along() -> None:
    world = World()
    world.champions.set(pointer(2))

    assert world.reconcile().models == 0
    assert world.alias.named == 2


def test_version_chosen_in_the_registry_goes_into_service() -> None:
    world = World()
    for version in (1, 2):
        world.champions.keep(pointer(version, head=""))
    world.champions.files["a" * 64] = b"model"
    world.champions.set(pointer(2, head=""))
    world.reconcile()

    world.alias.named = 1

    assert world.reconcile().models == 1
    assert world.champions.current is not None
    assert world.champions.current.version == 1
    assert world.reconcile().models == 0


def test_version_deleted_from_the_registry_is_reported_without_failure() -> None:
    world = World()
    world.champions.set(pointer(2))
    world.alias.named, world.alias.deleted = None, {2}
    world.bucket.objects["lost.png"] = StoredObject("lost.png", "l", 5, 0.0)

    report = world.reconcile(full=True)

    assert (report.at_odds, report.models, report.requeued) == (1, 0, 1)


def test_one_step_that_fails_keeps_no_other_from_being_done() -> None:
    world = World()
    world.labeler.down = True
    world.champions.set(pointer(2))
    world.bucket.objects["lost.png"] = StoredObject("lost.png", "l", 5, 0.0)

    with pytest.raises(ServiceUnavailable):
        world.reconcile(full=True)

    assert world.alias.named == 2
    assert [upload.key for upload in world.uploads.sent] == ["lost.png"]


@pytest.mark.parametrize("dies_at", range(1, 4))
def test_a_full_audit_goes_on_from_its_page(monkeypatch: pytest.MonkeyPatch, dies_at: int) -> None:
    monkeypatch.setattr(full_audit, "OBJECTS", 3)
    world = World()
    for i in range(9):
        world.bucket.objects[f"lost{i}.png"] = StoredObject(f"lost{i}.png", "l", 5, 0.0)
    listing, calls = world.bucket.listing, []

    def dying(after: str, limit: int) -> list[StoredObject]:
        calls.append(after)
        if len(calls) == dies_at:
            raise ServiceUnavailable("throttled")
        return listing(after, limit)

    monkeypatch.setattr(world.bucket, "listing", dying)
    with pytest.raises(ServiceUnavailable):
        world.reconcile()
    assert world.reconcile().audited
    assert sorted(upload.key for upload in world.uploads.sent) == [f"lost{i}.png" for i in range(9)]


def pointer(version: int, head: str = "h") -> ChampionPointer:
    return ChampionPointer(version, "a" * 64, "m", "b" * 64, head, "c" * 64 if head else "", CLASSES)


def test_each_run_asks_the_platform_what_became_of_the_job() -> None:
    world = World(threshold=1)
    platform = FakePlatform({"train-000001": Fate(over=True, text="no such image")})
    lost_job = GiveUpLostJob(world.control, platform, world.clock)
    world.reconcile = replace(world.reconcile, collect=replace(world.collect, lost_job=lost_job))
    world.annotate(1)
    assert world.reconcile().job == "train-000001"

    assert world.reconcile().lost_jobs == 1
    world.clock.time += 1
    assert world.reconcile().job == "train-000002"
    assert world.control.state().reason == "job train-000001 failed: it ended while launching: no such image"


def test_lost_job_is_relaunched_even_while_label_studio_is_down() -> None:
    world = World(threshold=1)
    world.annotate(1)
    assert world.reconcile().job == "train-000001"
    world.clock.time += 10_000
    world.labeler.down = True

    with pytest.raises(ServiceUnavailable):
        world.reconcile()

    assert world.launcher.launched == ["train-000001", "train-000002"]


def test_uncounted_answers_are_reported_and_reread_under_new_classes() -> None:
    world = World()
    world.annotate(1, label="owl")
    row = world.pool.table.pop("2.png")
    world.annotate(2)

    first, second = world.reconcile(full=True), world.reconcile(full=True)

    assert (first.annotations, first.uncounted, first.unknown_classes) == (2, 2, 1)
    assert (second.annotations, second.uncounted) == (0, 2), "nothing to repair again"
    world.pool.table["2.png"] = row
    world.with_classes(*CLASSES, "owl")
    third = world.reconcile(full=True)
    assert (third.uncounted, third.labels) == (0, 2)
    assert (world.pool.table["1.png"].label, row.label) == ("owl", "cat")
