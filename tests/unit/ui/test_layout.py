"""The projection, the map and the placing of images that arrive later."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from octospoon.domain.errors import ServiceUnavailable
from octospoon.ui import map_file
from octospoon.ui.fit_map import fit
from octospoon.ui.layout import fit_projection, nearest, placed, plane
from octospoon.ui.map_file import PoolMap, compute, place

RNG = np.random.default_rng(0)
GROUPS = np.repeat(np.arange(3), 40)
EMBEDDINGS = (RNG.normal(size=(3, 24))[GROUPS] * 5 + RNG.normal(size=(120, 24))).astype(np.float16)
IDS = [f"{i:016x}" for i in range(120)]
COPY_FIRST_TWO = "import sys, numpy; numpy.save(sys.argv[2], numpy.load(sys.argv[1])[:, :2])"


def test_projection_is_that_of_a_singular_value_decomposition():
    projection = fit_projection(EMBEDDINGS, 5)
    centred = EMBEDDINGS.astype(np.float64) - EMBEDDINGS.astype(np.float64).mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    assert np.abs(np.sum(projection.axes * axes[:5].T, axis=0)) == pytest.approx(np.ones(5), abs=1e-3)
    assert projection(EMBEDDINGS) == pytest.approx(centred @ projection.axes, abs=1e-2)


def test_the_same_data_in_any_order_give_the_same_axes():
    order = RNG.permutation(len(EMBEDDINGS))
    assert fit_projection(EMBEDDINGS[order], 5).axes == pytest.approx(
        fit_projection(EMBEDDINGS, 5).axes, abs=1e-3
    )


@pytest.mark.parametrize(("n", "dim"), [(1, 24), (2, 24), (9, 1)])
def test_few_images_or_numbers_have_a_plane_too(n, dim):
    few = EMBEDDINGS[:n, :dim]
    flat = plane(fit_projection(few)(few))
    assert flat.shape == (n, 2)
    assert np.isfinite(flat).all()


def test_nearest_points_come_in_the_order_of_their_distance():
    known = RNG.normal(size=(50, 4)).astype(np.float32)
    distances = np.linalg.norm(known - known[7], axis=1)
    assert nearest(known[7:8], known, 6)[0].tolist() == distances.argsort()[:6].tolist()
    assert nearest(known[:2], known[:3], 6).shape == (2, 3)


def test_a_new_point_is_placed_inside_its_group():
    places = np.array([[0, 0], [100, 0], [0, 100]], np.float32)[GROUPS]
    reduced = fit_projection(EMBEDDINGS)(EMBEDDINGS)
    assert placed(reduced[::10], reduced, places) == pytest.approx(places[::10])


def test_a_map_keeps_groups_together_each_time():
    reduced = fit_projection(EMBEDDINGS)(EMBEDDINGS)
    places = fit(reduced)
    assert places == pytest.approx(fit(reduced))
    near = nearest(places, places, 6)[:, 1:]
    assert (GROUPS[near] == GROUPS[:, np.newaxis]).mean() > 0.95


def test_the_process_of_a_map_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(map_file, "PROGRAM", (sys.executable, "-c", COPY_FIRST_TWO))
    made = compute(IDS, EMBEDDINGS, tmp_path)
    assert made.places == pytest.approx(plane(made.reduced))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_process_is_reported_by_its_last_line(tmp_path, monkeypatch):
    monkeypatch.setattr(map_file, "PROGRAM", (sys.executable, "-c", "raise MemoryError('too many images')"))
    with pytest.raises(ServiceUnavailable, match="MemoryError: too many images"):
        compute(IDS, EMBEDDINGS, tmp_path)


def test_a_stored_map_moves_no_known_image(tmp_path):
    places = RNG.normal(size=(100, 2)).astype(np.float32)
    projection = fit_projection(EMBEDDINGS[:100])
    PoolMap(projection, IDS[:100], projection(EMBEDDINGS[:100]), places).save(tmp_path / "map")

    now = place(PoolMap.load(tmp_path / "map"), IDS, EMBEDDINGS)

    assert now.mapped
    assert not now.outdated
    assert now.places[:100] == pytest.approx(places)
    assert np.isfinite(now.places).all()


def test_too_many_new_images_make_a_map_outdated():
    projection = fit_projection(EMBEDDINGS[:90])
    stored = PoolMap(projection, IDS[:90], projection(EMBEDDINGS[:90]), np.zeros((90, 2), np.float32))
    assert place(stored, IDS, EMBEDDINGS).outdated


def test_without_a_map_the_components_are_shown_first():
    now = place(None, IDS, EMBEDDINGS)
    assert (now.mapped, now.outdated) == (False, True)
    assert now.places == pytest.approx(plane(now.reduced))
    assert not place(None, IDS[: map_file.FEWEST - 1], EMBEDDINGS[: map_file.FEWEST - 1]).outdated


def test_a_map_of_another_backbone_is_not_used():
    projection = fit_projection(EMBEDDINGS[:, :8])
    stored = PoolMap(projection, IDS, projection(EMBEDDINGS[:, :8]), np.zeros((120, 2), np.float32))
    assert not place(stored, IDS, EMBEDDINGS).mapped


@pytest.mark.parametrize("content", [b"", b"OSP1", b"OSP1\xff\xff\xff\xff{}", b"OSP1\x02\x00\x00\x00{}"])
def test_a_damaged_map_is_computed_anew(tmp_path, content):
    (tmp_path / "map").write_bytes(content)
    assert PoolMap.load(tmp_path / "map") is None
    assert PoolMap.load(tmp_path / "none") is None
