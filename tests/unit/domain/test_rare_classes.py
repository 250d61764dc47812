from __future__ import annotations

import numpy as np
import pytest

from octospoon.domain.acquisition import Candidates, rare_classes, strategy
from octospoon.domain.batch.compose import ALWAYS, AUTO, NEVER, BatchRules, compose, seeks_rare
from octospoon.domain.batch.draw import Draw
from octospoon.domain.pool.images import Candidate, PoolRow, State
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.multilabel import MULTILABEL

COMMON, OTHER, RARE = range(3)
LABELS = np.array([70, 28, 2])
MARGIN_DIVERSE = strategy("margin_diverse")


def pool(labels: np.ndarray | None = LABELS, each: int = 100) -> Candidates:
    """Images between the common classes, images between the common and the rare one, and clear images.

    Those at the rare class have the larger margins, so that margins alone prefer the others.
    """
    rng = np.random.default_rng(0)
    common = np.column_stack([rng.uniform(0.48, 0.52, each), np.zeros(each), np.full(each, 0.01)])
    common[:, OTHER] = 1 - common.sum(axis=1)
    rare = np.column_stack([rng.uniform(0.55, 0.6, each), np.full(each, 0.01), np.zeros(each)])
    rare[:, RARE] = 1 - rare.sum(axis=1)
    clear = np.tile([0.98, 0.01, 0.01], (each, 1))
    embeddings = rng.normal(size=(3 * each, 6))
    ids = [f"{kind}{i:03d}" for kind in ("common", "rare", "clear") for i in range(each)]
    return Candidates(ids, np.concatenate([common, rare, clear]), embeddings, labels)


def kinds(candidates: Candidates, chosen: np.ndarray) -> dict[str, int]:
    names = [candidates.ids[i].rstrip("0123456789") for i in chosen]
    return {name: names.count(name) for name in ("common", "rare", "clear")}


def test_half_of_the_images_show_the_class_without_labels() -> None:
    plain, seeking = pool(None), pool()

    assert kinds(plain, MARGIN_DIVERSE.select(plain, 10, "s")) == {"common": 10, "rare": 0, "clear": 0}
    assert kinds(seeking, MARGIN_DIVERSE.select(seeking, 10, "s")) == {"common": 5, "rare": 5, "clear": 0}


def test_a_class_with_enough_labels_is_no_longer_sought() -> None:
    candidates = pool(np.array([70, 70, 70]))

    assert kinds(candidates, MARGIN_DIVERSE.select(candidates, 10, "s"))["rare"] == 0


@pytest.mark.parametrize("n", [0, 1, 2, 7, 299, 300, 400])
def test_images_are_distinct_and_as_many_as_wanted(n: int) -> None:
    candidates = pool()

    chosen = MARGIN_DIVERSE.select(candidates, n, "s")

    assert len(set(chosen.tolist())) == len(chosen) == min(n, 300)


def test_the_order_of_the_candidates_has_no_influence() -> None:
    candidates = pool()
    turned = candidates.take(np.arange(300)[::-1])

    first = {candidates.ids[i] for i in MARGIN_DIVERSE.select(candidates, 20, "s")}

    assert first == {turned.ids[i] for i in MARGIN_DIVERSE.select(turned, 20, "s")}


def test_labels_of_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="classes"):
        MARGIN_DIVERSE.select(pool(np.array([1, 2])), 5, "s")


@pytest.mark.parametrize(
    ("shares", "clear"),
    [
        ([0.85, 0.08, 0.07], True),
        ([0.71, 0.15, 0.14], True),
        ([0.5, 0.5], False),
        ([0.7, 0.3], False),
        ([0.8, 0.2], True),
        ([0.2, 0.3, 0.3, 0.2], False),
        ([1.0, 0.0], True),
        ([1.0], False),
    ],
)
def test_classes_are_imbalanced_if_few_have_most_images(shares: list[float], clear: bool) -> None:
    assert rare_classes.imbalanced(np.array(shares)) is clear


def test_the_note_names_the_classes_with_few_labels() -> None:
    shares, names = np.array([0.71, 0.2, 0.05, 0.04]), ["free", "blowhole", "crack", "break"]

    text = rare_classes.note(shares, np.array([60, 27, 2, 0]), names)

    assert text.startswith("about 71% of the images are free")
    assert text.endswith("few labels: break (0), crack (2)")


def test_the_setting_decides_whether_batches_look_for_rare_classes() -> None:
    even, uneven = np.full(3, 1 / 3), np.array([0.8, 0.15, 0.05])
    for shares, mode, wanted in (
        (uneven, AUTO, True),
        (even, AUTO, False),
        (even, ALWAYS, True),
        (uneven, NEVER, False),
        (np.empty(0), ALWAYS, False),
    ):
        assert seeks_rare(BatchRules(10, 0.2, rare_classes=mode), MARGIN_DIVERSE, shares) is wanted
    for name in ("margin", "random", "typiclust", "power_margin", "entropy", "least_confidence"):
        assert not seeks_rare(BatchRules(10, 0.2, rare_classes=ALWAYS), strategy(name), uneven)


@pytest.mark.parametrize(("labels", "rare"), [(LABELS, 5), (None, 0), (np.array([9, 1]), 0)])
def test_a_batch_is_composed_by_its_labels(labels: np.ndarray | None, rare: int) -> None:
    source = pool()
    rows = {
        key: PoolRow(
            key, "e", State.SCORED, 1, "b", source.embedded()[i].astype(np.float32), source.predicted()[i]
        )
        for i, key in enumerate(source.ids)
    }
    picks = compose(
        rules=BatchRules(10, 0.0),
        drawn=Draw((), 300),
        candidates=[Candidate(key, "e", 0.0, 0.0) for key in source.ids],
        rows=rows,
        chosen=MARGIN_DIVERSE,
        task_type=CLASSIFICATION,
        seed="s",
        labels=labels,
    )

    assert sum(pick.key.startswith("rare") for pick in picks) == rare
    assert {pick.strategy for pick in picks} == {"margin_diverse"}


def independent(shares: list[list[float]], labels: list[int]) -> Candidates:
    probabilities = np.array(shares)
    ids = [str(i) for i in range(len(shares))]
    return Candidates(ids, probabilities, None, np.array(labels), MULTILABEL.outcomes(probabilities))


def test_a_crowded_image_is_not_needed_more() -> None:
    alone, crowded = [0.5, 0.01, 0.01, 0.01], [0.5, 0.99, 0.99, 0.99]

    one, many = rare_classes.need(independent([alone, crowded], [9, 9, 9, 9]))

    assert one == pytest.approx(many) == pytest.approx(0.1)


def test_a_doubt_about_a_rare_class_outweighs_others() -> None:
    needs = rare_classes.need(independent([[0.5, 0.9], [0.9, 0.5]], [99, 0]))

    assert needs.tolist() == pytest.approx([(0.01 + 0.2) / 1.2, (0.002 + 1.0) / 1.2])
