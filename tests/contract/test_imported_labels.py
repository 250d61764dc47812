"""Imported labels beside the annotations of people."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from contract.test_labels import annotation, export, resolve_label
from contract.test_pool import image, pick, prediction
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.imported import DRAWN, IMPORTED, Confirmation
from octospoon.domain.pool.images import State
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.usecases.resolve_label import ResolveLabel

if TYPE_CHECKING:
    from contract.conftest import Stores
    from octospoon.domain.labelling.tasks import LabelState

CLASSES = ("cat", "dog")


def known() -> ClassHistory:
    return ClassHistory(CLASSES)


def scored(stores: Stores, *numbers: int) -> list[LabelState]:
    for i in numbers:
        stores.scoring.put_score(image(i), prediction(0.5))
    states = stores.imported.states([image(i).key for i in numbers])
    return [states[image(i).key] for i in numbers]


def test_imported_labels_count_towards_training(stores: Stores) -> None:
    states = scored(stores, *range(60))

    written = stores.imported.store([(state, CLASSES[i % 2]) for i, state in enumerate(states)])

    assert written == {state.key for state in states}
    assert stores.control.state().new_labels == 60
    images = {image.key: image for image in stores.pool_report.labelled()}
    assert len(images) == 60
    first = images[image(1).key]
    assert (first.label, first.annotators, first.audit, first.strategy) == ("dog", 0, False, IMPORTED)
    assert {image.key for image in stores.labels.labelled()} == written
    assert stores.pool.selectable(0, -1.0, 99) == ([], None)


def test_label_of_a_changed_image_is_not_stored(stores: Stores) -> None:
    first, second = scored(stores, 1, 2)
    stores.ranking.claim(pick(1), 1, 99.0)

    assert stores.imported.store([(first, "cat"), (second, "dog")]) == {second.key}
    assert stores.labels.of(first.key) == []
    assert stores.control.state().new_labels == 1


def test_answer_of_a_person_wins_over_an_imported_label(stores: Stores) -> None:
    (state,) = scored(stores, 1)
    stores.imported.store([(state, "dog")])
    stores.labels.upsert(annotation(1, "cat"))

    ResolveLabel(stores.labels, CLASSIFICATION, known)(state.key)

    now = stores.labels.label_state(state.key)
    assert now is not None
    assert (now.label, now.annotators) == ("cat", 1)
    assert stores.control.state().new_labels == 1
    stores.labels.upsert(replace(annotation(1, "cat"), deleted=True))
    ResolveLabel(stores.labels, CLASSIFICATION, known)(state.key)
    now = stores.labels.label_state(state.key)
    assert now is not None
    assert (now.label, now.annotators) == ("dog", 0)


def test_imported_label_is_replaced_without_being_counted_again(stores: Stores) -> None:
    (state,) = scored(stores, 1)
    stores.imported.store([(state, "dog")])
    again = stores.imported.states([state.key])[state.key]

    assert stores.imported.store([(again, "cat")]) == {state.key}
    now = stores.labels.label_state(state.key)
    assert now is not None
    assert (now.label, now.state) == ("cat", State.LABELLED)
    assert stores.control.state().new_labels == 1


def test_resolving_keeps_an_imported_label(stores: Stores) -> None:
    (state,) = scored(stores, 1)
    stores.imported.store([(state, "dog")])

    assert ResolveLabel(stores.labels, CLASSIFICATION, known, notes_problems=True)(state.key) == 0
    assert ResolveLabel(stores.labels, CLASSIFICATION, lambda: ClassHistory(("cat", "fox")))(state.key) == -1
    assert ResolveLabel(stores.labels, CLASSIFICATION, known)(state.key) == 1


def test_drawn_image_waits_for_people_and_never_trains(stores: Stores) -> None:
    (state,) = scored(stores, 1)
    stores.imported.store([(state, "dog")])
    assert list(stores.imported.counting()) == [(state.key, "e")]
    audit = replace(pick(1, audit=True), strategy=IMPORTED, blind=True)

    assert stores.imported.draw(audit, 4, 99.0)

    assert not stores.imported.draw(audit, 4, 99.0)
    assert stores.control.state().new_labels == 0
    assert list(stores.imported.counting()) == []
    assert ResolveLabel(stores.labels, CLASSIFICATION, known)(state.key) == 0
    assert stores.ranking.claim(audit, 4, 99.0)
    stores.ranking.mark_exported(state.key, 4, 7)
    assert list(stores.imported.confirmations()) == [Confirmation(state.key, "dog", None)]
    assert [label.problem for label in stores.labels.of(state.key)] == [DRAWN]
    waiting = stores.imported.states([state.key])[state.key]
    assert waiting.reserved
    assert stores.imported.store([(waiting, "dog")]) == set()

    stores.labels.upsert(annotation(1, "cat"))
    ResolveLabel(stores.labels, CLASSIFICATION, known)(state.key)
    (image,) = stores.labels.labelled()
    assert (image.audit, image.label, image.strategy, image.round_number) == (True, "cat", IMPORTED, 4)
    assert list(stores.imported.confirmations()) == [Confirmation(state.key, "dog", "cat")]
    assert stores.control.state().new_labels == 1


def test_images_of_the_audit_share_take_no_imported_label(stores: Stores) -> None:
    (state,) = scored(stores, 1)
    stores.imported.store([(state, "dog")])
    ResolveLabel(stores.labels, CLASSIFICATION, lambda: ClassHistory(("cat", "fox")))(state.key)
    (entry,) = stores.entries.entries([state.key]).values()
    stores.entries.release(entry)
    stores.ranking.claim(pick(1, audit=True), 1, 99.0)

    assert ResolveLabel(stores.labels, CLASSIFICATION, known)(state.key) == 0
    assert stores.imported.states([state.key])[state.key].state is State.CLAIMED


def test_states_include_images_in_quarantine(stores: Stores) -> None:
    stores.scoring.put_quarantine(image(1), "empty", "no bytes")
    export(stores, 2)
    resolve_label(stores, image(2).key, "cat")

    states = stores.imported.states([image(1).key, image(2).key, "missing"])

    assert {key: state.state for key, state in states.items()} == {
        image(1).key: State.QUARANTINED,
        image(2).key: State.LABELLED,
    }
