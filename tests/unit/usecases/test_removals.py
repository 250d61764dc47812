from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from unit.usecases.test_reconcile import World, body

from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.answers import NOT_IN_POOL
from octospoon.domain.labelling.removals import Proposal, count_that_decides, is_mass
from octospoon.domain.pool.images import State
from octospoon.usecases import full_audit as full_audit

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.usecases.reconcile_report import ReconcileReport

LABELS = 30
ANOTHER = "1 of 2027-01-01T00:00:00Z"


def labelled(images: int = LABELS) -> World:
    world = World(threshold=1000, images=images)
    world.annotate(*range(1, images + 1))
    full(world)
    assert world.pool.counts()[State.LABELLED] == images
    return world


def full(world: World) -> ReconcileReport:
    world.clock.time += 3600
    return world.reconcile(full=True)


def accept(world: World, proposal: str = "") -> ReconcileReport:
    world.clock.time += 3600
    return world.reconcile(accept=proposal or world.proposals.newest.id)


def lose(world: World, *tasks: int) -> None:
    """Remove annotations as a restored older backup does: their tasks did not change."""
    for task in tasks:
        world.labeler.annotations.pop(task)


def labels(world: World) -> int:
    return world.pool.counts()[State.LABELLED]


@pytest.mark.parametrize(
    ("removed", "labels", "mass"),
    [
        (1, 1, False),
        (2, 39, True),
        (2, 40, False),
        (19, 379, True),
        (19, 380, False),
        (20, 1_000_000, True),
        (0, 0, False),
    ],
)
def test_more_than_a_twentieth_or_twenty_at_once_are_many(removed: int, labels: int, mass: bool) -> None:
    assert is_mass(removed, min(labels, count_that_decides(removed))) is mass


def test_a_project_that_never_had_the_tasks_removes_no_label() -> None:
    world = labelled()
    world.labeler.name, world.labeler.annotations, world.labeler.tasks = ANOTHER, {}, {}

    reports = [full(world) for _ in range(2)]

    assert [(report.annotations, report.elsewhere, report.withheld) for report in reports] == [
        (0, LABELS, 0)
    ] * 2
    assert labels(world) == LABELS


def test_annotations_of_an_unknown_project_get_it_when_seen() -> None:
    world = World(threshold=1000)
    world.annotate(1, 2)
    for task in world.labeler.changed(0, 0, 2):
        world.labels.upsert(world.collect.annotation(body(task.id), task))
        world.collect.resolve_label(task.key)
    lose(world, 2)

    report = full(world)

    assert (report.annotations, report.labels, report.elsewhere, labels(world)) == (0, 0, 1, 2)
    lose(world, 1)
    assert full(world).labels == 1, "its project is known since it was seen"


def test_many_are_kept_until_a_person_accepts_it() -> None:
    world = labelled()
    lose(world, *range(1, 26))
    before = world.everything()

    for _ in range(2):
        report = full(world)
        assert (report.annotations, report.labels, report.withheld) == (0, 0, 25)
        assert world.everything() == before
    proposal = world.proposals.newest
    assert (proposal.labels, proposal.annotations, len(proposal.examples)) == (25, 25, 5)
    world.labeler.annotate(30)
    assert world.reconcile().labels == 0, "as long as a person is asked nothing is removed by absence"

    report = accept(world, proposal.id)

    assert (report.annotations, report.labels, report.refused, report.withheld) == (26, 26, "", 0)
    assert labels(world) == LABELS - 26
    assert world.proposals.newest == Proposal()
    assert full(world).labels == 0


def test_many_that_changed_tasks_show_are_kept_too() -> None:
    world = labelled()
    for task in range(1, 21):
        world.labeler.annotate(task)

    assert world.reconcile().withheld == 20
    assert labels(world) == LABELS


def test_few_are_removed() -> None:
    world = labelled(60)
    lose(world, 1, 2, 3)

    report = full(world)

    assert (report.annotations, report.labels, report.withheld) == (3, 3, 0)


