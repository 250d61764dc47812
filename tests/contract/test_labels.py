from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from contract.test_pool import image, pick, prediction
from octospoon.domain.errors import Conflict
from octospoon.domain.labelling.answers import NO_CLASS, NOT_IN_POOL, UNKNOWN_CLASS, UncountedAnswer
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation, Round
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import State
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.training.backbone_change import BackboneChange, Candidate, Stage
from octospoon.domain.training.jobs import JobSettings, JobStatus
from octospoon.usecases.resolve_label import ResolveLabel

if TYPE_CHECKING:
    from contract.conftest import Stores


def annotation(i: int, label: str | None = "cat", second: int = 1) -> Annotation:
    return Annotation(
        image(i).key, "e", f"u{i}", 100 + i, f"2026-01-01T00:00:{second:02d}.000000Z", "1", label
    )


def export(stores: Stores, i: int, *, audit: bool = False) -> None:
    stores.scoring.put_score(image(i), prediction(0.5))
    stores.ranking.claim(pick(i, audit=audit), 1, 99.0)
    stores.ranking.mark_exported(image(i).key, 1, i)


def resolve_label(
    stores: Stores, key: str, label: str | None, agreement: float = 1.0, annotators: int = 1
) -> int:
    standing = stores.labels.label_state(key)
    assert standing is not None
    agreed = Consensus(label, agreement, annotators) if label else Consensus(None, 0.0, 0)
    return stores.labels.resolve_label(standing, agreed)


def test_the_newest_version_of_an_annotation_wins(stores: Stores) -> None:
    assert stores.labels.upsert(annotation(1, "dog", 2))

    assert not stores.labels.upsert(annotation(1, "cat", 1))
    assert not stores.labels.upsert(annotation(1, "dog", 2))
    assert stores.labels.upsert(annotation(1, None, 3))
    assert stores.labels.of(image(1).key) == [annotation(1, None, 3)]
    assert stores.labels.find(101, "") == annotation(1, None, 3)
    assert stores.labels.find(5, "") is None
    assert stores.labels.find(101, "2 of 2026-01-01T00:00:00Z") is None


def test_what_an_answer_lacks_is_stored_with_it(stores: Stores) -> None:
    noted = replace(annotation(1), note="1 with a box that has no area")
    stores.labels.upsert(noted)
    stores.labels.upsert(annotation(2))

    assert stores.labels.find(101, "") == noted
    assert stores.labels.find(102, "") == annotation(2)


def test_annotations_of_one_number_are_told_apart_by_their_projects(stores: Stores) -> None:
    first = replace(annotation(1), project="1 of 2026")
    second = replace(annotation(2), number=first.number, project="1 of 2027")
    stores.labels.upsert(first)
    stores.labels.upsert(second)

    assert stores.labels.find(first.number, "1 of 2026") == first
    assert stores.labels.find(first.number, "1 of 2027") == second
    assert stores.labels.find(first.number, "") is None


def test_a_deletion_is_the_last_word(stores: Stores) -> None:
    stores.labels.upsert(annotation(1))

    assert stores.labels.upsert(replace(annotation(1), deleted=True))
    assert not stores.labels.upsert(annotation(1, "dog", 9))
    assert [stored.deleted for stored in stores.labels.of(image(1).key)] == [True]


def test_settling_counts_each_image_once(stores: Stores) -> None:
    export(stores, 1)
    key = image(1).key

    assert resolve_label(stores, key, "cat", 1.0, 1) == 1
    assert resolve_label(stores, key, "cat", 1.0, 1) == 0
    assert resolve_label(stores, key, "dog", 0.5, 2) == 0
    assert stores.control.state().new_labels == 1
    assert stores.pool.rows([key])[key].state is State.LABELLED
    assert resolve_label(stores, key, None, 0.0, 0) == -1
    assert stores.control.state().new_labels == 0
    assert stores.pool.rows([key])[key].state is State.EXPORTED


