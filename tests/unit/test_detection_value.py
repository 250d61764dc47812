"""The benchmark of labels with boxes compares at equal images and at equal boxes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from bench import box_sets
from bench.box_curves import tables
from bench.image_sets import Missing
from matplotlib.figure import Figure

from octospoon.cli.operations.plots import box_curves
from octospoon.training.detector.replay import Point
from octospoon.training.evaluation.box_curves import at_equal_boxes, at_equal_images, lead


def points(*rounds: tuple[int, int, float]) -> list[Point]:
    return [Point(*each) for each in rounds]


RANDOM = points((20, 50, 0.2), (40, 100, 0.4), (80, 200, 0.5), (160, 400, 0.7))
CROWDED = points((20, 50, 0.2), (40, 150, 0.45), (80, 300, 0.6))


def fuller(rounds: list[Point]) -> list[Point]:
    """Return rounds with two more boxes in each."""
    return [each._replace(boxes=each.boxes + 2) for each in rounds]


def test_crowded_images_lead_at_equal_images_alone() -> None:
    assert at_equal_images(CROWDED, RANDOM) == pytest.approx((0.05 + 0.1) / 2)
    assert at_equal_boxes(CROWDED, RANDOM) == pytest.approx(0.0)


def test_random_against_itself_has_no_lead() -> None:
    assert at_equal_images(RANDOM[:3], RANDOM) == 0
    assert at_equal_boxes(RANDOM[:3], RANDOM) == 0


def test_rounds_with_more_boxes_than_random_do_not_count() -> None:
    assert np.isnan(at_equal_boxes(points((20, 50, 0.2), (80, 500, 0.9)), RANDOM))
    assert at_equal_boxes(points((20, 50, 0.2), (40, 100, 0.5), (80, 500, 0.9)), RANDOM) == pytest.approx(0.1)
    assert str(lead(np.array([0.1, np.nan]), 1)) == "cannot be told"


def test_labels_of_the_plot_do_not_overlap(tmp_path, monkeypatch) -> None:
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    seeds = [{"random": each, "sum": CROWDED} for each in (RANDOM, fuller(RANDOM))]
    box_curves({"mosaics": seeds}, tmp_path / "plot.png")

    (figure,) = figures
    figure.canvas.draw()
    by_boxes = [each.get_text() for each in figure.axes[1].xaxis.get_ticklabels()]
    assert by_boxes == ["51", "101", "201", "401"], "the means of random's boxes"
    for axes in figure.axes:
        labels = [each for each in axes.xaxis.get_ticklabels(which="both") if each.get_text()]
        places = [each.get_window_extent() for each in labels]
        assert len(places) == 4
        assert all(one.x1 < other.x0 for one, other in itertools.pairwise(places))


def test_interval_holds_for_all_strategies_together() -> None:
    differences = np.random.default_rng(0).normal(0.02, 0.05, 8)
    alone, together = lead(differences, 1), lead(differences, 3)
    assert together.low < alone.low < alone.mean < alone.high < together.high
    assert alone.mean == pytest.approx(100 * differences.mean())


def test_intervals_contain_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    drawn = [lead(rng.normal(0.01, 0.03, 5), 1) for _ in range(1000)]
    covered = np.mean([each.low <= 1.0 <= each.high for each in drawn])
    assert 0.93 < covered < 0.97


def test_verdict_needs_an_interval_beside_zero() -> None:
    assert lead(np.array([0.1, 0.11, 0.12]), 3).verdict == "better"
    assert lead(-np.array([0.1, 0.11, 0.12]), 3).verdict == "worse"
    assert lead(np.array([0.1, -0.1, 0.02]), 3).verdict == "not shown"
    assert lead(np.array([0.1]), 3).verdict == "not shown", "one seed shows nothing"


def test_tables_show_each_strategy_and_round() -> None:
    lines = list(tables({"mosaics": [{"random": RANDOM, "sum": CROWDED}] * 2}))
    row = next(line for line in lines if line.startswith("| mosaics | 2 | sum |"))
    assert "+7.5 (+7.5 to +7.5), better" in row
    assert any("60.0 (300 boxes)" in line for line in lines)


def test_tested_mosaics_show_other_handwriting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_sets, "MOSAICS", 12)
    monkeypatch.setattr(box_sets, "MOSAICS_TESTED", 6)
    made = box_sets.of_mosaics()
    assert (len(made.pixels), len(made.tested)) == (len(made.targets), len(made.truth)) == (12, 6)
    assert not made.flip, "a mirrored digit is no digit"
    assert all(targets.shape[1] == 5 for targets in (*made.targets, *made.truth))


def test_blood_cells_are_read_with_their_lists() -> None:
    try:
        parts = {part: box_sets.bccd_boxes(part) for part in ("trainval", "test")}
    except Missing as missing:
        pytest.skip(f"BCCD IS NOT TESTED: {missing}")
    assert {part: len(photos) for part, photos in parts.items()} == {"trainval": 292, "test": 72}
    for _, boxes in (*parts["trainval"], *parts["test"]):
        assert (boxes[:, :2] < boxes[:, 2:4]).all()
        assert ((boxes[:, :4] >= 0) & (boxes[:, :4] <= 1)).all()
    classes = np.concatenate([boxes[:, 4] for _, boxes in parts["trainval"]])
    assert (
        np.bincount(classes.astype(int)).tolist() == np.sort(np.bincount(classes.astype(int)))[::-1].tolist()
    )
