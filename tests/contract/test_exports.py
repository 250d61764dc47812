"""The pool as exports read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.test_labels import export, resolve_label
from contract.test_pool import embedded, image, prediction

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