def test_what_is_missing_goes_though_its_image_came_back_meanwhile() -> None:
    world = labelled(60)
    (key, name), annotation = next(iter(world.labels.stored.items()))
    world.labeler.annotations.pop(next(i for i, task in world.labeler.tasks.items() if task.key == key))
    removals = world.reconcile._removals
    removals.keep("walk", "page", [replace(annotation, problem=NOT_IN_POOL)])

    repaired = removals.decide("walk", annotation.project, everything=True)

    assert (repaired["annotations"], repaired["labels"]) == (1, 1)
    assert world.labels.stored[key, name].deleted


def test_many_over_many_pages_and_runs_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_audit, "KEYS", 2)
    world = labelled()
    lose(world, *range(1, 31))
    keys = world.labels.keys

    def slow(after: str, limit: int) -> tuple[list[str], str]:
        world.clock.time += 100.0
        return keys(after, limit)

    monkeypatch.setattr(world.labels, "keys", slow)
    reports = [full(world), *(world.reconcile() for _ in range(10))]

    assert not reports[0].audited
    assert reports[-1].audited
    assert reports[-1].withheld == LABELS
    assert labels(world) == LABELS


@pytest.mark.parametrize("dies_at", range(1, 12))
def test_a_walk_that_dies_anywhere_forgets_nothing_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    monkeypatch.setattr(full_audit, "KEYS", 4)
    world = labelled()
    lose(world, *range(1, 31))
    calls = 0

    def dying(save: Callable[..., bool]) -> Callable[..., bool]:
        def call(*args: object) -> bool:
            nonlocal calls
            calls += 1
            if calls == dies_at:
                raise ServiceUnavailable("killed")
            return save(*args)

        return call

    stores = world.stores
    monkeypatch.setattr(stores.full_audits, "save", dying(stores.full_audits.save))
    monkeypatch.setattr(stores.proposals, "save", dying(stores.proposals.save))
    try:
        full(world)
    except ServiceUnavailable:
        world.reconcile()

    assert labels(world) == LABELS
    assert full(world).withheld == LABELS
    assert labels(world) == LABELS


def test_what_changed_since_is_asked_again() -> None:
    world = labelled()
    lose(world, *range(1, 21))
    full(world)
    first = world.proposals.newest
    lose(world, 21)
    full(world)

    report = accept(world, first.id)

    assert "changed since" in report.refused
    assert report.withheld == 21
    assert labels(world) == LABELS
    assert "changed since" in accept(world, "another").refused


def test_what_is_back_stays_whatever_was_accepted() -> None:
    world = labelled()
    lose(world, *range(1, 21))
    full(world)
    world.annotate(5)

    report = accept(world)

    assert report.labels == 19
    assert world.state(5) is State.LABELLED


def test_an_accepted_removal_does_not_reach_another_project() -> None:
    world = labelled()
    lose(world, *range(1, 21))
    full(world)
    world.labeler.name = ANOTHER

    assert "another project" in accept(world).refused
    assert labels(world) == LABELS


def test_where_everything_is_back_nobody_is_asked_any_more() -> None:
    world = labelled()
    lose(world, *range(1, 31))
    assert full(world).withheld == 30
    world.annotate(*range(1, 31))

    report = full(world)

    assert (report.withheld, report.labels, labels(world)) == (0, 0, LABELS)
    assert world.proposals.newest == Proposal()


def test_an_accepted_removal_goes_on_where_it_died(monkeypatch: pytest.MonkeyPatch) -> None:
    world = labelled()
    lose(world, *range(1, 31))
    full(world)
    has, calls = world.labeler.has, 0

    def dying(annotation: object) -> bool:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise ServiceUnavailable("no answer")
        return has(annotation)

    monkeypatch.setattr(world.labeler, "has", dying)
    with pytest.raises(ServiceUnavailable):
        accept(world)
    assert world.proposals.newest.accepted
    world.clock.time += 3600

    world.reconcile()

    assert labels(world) == 0
    assert world.proposals.newest == Proposal()
    assert world.control.state().new_labels == 0
