from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from contract.test_pool import image, pick, said
from octospoon.domain.entities import Annotation, JobStatus, Round, State

if TYPE_CHECKING:
    from contract.conftest import Stores


def annotation(i: int, label: str | None = "cat", second: int = 1) -> Annotation:
    return Annotation(
        image(i).key, "e", f"u{i}", 100 + i, f"2026-01-01T00:00:{second:02d}.000000Z", "1", label
    )


def export(stores: Stores, i: int, *, audit: bool = False) -> None:
    stores.pool.put_score(image(i), said(0.5))
    stores.pool.claim(pick(i, audit=audit), 1, 99.0)
    stores.pool.mark_exported(image(i).key, 1, i)


def test_the_newest_version_of_an_annotation_wins(stores: Stores) -> None:
    assert stores.labels.upsert(annotation(1, "dog", 2))

    assert not stores.labels.upsert(annotation(1, "cat", 1))
    assert not stores.labels.upsert(annotation(1, "dog", 2))
    assert stores.labels.upsert(annotation(1, None, 3))
    assert stores.labels.of(image(1).key) == [annotation(1, None, 3)]
    assert stores.labels.find(101) == annotation(1, None, 3)
    assert stores.labels.find(5) is None


def test_a_deletion_is_the_last_word(stores: Stores) -> None:
    stores.labels.upsert(annotation(1))

    assert stores.labels.upsert(replace(annotation(1), deleted=True))
    assert not stores.labels.upsert(annotation(1, "dog", 9))
    assert [one.deleted for one in stores.labels.of(image(1).key)] == [True]


def test_settling_counts_each_image_once(stores: Stores) -> None:
    export(stores, 1)
    key = image(1).key

    assert stores.labels.settle(key, "cat", 1.0, 1) == 1
    assert stores.labels.settle(key, "cat", 1.0, 1) == 0
    assert stores.labels.settle(key, "dog", 0.5, 2) == 0
    assert stores.control.state().new_labels == 1
    assert stores.pool.rows([key])[key].state is State.LABELLED
    assert stores.labels.settle(key, None, 0.0, 0) == -1
    assert stores.control.state().new_labels == 0
    assert stores.pool.rows([key])[key].state is State.EXPORTED


def test_settling_what_is_not_there_counts_nothing(stores: Stores) -> None:
    assert stores.labels.settle("missing", "cat", 1.0, 1) == 0
    assert stores.control.state().new_labels == 0


def test_a_label_given_to_an_unclaimed_image_takes_it_out_of_the_pool(stores: Stores) -> None:
    stores.pool.put_score(image(1), said(0.5))

    assert stores.labels.settle(image(1).key, "cat", 1.0, 1) == 1
    assert stores.pool.top(1) == []


def test_labelled_images_say_how_they_were_drawn(stores: Stores) -> None:
    for i, audit in ((2, True), (1, False), (3, False)):
        export(stores, i, audit=audit)
        stores.labels.upsert(annotation(i))
    for i in (1, 2):
        stores.labels.settle(image(i).key, "cat", 1.0, 1)

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
        stores.labels.settle(image(i).key, "cat", 1.0, 1)
    before = control.state()

    assert control.begin(before, "job-1", "3 labels", 1e9)
    assert not control.begin(before, "job-1", "3 labels", 1e9), "somebody else was first"
    state = control.state()
    assert (state.status, state.job_id, state.jobs, state.new_labels) == (JobStatus.LAUNCHING, "job-1", 1, 0)

    assert not control.start("job-0", 2e9)
    assert control.start("job-1", stores.clock.now() + 10)
    assert not control.start("job-1", 2e9), "it runs elsewhere"
    stores.clock.time += 11
    assert control.start("job-1", 2e9), "its lease ran out: it was lost"
    assert not control.abort("job-1", 3)
    assert control.finish("job-1", "promoted")
    assert not control.fail("job-1", "too late")
    assert (control.state().status, control.state().reason) == (JobStatus.IDLE, "promoted")


def test_a_launch_that_fails_gives_its_labels_back(stores: Stores) -> None:
    export(stores, 1)
    stores.labels.settle(image(1).key, "cat", 1.0, 1)
    stores.control.begin(stores.control.state(), "job-1", "1 label", 1e9)

    assert stores.control.abort("job-1", 1)
    assert (stores.control.state().status, stores.control.state().new_labels) == (JobStatus.IDLE, 1)


@pytest.mark.parametrize("running", [False, True])
def test_a_failure_keeps_its_reason(stores: Stores, running: bool) -> None:
    stores.control.begin(stores.control.state(), "job-1", "asked", 1e9)
    if running:
        stores.control.start("job-1", 1e9)

    assert stores.control.fail("job-1", "out of memory")
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
    rounds.close(1)
    assert (rounds.open(), rounds.last_number()) == (None, 1)