def test_what_is_not_there_or_in_quarantine_stands_nowhere(stores: Stores) -> None:
    stores.scoring.put_quarantine(image(1), "empty", "no bytes")

    assert stores.labels.label_state("missing") is None
    assert stores.labels.label_state(image(1).key) is None


def test_an_older_view_of_an_image_settles_nothing(stores: Stores) -> None:
    export(stores, 1)
    before = stores.labels.label_state(image(1).key)
    assert before is not None
    stores.labels.resolve_label(before, Consensus("cat", 0.6, 2))

    with pytest.raises(Conflict):
        stores.labels.resolve_label(before, Consensus("dog", 1.0, 1))
    now = stores.labels.label_state(image(1).key)
    assert now is not None
    stores.labels.resolve_label(now, Consensus("cat", 0.5, 3))
    with pytest.raises(Conflict):
        stores.labels.resolve_label(now, Consensus("cat", 1.0, 1))
    stands = stores.labels.label_state(image(1).key)
    assert stands is not None
    assert (stands.label, stands.agreement, stands.annotators, stands.state) == (
        "cat",
        0.5,
        3,
        State.LABELLED,
    )


def test_trained_label_is_not_subtracted_from_the_counter(stores: Stores) -> None:
    for i in (1, 2, 3):
        export(stores, i)
    for i in (1, 2):
        resolve_label(stores, image(i).key, "cat")
    assert stores.control.begin(stores.control.state(), "job-1", "2 labels", 1e9)
    resolve_label(stores, image(3).key, "cat")

    assert resolve_label(stores, image(1).key, None) == -1
    assert stores.control.state().new_labels == 1
    assert resolve_label(stores, image(3).key, None) == -1
    assert stores.control.state().new_labels == 0
    assert resolve_label(stores, image(1).key, "dog") == 1
    assert stores.control.state().new_labels == 1


def test_counter_holds_the_labels_again_after_a_failed_launch(stores: Stores) -> None:
    for i in (1, 2):
        export(stores, i)
    resolve_label(stores, image(1).key, "cat")
    before = stores.control.state()
    stores.control.begin(before, "job-1", "1 label", 1e9)
    resolve_label(stores, image(2).key, "cat")
    stores.control.abort("job-1", before, "no subnet")

    assert stores.control.state().new_labels == 2
    resolve_label(stores, image(1).key, None)
    resolve_label(stores, image(2).key, None)
    assert stores.control.state().new_labels == 0


def test_a_job_does_not_begin_on_an_older_count(stores: Stores) -> None:
    before = stores.control.state()
    export(stores, 1)
    resolve_label(stores, image(1).key, "cat")

    assert not stores.control.begin(before, "job-1", "0 labels", 1e9)


def test_only_newer_bytes_reset_the_label_of_an_image(stores: Stores) -> None:
    for i in (1, 2):
        export(stores, i)
        resolve_label(stores, image(i).key, "cat")

    assert not stores.scoring.put_score(image(1, "older", "0F"), prediction(0.9))
    assert not stores.scoring.put_score(image(1), prediction(0.9, version=9)), "the same bytes again"
    assert stores.control.state().new_labels == 2
    assert stores.scoring.put_score(image(1, "newer", "1F"), prediction(0.9))
    assert stores.scoring.put_quarantine(image(2, "newer", "1F"), "empty", "no bytes")
    assert stores.control.state().new_labels == 0
    stands = stores.labels.label_state(image(1).key)
    assert stands is not None
    assert (stands.etag, stands.state, stands.label) == ("newer", State.SCORED, None)
    assert [candidate.key for candidate in stores.ranking.top(9)] == [image(1).key]


def test_label_stays_with_the_same_bytes_under_any_etag(stores: Stores) -> None:
    export(stores, 1)
    resolve_label(stores, image(1).key, "cat")
    again = replace(image(1, sequencer="20"), object_etag="e-2")

    assert not stores.scoring.put_score(again, prediction(0.9, version=2))
    assert not stores.scoring.put_score(image(1, "other", "15"), prediction(0.9)), "on its way since before"
    assert not stores.scoring.put_quarantine(again, "truncated", "")

    standing = stores.labels.label_state(again.key)
    assert standing is not None
    assert (standing.label, standing.etag) == ("cat", "e")
    assert stores.control.state().new_labels == 1
    assert stores.scoring.put_score(image(1, "other", "30"), prediction(0.9))
    assert stores.control.state().new_labels == 0


