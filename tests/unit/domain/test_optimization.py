from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from octospoon.domain.evaluation.optimization import Answers, centred_cosine, compare, judge

N, CLASSES = 200, 4
RNG = np.random.default_rng(0)
EMBEDDINGS = RNG.standard_normal((N, 8)).astype(np.float32) + 5
PROBABILITIES = RNG.dirichlet(np.ones(CLASSES), N).astype(np.float32)
TOPS = PROBABILITIES.argmax(axis=1)
NONE = np.full(N, -1)

ORIGINAL = Answers(EMBEDDINGS, PROBABILITIES, np.full(9, 0.010), np.full(5, 0.100))
FASTER = replace(ORIGINAL, image=np.full(9, 0.008))


def with_other_tops(count: int) -> Answers:
    changed = PROBABILITIES.copy()
    changed[:count] = np.roll(changed[:count], 1, axis=1)
    return replace(FASTER, probabilities=changed)


def test_a_faster_form_that_agrees_is_worth_it() -> None:
    comparison = compare(ORIGINAL, FASTER, NONE)

    assert comparison.image_ratio == pytest.approx(0.8)
    assert (comparison.same_top, comparison.images, comparison.probability_gap) == (N, N, 0)
    assert judge(comparison).worth


@pytest.mark.parametrize(
    ("cheaper", "worth"),
    [
        (replace(ORIGINAL, image=np.full(9, 0.0086)), False),
        (replace(ORIGINAL, load=np.full(5, 0.049)), True),
        (replace(ORIGINAL, load=np.full(5, 0.051)), False),
        (replace(ORIGINAL, load=np.full(5, 0.020), image=np.full(9, 0.0104)), False),
        (ORIGINAL, False),
    ],
    ids=["14 % faster", "51 ms less", "49 ms less", "loads fast, runs slow", "the same"],
)
def test_what_counts_as_a_gain(cheaper: Answers, worth: bool) -> None:
    verdict = judge(compare(ORIGINAL, cheaper, NONE))

    assert verdict.worth is worth
    assert worth or "no gain" in verdict.reasons[0]


@pytest.mark.parametrize(("different", "worth"), [(0, True), (1, False), (5, False)])
def test_the_class_must_stay_and_the_interval_must_show_it(different: int, worth: bool) -> None:
    """One of 200 is 99.5 %, but its interval begins at 97.2 %."""
    verdict = judge(compare(ORIGINAL, with_other_tops(different), NONE))

    assert verdict.worth is worth
    assert worth or "the same class for" in verdict.reasons[0]


def test_too_few_images_show_nothing() -> None:
    few = [
        replace(form, embeddings=EMBEDDINGS[:50], probabilities=PROBABILITIES[:50])
        for form in (ORIGINAL, FASTER)
    ]

    assert not judge(compare(few[0], few[1], NONE[:50])).worth


def test_accuracy_is_compared_on_what_has_a_label() -> None:
    labels = NONE.copy()
    labels[:60] = TOPS[:60]

    comparison = compare(ORIGINAL, with_other_tops(20), labels)

    assert (comparison.original_right.mean(), len(comparison.right)) == (1, 60)
    assert comparison.right.mean() == pytest.approx(2 / 3)
    assert any("less accurate: 0.667 against 1.000" in reason for reason in judge(comparison).reasons)


def test_other_embeddings_are_refused_even_without_a_head() -> None:
    noisy = replace(
        FASTER, embeddings=EMBEDDINGS + RNG.standard_normal((N, 8)).astype(np.float32), probabilities=None
    )

    comparison = compare(replace(ORIGINAL, probabilities=None), noisy, NONE)

    assert comparison.same_top is None
    assert "the embeddings differ" in judge(comparison).reasons[0]


def test_a_cosine_is_not_flattered_by_what_all_embeddings_share() -> None:
    other = RNG.permutation(EMBEDDINGS)
    plain = (EMBEDDINGS * other).sum(1) / np.linalg.norm(EMBEDDINGS, axis=1) / np.linalg.norm(other, axis=1)

    assert plain.mean() > 0.9
    assert abs(centred_cosine(EMBEDDINGS, other).mean()) < 0.2
    assert np.allclose(centred_cosine(EMBEDDINGS, EMBEDDINGS), 1)
    assert np.isfinite(centred_cosine(np.ones((3, 2), np.float32), np.ones((3, 2), np.float32))).all()


def test_embeddings_that_are_no_numbers_are_refused() -> None:
    broken = replace(FASTER, embeddings=np.full_like(EMBEDDINGS, np.nan))

    assert not judge(compare(ORIGINAL, broken, NONE)).worth


def test_an_embedding_that_collapsed_is_refused() -> None:
    flat = replace(FASTER, embeddings=np.repeat(EMBEDDINGS.mean(0, keepdims=True), N, axis=0))

    assert judge(compare(ORIGINAL, flat, NONE)).worth is False
