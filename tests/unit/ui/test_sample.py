"""A uniform sample of a pool of any size, with the embeddings of its images."""

from __future__ import annotations

import numpy as np
import pytest

from octospoon.domain.pool.images import PoolImage, State
from octospoon.domain.pool.keys import sampling_key
from octospoon.ui.sample import read_sample


def image(i: int, backbone: str = "b", state: State = State.SCORED, dim: int = 3) -> PoolImage:
    vector = None if state is State.QUARANTINED else np.full(dim, i, np.float16)
    return PoolImage(f"k{i}", "e", state, 1, backbone, vector, None, 0.0, None, 0, "", False, "", "")


def kept(sample) -> dict[str, list[float] | None]:
    return {
        each.key: None if row < 0 else sample.embeddings[row].tolist()
        for each, row in zip(sample.images, sample.rows.tolist(), strict=True)
    }


def test_a_small_pool_is_kept_whole(tmp_path):
    sample = read_sample([image(i) for i in range(5)], "b", tmp_path / "spool")
    assert kept(sample) == {f"k{i}": [i] * 3 for i in range(5)}
    assert (sample.total, sample.counts[State.SCORED]) == (5, 5)


def test_an_empty_pool_has_no_embeddings(tmp_path):
    sample = read_sample([], "b", tmp_path / "spool")
    assert (sample.images, sample.embeddings, sample.total) == ([], None, 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_large_pool_is_sampled_by_its_sampling_keys(tmp_path, seed):
    kinds = [image(i) for i in range(60)]
    kinds += [image(i, "other") for i in range(60, 90)]
    kinds += [image(i, state=State.QUARANTINED) for i in range(90, 120)]
    order = np.random.default_rng(seed).permutation(120)

    sample = read_sample([kinds[i] for i in order], "b", tmp_path / "spool", limit=20)

    lowest = sorted((f"k{i}" for i in range(120)), key=sampling_key)[:20]
    assert [each.key for each in sample.images] == lowest
    assert sample.total == 120
    expected = {key: [int(key[1:])] * 3 if int(key[1:]) < 60 else None for key in lowest}
    assert kept(sample) == expected
    assert len(sample.embeddings) == sum(value is not None for value in expected.values())
    assert all(each.embedding is None for each in sample.images)


def test_an_embedding_of_another_length_is_not_comparable(tmp_path):
    sample = read_sample([image(1), image(2, dim=4)], "b", tmp_path / "spool")
    assert kept(sample) == {"k1": [1, 1, 1], "k2": None}