def test_label_of_returning_bytes_counts_under_their_original_reason(stores: Stores) -> None:
    export(stores, 1, audit=True)
    stores.labels.upsert(annotation(1))
    resolve_label(stores, image(1).key, "cat")
    (before,) = stores.labels.labelled()

    assert stores.scoring.put_score(image(1, "other", "20"), prediction(0.9))
    assert ResolveLabel(stores.labels, CLASSIFICATION)(image(1).key) == 0
    assert stores.scoring.put_quarantine(image(1, "broken", "30"), "truncated", "")
    assert stores.scoring.put_score(image(1, sequencer="40"), prediction(0.5))
    assert [ResolveLabel(stores.labels, CLASSIFICATION)(image(1).key) for _ in range(2)] == [1, 0]

    (after,) = stores.labels.labelled()
    assert after == before
    assert after.audit
    assert stores.control.state().new_labels == 1
    assert stores.ranking.top(9) == []


def test_current_state_in_label_studio_replaces_an_older_read(stores: Stores) -> None:
    stores.labels.upsert(annotation(1))
    deleted_annotation = replace(annotation(1), deleted=True)
    stores.labels.upsert(deleted_annotation)

    assert not stores.labels.replace(annotation(1), annotation(1, "dog")), "another version is stored"
    assert stores.labels.replace(deleted_annotation, annotation(1))
    assert stores.labels.of(image(1).key) == [annotation(1)]


def test_a_number_means_the_annotation_that_has_it_now(stores: Stores) -> None:
    stores.labels.upsert(replace(annotation(1, second=1), number=7))
    stores.labels.upsert(replace(annotation(2, second=5), number=7, deleted=True))

    assert stores.labels.find(7, "") == replace(annotation(1, second=1), number=7)


def test_the_keys_of_stored_annotations_come_in_pages(stores: Stores) -> None:
    for i in range(7):
        stores.labels.upsert(annotation(i))
    keys, end = stores.labels.keys("", 3)
    while end:
        page, end = stores.labels.keys(end, 3)
        keys += page

    assert sorted(keys) == [image(i).key for i in range(7)]


def test_label_of_an_unclaimed_image_removes_it_from_the_pool(stores: Stores) -> None:
    stores.scoring.put_score(image(1), prediction(0.5))

    assert resolve_label(stores, image(1).key, "cat", 1.0, 1) == 1
    assert stores.ranking.top(1) == []


def test_labelled_images_say_how_they_were_drawn(stores: Stores) -> None:
    for i, audit in ((2, True), (1, False), (3, False)):
        export(stores, i, audit=audit)
        stores.labels.upsert(annotation(i))
    for i in (1, 2):
        resolve_label(stores, image(i).key, "cat", 1.0, 1)

    first, second = stores.labels.labelled()

    assert (first.key, second.key) == (image(1).key, image(2).key)
    assert (first.audit, first.strategy, first.draw_probability, first.round_number) == (
        False,
        "margin",
        None,
        1,
    )
    assert (second.audit, second.draw_probability, second.label, second.annotators) == (True, 0.25, "cat", 1)


