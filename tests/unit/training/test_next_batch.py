from __future__ import annotations

import numpy as np
import pytest

from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.training.data.dataset import Dataset
from octospoon.training.evaluation import next_batch
from octospoon.training.evaluation.next_batch import against_control, expectation
from octospoon.training.head.fit import fit_head


def images(labels, strategies, rounds) -> tuple[LabelledImage, ...]:
    return tuple(
        LabelledImage(f"{i:04d}", "e", str(label), 1.0, 1, False, strategy, None, number)
        for i, (label, strategy, number) in enumerate(zip(labels, strategies, rounds, strict=True))
    )


def dataset(
    n: int, seed: int, *, strategies=None, rounds: int = 5, spread: float = 1.0, classes: int = 3
) -> Dataset:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    points = 2.5 * np.eye(3, 8)[labels] + spread * rng.standard_normal((n, 8))
    names = strategies or ["margin_diverse"] * n
    numbers = 1 + np.arange(n) * rounds // n
    return Dataset(images(labels, names, numbers.tolist()), points.astype(np.float32), labels, {})


def test_the_next_round_counts_as_large_as_the_newest():
    expected = expectation(dataset(150, 0), dataset(60, 1), 3)

    assert expected.labels == 30
    assert 0 <= expected.interval.low <= expected.interval.high < 0.2


def by_hand(n: int, number: int) -> Dataset:
    """Return images of a round that a person chose."""
    chosen = dataset(n, 2, strategies=["manual"] * n, rounds=1)
    return Dataset(images(chosen.labels, ["manual"] * n, [number] * n), chosen.embeddings, chosen.labels, {})


def joined(first: Dataset, second: Dataset) -> Dataset:
    return Dataset(
        (*first.images, *second.images),
        np.concatenate([first.embeddings, second.embeddings]),
        np.concatenate([first.labels, second.labels]),
        {},
    )


@pytest.mark.parametrize("number", [3, 9])
def test_images_chosen_by_hand_make_no_round(number, monkeypatch):
    fitted = []
    fit = fit_head
    monkeypatch.setattr(
        next_batch,
        "fit_head",
        lambda points, *rest, **named: fitted.append(len(points)) or fit(points, *rest, **named),
    )
    expected = expectation(joined(dataset(150, 0), by_hand(90, number)), dataset(60, 1), 3)

    assert expected.labels == 30
    assert fitted == [90 + 30 * i for i in range(1, 6)]


def test_rounds_by_hand_alone_give_no_expectation():
    chosen = joined(dataset(60, 0, rounds=2), by_hand(30, 3))

    assert expectation(joined(chosen, by_hand(30, 4)), dataset(60, 1), 3) is None


def test_report_says_when_more_labels_will_not_help():
    expected = expectation(dataset(150, 0, spread=0.2), dataset(200, 1, spread=0.2), 3)

    assert expected.stop


@pytest.mark.parametrize(("rounds", "audit"), [(2, 60), (5, 19)])
def test_nothing_is_said_of_a_beginning(rounds, audit):
    assert expectation(dataset(60, 0, rounds=rounds), dataset(audit, 1), 3) is None


def test_without_a_control_share_nothing_is_compared():
    assert against_control(dataset(100, 0), dataset(60, 1), 3) == {}
    few = ["random"] * 9 + ["margin"] * 91
    assert against_control(dataset(100, 0, strategies=few), dataset(60, 1), 3) == {}


def test_what_was_chosen_for_its_drift_counts_for_neither():
    names = ["random"] * 40 + ["margin"] * 40
    plain, more = dataset(80, 0, strategies=names), dataset(60, 2, strategies=["drift"] * 60)
    both = Dataset(
        (*plain.images, *more.images),
        np.concatenate([plain.embeddings, more.embeddings]),
        np.concatenate([plain.labels, more.labels]),
        {},
    )
    assert against_control(both, dataset(60, 1), 3) == against_control(plain, dataset(60, 1), 3) != {}


def test_strategy_that_sees_two_of_three_classes_trails_its_control():
    blind, control = dataset(40, 0, classes=2), dataset(40, 1, strategies=["random"] * 40)
    train = Dataset(
        images([*blind.labels, *control.labels], ["margin"] * 40 + ["random"] * 40, [1] * 80),
        np.concatenate([blind.embeddings, control.embeddings]),
        np.concatenate([blind.labels, control.labels]),
        {},
    )

    comparison = against_control(train, dataset(200, 2), 3)

    assert comparison["control_labels"] == 40
    assert comparison["control_accuracy"] > 0.8
    assert comparison["strategy_accuracy"] < 0.75
    assert comparison["strategy_lead_high"] < 0
    assert comparison["control_labels_share"] == np.inf


def test_equally_many_labels_of_each_are_compared():
    names = (["random"] + ["margin"] * 4) * 20

    comparison = against_control(dataset(100, 0, strategies=names), dataset(200, 1), 3)

    assert comparison["control_labels"] == 20
    assert comparison["strategy_lead_low"] < 0 < comparison["strategy_lead_high"]
    assert comparison["control_labels_share"] > 0


def test_heads_of_the_curve_know_the_parts_of_the_embedding(monkeypatch):
    seen = []

    def fitted(points, labels, classes, *, activation, parts):
        seen.append(parts)
        return fit_head(points, labels, classes, activation=activation, parts=parts)

    monkeypatch.setattr(next_batch, "fit_head", fitted)
    names = ["random"] * 75 + ["margin"] * 75
    train, audit = dataset(150, 0, strategies=names), dataset(60, 1)
    expectation(train, audit, 3, (3, 5))
    against_control(train, audit, 3, (3, 5))
    assert set(seen) == {(3, 5)}
