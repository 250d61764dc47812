from __future__ import annotations

import numpy as np
import pytest

from octospoon.training.evaluation.curves import Curve, compare, labels_until
from octospoon.training.evaluation.recommend import (
    choose_backbone,
    choose_batch,
    choose_strategy,
    recommend,
)

LABELS = np.arange(20, 201, 20)


def curve(rate: float = 1.0, shift: float = 0.0, balanced: float = 0.0, noise: float = 0.005, seed: int = 0):
    """Return a curve of 20 seeds: 1 - 0.5·exp(-rate·labels/100) + shift; balanced accuracy differs."""
    mean = 1 - 0.5 * np.exp(-rate * LABELS / 100) + shift
    accuracy = mean + noise * np.random.default_rng(seed).standard_normal((20, len(LABELS)))
    return Curve(LABELS, accuracy, accuracy + balanced)


def test_another_backbone_is_chosen_only_if_shown_better():
    first = curve()
    unclear = curve(shift=0.002, noise=0.05, seed=1)
    better = curve(shift=0.02, seed=2)

    assert choose_backbone({"first": first}).chosen == "first"
    assert choose_backbone({"first": first, "unclear": unclear}).chosen == "first"
    chosen = choose_backbone({"first": first, "unclear": unclear, "better": better})
    assert (chosen.chosen, chosen.first, set(chosen.comparisons)) == (
        "better",
        "first",
        {"unclear", "better"},
    )
    unbalanced = curve(shift=0.02, balanced=-0.1, seed=2)
    assert choose_backbone({"first": first, "unbalanced": unbalanced}).chosen == "first"


def test_the_strategy_that_saves_most_or_random_is_chosen():
    control = curve()
    fast, slow = (compare(curve(rate, seed=1), control, 2) for rate in (2.0, 1.3))
    assert choose_strategy({"slow": slow, "fast": fast}) == "fast"
    unbalanced = compare(curve(2.0, balanced=-0.2, seed=1), control, 2)
    assert unbalanced.better
    assert choose_strategy({"slow": slow, "unbalanced": unbalanced}) == "slow"
    assert choose_strategy({"unbalanced": unbalanced}) == "random"
    unclear = compare(curve(1.02, noise=0.05, seed=1), control)
    assert choose_strategy({"unclear": unclear}) == "random"


def test_larger_batches_must_be_as_good_and_smaller_ones_better():
    first = curve()
    as_good, worse = curve(shift=-0.002, seed=1), curve(shift=-0.02, seed=2)
    better, unclear = curve(shift=0.01, seed=3), curve(shift=-0.002, noise=0.3, seed=4)

    assert choose_batch({20: first}).chosen == 20
    assert choose_batch({20: first, 40: as_good, 60: worse}).chosen == 40
    assert choose_batch({20: first, 40: as_good, 60: as_good}).chosen == 60
    assert choose_batch({20: first, 40: unclear}).chosen == 20, "as good is not shown"
    unbalanced = curve(shift=-0.002, balanced=-0.05, seed=1)
    assert choose_batch({20: first, 40: unbalanced}).chosen == 20
    assert choose_batch({20: first, 10: as_good}).chosen == 20
    assert choose_batch({20: first, 10: better, 40: as_good}).chosen == 10


def test_batch_sizes_are_compared_at_the_labels_that_both_have():
    first = curve()
    every_fifty = np.array([50, 100, 150, 200])
    mean = 1 - 0.5 * np.exp(-every_fifty / 100)
    late = Curve(every_fifty, np.tile(mean, (20, 1)) + 0.0005 * np.arange(20)[:, np.newaxis])

    comparison = choose_batch({20: first, 50: late}).comparisons[50]

    common = late.accuracy[:, [1, 3]] - first.accuracy[:, [4, 9]]
    assert comparison.lead == pytest.approx(common.mean())


def test_the_labels_until_an_accuracy():
    until = labels_until(curve(), 1 - 0.5 * np.exp(-1.1))
    assert until.labels == pytest.approx(110, abs=3)
    assert until.interval.low < 110 < until.interval.high < 120
    assert labels_until(curve(), 0.99).labels == np.inf
    assert labels_until(curve(), 0.1).labels == 20


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (0.8, "it reaches an accuracy of 0.8 with 47 labels (95 % interval 4"),
        (0.8, "and random reaches it with 9"),
        (0.94, "and random is not shown to reach it within 200 labels."),
        (0.999, "it is not shown to reach an accuracy of 0.999 within 200 labels"),
        (0.6, "it reaches an accuracy of 0.6 with 20 labels or fewer"),
        (None, "it reaches random's accuracy at 200 labels with 5"),
    ],
)
def test_the_sentence_says_what_to_do_and_what_to_expect(target, words):
    made = recommend("margin", "lite", 40, curve(2.0, noise=0.002, seed=1), curve(noise=0.002), target)
    assert made.sentence.startswith("Label with margin on lite, in batches of 40: it ")
    assert words in made.sentence
    assert made.sentence.count(".\n") == 0
    assert made.sentence.endswith(".")
    assert (made.labels is None) == (target is None)


def test_a_wide_interval_is_said():
    made = recommend("margin", "lite", 40, curve(seed=1, noise=0.05), curve(), 0.93)
    assert "but 200 may be too few (95 % interval " in made.sentence or "is not shown" in made.sentence
    near = recommend("margin", "lite", 40, curve(seed=1, noise=0.05), curve(), 0.925)
    assert "may reach an accuracy of 0.925" in near.sentence
    assert "to more than 200)" in near.sentence


def test_without_a_better_strategy_the_advice_is_random():
    made = recommend("random", "lite", 20, curve(), curve(), None)
    assert made.sentence == (
        "Label at random on lite, in batches of any size: no strategy is shown to be better within 200 "
        "labels and 20 seeds."
    )
    with_target = recommend("random", "lite", 20, curve(), curve(), 0.8)
    assert "20 seeds, and random reaches an accuracy of 0.8 with 9" in with_target.sentence