def test_the_job_moves_only_as_it_may(stores: Stores) -> None:
    control = stores.control
    for i in range(3):
        export(stores, i)
        resolve_label(stores, image(i).key, "cat", 1.0, 1)
    before = control.state()

    settings = JobSettings(("cat", "ďábel"), "finetune", "epochs=3", "balanced", "m", "e")
    control.keep_classes(("cat", "ďábel", "new"))
    assert control.begin(before, "job-1", "3 labels", 1e9, settings)
    assert control.state().settings == settings, "the trainer takes them from here"
    assert control.state().project_classes == ("cat", "ďábel", "new")
    assert not control.begin(before, "job-1", "3 labels", 1e9), "somebody else was first"
    state = control.state()
    assert (state.status, state.job_id, state.jobs, state.new_labels) == (JobStatus.LAUNCHING, "job-1", 1, 0)

    assert not control.start("job-0", 2e9)
    assert control.start("job-1", stores.clock.now() + 10)
    assert not control.start("job-1", 2e9), "it runs elsewhere"
    stores.clock.time += 11
    assert control.start("job-1", 2e9), "its lease ran out: it was lost"
    assert not control.renew("job-0", 3e9)
    assert control.renew("job-1", 3e9)
    assert control.state().lease_until == 3e9
    assert not control.abort("job-1", before, "too late")
    lost = control.state()
    assert control.renew("job-1", stores.clock.now() + 600.123456)
    assert not control.relaunch(lost, 5e9), "its process lives: it has renewed the lease"
    assert control.relaunch(control.state(), 5e9)
    assert (control.state().status, control.state().lease_until) == (JobStatus.LAUNCHING, 5e9)
    assert not control.renew("job-1", 4e9)
    assert control.start("job-1", 3e9)
    assert control.finish("job-1", "promoted")
    assert not control.relaunch(control.state(), 5e9)
    assert not control.renew("job-1", 4e9)
    assert not control.fail("job-1", "too late", 3e9)
    assert (control.state().status, control.state().reason) == (JobStatus.IDLE, "promoted")


def test_change_of_backbone_is_stored_once_and_survives_jobs(stores: Stores) -> None:
    control = stores.control
    assert control.state().backbone_change is None
    before = ChampionPointer.of(3, "c" * 64, "d" * 64, "e" * 64, ("cat", "ďábel"))
    requested = BackboneChange(Candidate("lite0", "a" * 64, "b" * 64), before)
    assert control.change_backbone(requested)
    assert not control.change_backbone(requested), "somebody else was first"
    stored = control.state().backbone_change
    assert stored == replace(requested, revision=1)

    settings = JobSettings(("cat", "ďábel"), candidate=requested.candidate)
    assert control.begin(control.state(), "job-1", "a change", 1e9, settings)
    assert control.state().settings == settings
    assert control.state().backbone_change == stored
    assert control.change_backbone(stored.at(Stage.REVOKED, "by a person"))
    assert not control.change_backbone(stored.at(Stage.SERVING, "too late"))
    revoked = control.state().backbone_change
    assert revoked == replace(stored, stage=Stage.REVOKED, reason="by a person", revision=2)
    assert control.change_backbone(replace(requested, revision=2)), "another change may follow"


def test_a_launch_that_fails_gives_its_labels_back(stores: Stores) -> None:
    export(stores, 1)
    resolve_label(stores, image(1).key, "cat", 1.0, 1)
    before = stores.control.state()
    stores.control.begin(before, "job-1", "1 label", 1e9)

    assert stores.control.abort("job-1", before, "no subnet")
    state = stores.control.state()
    assert (state.status, state.reason, state.new_labels) == (JobStatus.FAILED, "no subnet", 1)
    assert state.lease_until == stores.clock.now(), "it is due again at once"


@pytest.mark.parametrize("running", [False, True])
def test_a_failure_keeps_its_reason(stores: Stores, running: bool) -> None:
    stores.control.begin(stores.control.state(), "job-1", "asked", 1e9)
    if running:
        stores.control.start("job-1", 1e9)

    assert stores.control.fail("job-1", "out of memory", 2e9)
    assert stores.control.state().lease_until == 2e9
    assert (stores.control.state().status, stores.control.state().reason) == (
        JobStatus.FAILED,
        "out of memory",
    )


def test_rounds_are_kept_and_the_first_of_two_wins(stores: Stores) -> None:
    rounds = stores.rounds
    assert (rounds.open(), rounds.last_number()) == (None, 0)
    first = Round(1, "2026-01-01T00:00:00+00:00", 3, (pick(1), pick(2, audit=True)))

    assert rounds.begin(first) == first
    assert rounds.begin(replace(first, picks=())) == first
    assert (rounds.open(), rounds.last_number()) == (first, 1)
    assert rounds.read(1) == first
    assert rounds.read(2) is None
    rounds.close(1)
    assert (rounds.open(), rounds.last_number()) == (None, 1)


