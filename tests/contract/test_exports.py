"""The pool as exports read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.test_labels import export, resolve_label
from contract.test_pool import BACKBONE, embedded, image, prediction
from octospoon.domain.pool.images import RETIRED
from octospoon.domain.pool.keys import SHARDS, day

if TYPE_CHECKING:
    from contract.conftest import Stores


def test_labelled_images_say_how_they_were_drawn(stores: Stores) -> None:
    export(stores, 1, audit=True)
    export(stores, 2)
    stores.scoring.put_score(image(3), prediction(0.5))
    resolve_label(stores, image(1).key, "cat", 1.0, 2)

    (labelled,) = stores.pool_report.labelled()

    assert (labelled.key, labelled.label, labelled.agreement, labelled.annotators) == (
        image(1).key,
        "cat",
        1.0,
        2,
    )
    assert (labelled.audit, labelled.strategy, labelled.round_number) == (True, "margin", 1)
    assert labelled.draw_probability == 0.25


def test_predictions_of_all_images_outside_quarantine(stores: Stores) -> None:
    export(stores, 1)
    resolve_label(stores, image(1).key, "cat")
    stores.scoring.put_score(image(2), embedded(2))
    stores.scoring.put_quarantine(image(3), "empty", "no bytes")

    predictions = {row.key: row for row in stores.pool_report.predictions()}

    assert set(predictions) == {image(1).key, image(2).key}
    first = predictions[image(1).key]
    assert (first.top_class, first.confidence, first.model_version, first.label) == (0, 0.75, 1, "cat")
    assert predictions[image(2).key].top_class is None


def test_all_images_come_with_their_embeddings_and_choices(stores: Stores) -> None:
    export(stores, 1, audit=True)
    resolve_label(stores, image(1).key, "cat")
    stores.scoring.put_score(image(2), embedded(2))
    stores.scoring.put_quarantine(image(3), "empty", "no bytes")

    images = {each.key: each for each in stores.pool_report.images()}

    assert set(images) == {image(i).key for i in (1, 2, 3)}
    first, second, third = (images[image(i).key] for i in (1, 2, 3))
    assert (first.state, first.label, first.round_number, first.strategy) == ("labelled", "cat", 1, "margin")
    assert (first.top_class, first.confidence, first.audit, first.model_version) == (0, 0.75, True, 1)
    assert first.arrived == day(stores.clock.now())
    assert second.embedding is not None
    assert second.embedding.tolist() == [2, 2, 2, 2]
    assert (second.label, second.top_class, second.strategy, second.backbone) == (None, None, "", BACKBONE)
    assert (third.embedding, third.backbone, third.reason) == (None, "", "empty")


def test_a_retired_image_keeps_its_embedding(stores: Stores) -> None:
    stores.scoring.put_score(image(2), embedded(2))
    (entry,) = stores.entries.entries([image(2).key]).values()
    assert stores.entries.withdraw(entry, RETIRED, "by a person")

    (retired,) = stores.pool_report.images()
    assert (retired.state, retired.reason, retired.backbone) == ("quarantined", RETIRED, BACKBONE)
    assert stores.pool.rows([image(2).key]) == {}

    (entry,) = stores.entries.entries([image(2).key]).values()
    assert stores.entries.release(entry)
    (restored,) = stores.pool_report.images()
    assert (restored.state, restored.reason) == ("scored", "")
    (entry,) = stores.entries.entries([image(2).key]).values()
    assert entry.reason == ""
    pages = [stores.pool.selectable(shard, -1.0, 9)[0] for shard in range(SHARDS)]
    assert [candidate.key for page in pages for candidate in page] == [image(2).key]
