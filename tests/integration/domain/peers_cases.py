"""Our choices compared with other libraries'. test_peers.py runs this in the environment with them."""

from __future__ import annotations

import numpy as np
import pytest
from modAL import uncertainty as modal
from skactiveml.pool._uncertainty_sampling import uncertainty_scores
from sklearn.metrics.pairwise import euclidean_distances
from small_text import BreakingTies, LeastConfidence, PredictionEntropy

from octospoon.domain.acquisition import Candidates, strategy, typiclust

pytestmark = pytest.mark.filterwarnings("ignore")
SIZE, CHOSEN = 2000, 50


class Fixed:
    """A classifier for the other libraries, with predictions that exist already."""

    def __init__(self, rows):
        self.rows = rows

    def predict_proba(self, pool, **_):
        return self.rows


@pytest.fixture(name="rows", params=[2, 10, 100], ids="{} classes".format)
def probabilities(request):
    return np.random.default_rng(request.param).dirichlet(np.full(request.param, 0.5), SIZE)


def ours(name, rows):
    return set(
        strategy(name).select(Candidates([f"{i:04d}" for i in range(SIZE)], rows), CHOSEN, "s").tolist()
    )


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("least_confidence", modal.uncertainty_sampling),
        ("margin", modal.margin_sampling),
        ("entropy", modal.entropy_sampling),
    ],
)
def test_modal_chooses_the_same(name, peer, rows):
    indices, _ = peer(Fixed(rows), rows, n_instances=CHOSEN)
    assert ours(name, rows) == set(indices.tolist())


@pytest.mark.parametrize(
    ("name", "method"),
    [("least_confidence", "least_confident"), ("margin", "margin_sampling"), ("entropy", "entropy")],
)
def test_scikit_activeml_scores_the_same_up_to_a_constant_factor(name, method, rows):
    theirs = uncertainty_scores(rows, method=method)
    scores = strategy(name).score(rows)  # type: ignore[misc]
    scale = np.log(rows.shape[1]) if name == "entropy" else 1.0
    assert scores * scale == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "peer"),
    [("least_confidence", LeastConfidence), ("margin", BreakingTies), ("entropy", PredictionEntropy)],
)
def test_small_text_chooses_the_same(name, peer, rows):
    every, nothing = np.arange(SIZE), np.empty(0, np.int64)
    indices = peer().query(Fixed(rows), every, every, nothing, nothing, n=CHOSEN)
    assert ours(name, rows) == set(np.asarray(indices).tolist())


def test_typicality_is_scikit_activemls():
    from skactiveml.pool._typi_clust import _typicality

    points = np.random.default_rng(0).standard_normal((120, 6))
    theirs = _typicality(points, np.arange(120), typiclust.NEIGHBOURS)
    assert typiclust.typicality(points) == pytest.approx(theirs, rel=1e-6)


def test_cluster_batch_covers_the_pool_as_scikit_learns_kmeans_does():
    from sklearn.cluster import KMeans

    points = np.random.default_rng(0).standard_normal((1500, 8))
    rows = np.full((1500, 2), 0.5)
    pool = Candidates([f"{i:04d}" for i in range(1500)], rows, points)
    chosen = points[strategy("margin_diverse").select(pool, 150, "s")]
    centres = KMeans(150, n_init=1, random_state=0).fit(points).cluster_centers_
    nearest = points[euclidean_distances(points, centres).argmin(axis=0)]
    reach, peers = (euclidean_distances(points, centres).min(axis=1).mean() for centres in (chosen, nearest))
    assert reach < 1.05 * peers
