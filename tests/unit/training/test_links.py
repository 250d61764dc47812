"""What turns predictions of the ridge regression into probabilities of several classes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from octospoon.domain.model_spec import SIGMOID
from octospoon.training.head import calibration
from octospoon.training.head.links import LINKS

LINK = LINKS[SIGMOID]


def made(count: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noisy predictions [N, 3], targets [N, 3] and weights [N]."""
    rng = np.random.default_rng(seed)
    targets = (rng.uniform(size=(count, 3)) < [0.5, 0.3, 0.1]).astype(np.float64)
    predictions = 0.3 * targets + 0.2 + 0.2 * rng.standard_normal((count, 3))
    return predictions, targets, rng.uniform(0.5, 2, count)


def loss(predictions: np.ndarray, smoothed: np.ndarray, scale: float, offsets: np.ndarray) -> float:
    logits = scale * (2 * predictions - 1) + offsets
    both = np.stack([-np.logaddexp(0, -logits), -np.logaddexp(0, logits)], axis=2)
    return float(-(smoothed * both).sum() / smoothed.sum())


def test_the_smoothed_outcomes_add_up_to_the_weight() -> None:
    _, targets, weights = made()
    smoothed = LINK.smoothed(targets, weights, 160)

    assert smoothed.sum(axis=2) == pytest.approx(np.repeat(weights[:, np.newaxis], 3, axis=1))
    present = targets[:, 0].mean() * 160
    assert smoothed[targets[:, 0] == 1, 0, 0] == pytest.approx(
        weights[targets[:, 0] == 1] * (present + 1) / (present + 2)
    )


def test_scales_of_sigmoids_are_those_of_a_search() -> None:
    predictions, targets, weights = made()
    smoothed = LINK.smoothed(targets, weights, 80)

    found, losses = LINK.scales(np.stack([predictions, 3 * predictions - 1]), smoothed, 80)

    for at, model in enumerate((predictions, 3 * predictions - 1)):

        def penalised(log: np.ndarray, model: np.ndarray = model) -> float:
            away = log[0] - np.log(calibration.TYPICAL_SCALE)
            prior = calibration.PRIOR * away**2 / (2 * 80)
            return loss(model, smoothed, np.exp(log[0]), np.zeros(3)) + prior

        best = minimize(penalised, [1.0], method="Nelder-Mead", options={"xatol": 1e-8})
        assert found[at] == pytest.approx(np.exp(best.x[0]), rel=1e-3)
        assert losses[at] == pytest.approx(best.fun, abs=1e-6)


def test_scale_and_offsets_minimise_the_loss_with_its_priors() -> None:
    predictions, targets, weights = made()
    smoothed = LINK.smoothed(targets, weights, 80)

    factor, added = LINK.scale_and_offsets(predictions, smoothed, 80, 5.0)

    scale, offsets = factor / 2, added + factor / 2

    def penalised(values: np.ndarray) -> float:
        away = values[0] - np.log(calibration.TYPICAL_SCALE)
        prior = away**2 + float(values[1:] @ values[1:]) / 3
        return loss(predictions, smoothed, np.exp(values[0]), values[1:]) + calibration.PRIOR * prior / 160

    best = minimize(penalised, np.zeros(4), method="BFGS", options={"gtol": 1e-8})
    assert [np.log(scale), *offsets] == pytest.approx(best.x, abs=1e-3)


def test_a_class_without_labels_gets_its_chance() -> None:
    predictions, targets, weights = made()
    targets[:, 2], predictions[:, 2] = 0, 0
    smoothed = LINK.smoothed(targets, np.ones(len(weights)), 80)

    factor, added = LINK.scale_and_offsets(predictions, smoothed, 80, 5.0)

    chance = LINK.probabilities(factor * predictions + added)[:, 2]
    assert 0.001 < chance.max() < 0.05