def test_one_at_a_time_exports_a_round(stores: Stores) -> None:
    rounds = stores.rounds
    assert not rounds.acquire(1, 100.0, 200.0), "there is none yet"
    rounds.begin(Round(1, "2026-01-01T00:00:00+00:00", 3, (pick(1),)))

    assert rounds.acquire(1, 100.0, 200.0)
    assert not rounds.acquire(1, 150.0, 250.0)
    assert not rounds.acquire(2, 150.0, 250.0)
    rounds.release(1, 999.0)
    assert not rounds.acquire(1, 150.0, 250.0), "only its holder gives it back"
    rounds.release(1, 200.0)
    assert rounds.acquire(1, 150.0, 250.0)
    assert rounds.acquire(1, 251.0, 300.0), "its holder died"
    rounds.close(1)
    assert not rounds.acquire(1, 999.0, 1999.0)
    rounds.begin(Round(2, "2026-01-01T00:00:00+00:00", 3, (pick(2),)))
    assert rounds.acquire(2, 301.0, 400.0)


def test_one_at_a_time_adds_predictions(stores: Stores) -> None:
    rounds = stores.rounds
    assert rounds.predictions_sent() == ""

    assert rounds.acquire_predictions(100.0, 200.0)
    assert not rounds.acquire_predictions(150.0, 250.0)
    rounds.release_predictions(999.0, "v1")
    assert not rounds.acquire_predictions(150.0, 250.0), "only its holder gives it back"
    assert rounds.predictions_sent() == "", "and says what it has sent"
    rounds.release_predictions(200.0, "v2")
    assert rounds.predictions_sent() == "v2"

    assert rounds.acquire_predictions(150.0, 250.0)
    assert rounds.predictions_sent() == "v2", "until the next run has sent others"
    assert rounds.acquire_predictions(251.0, 300.0), "its holder died"
    rounds.release_predictions(300.0)
    assert rounds.predictions_sent() == ""


def test_answers_that_do_not_count_are_counted_until_they_do(stores: Stores) -> None:
    export(stores, 1)
    export(stores, 2)
    empty = replace(annotation(1, None), problem=NO_CLASS)
    other = replace(annotation(2, None), problem=UNKNOWN_CLASS)
    elsewhere = replace(annotation(3), problem=NOT_IN_POOL)
    for uncounted in (empty, other, elsewhere):
        assert stores.labels.upsert(uncounted)

    answers = stores.labels.uncounted(examples=1)

    assert {name: n for name, n in answers.counts.items() if n} == dict.fromkeys(
        (NO_CLASS, UNKNOWN_CLASS, NOT_IN_POOL), 1
    )
    assert set(answers.examples) == {
        UncountedAnswer(image(1).key, 1, 101, NO_CLASS),
        UncountedAnswer(image(2).key, 2, 102, UNKNOWN_CLASS),
        UncountedAnswer(image(3).key, 0, 103, NOT_IN_POOL),
    }
    assert stores.labels.of(image(1).key) == [empty]
    assert stores.labels.uncounted(examples=0).examples == ()
    assert stores.labels.upsert(annotation(1, "cat", 2)), "edited"
    assert stores.labels.upsert(replace(other, deleted=True)), "deleted"
    assert stores.labels.uncounted(examples=1).total == 1
    assert stores.labels.replace(elsewhere, replace(elsewhere, problem=""))
    assert stores.labels.uncounted(examples=1).total == 0


def test_uncounted_answer_stops_mattering_when_its_image_has_a_label(stores: Stores) -> None:
    export(stores, 1)
    stores.labels.upsert(replace(annotation(1, None), problem=NO_CLASS))
    resolve_label(stores, image(1).key, "cat")
    export(stores, 2)
    stores.labels.upsert(replace(annotation(2, None), etag="of earlier bytes", problem=NO_CLASS))

    assert stores.labels.uncounted(examples=1).total == 0
