"""Weights are read exactly from PyTorch's own files, and no code in a file is run."""

from __future__ import annotations

import collections
import os
import pickle

import numpy as np
import pytest
from unit.training.pytorch_files import MAGIC, PROTOCOL, Tensor, written

from octospoon.domain.errors import BadModel
from octospoon.training.backbone.pytorch_file import read_tensors

NUMBERS = np.random.default_rng(0).normal(size=60).astype(np.float32)


def test_tensors_are_read_bit_by_bit() -> None:
    arrays: dict[str, np.ndarray] = {
        "weights": NUMBERS.reshape(3, 4, 5),
        "odd numbers": np.array([np.nan, np.inf, -0.0, 1e-45], np.float32),
        "count": np.array(7, np.int64),
        "counts": np.arange(4, dtype=np.int64),
    }
    tensors = read_tensors(written(arrays))
    assert list(tensors) == list(arrays)
    for name, array in arrays.items():
        assert (tensors[name].dtype, tensors[name].shape) == (array.dtype, array.shape)
        assert tensors[name].tobytes() == array.tobytes()


def test_views_of_one_storage_are_read_with_their_strides() -> None:
    views = {
        "transposed": Tensor("0", NUMBERS, 0, (10, 6), (1, 10)),
        "part": Tensor("0", NUMBERS, 12, (2, 3), (20, 2)),
        "all": Tensor("0", NUMBERS, 0, (60,), (1,)),
    }
    tensors = read_tensors(written(views))
    np.testing.assert_array_equal(tensors["transposed"], NUMBERS.reshape(6, 10).T)
    np.testing.assert_array_equal(tensors["part"], NUMBERS[[[12, 14, 16], [32, 34, 36]]])
    np.testing.assert_array_equal(tensors["all"], NUMBERS)


class Harmful:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.folder,)


def test_nothing_in_a_file_is_run(tmp_path) -> None:
    goal = tmp_path / "made by the file"
    start = b"".join(pickle.dumps(value, protocol=2) for value in (MAGIC, PROTOCOL, {"little_endian": True}))
    harmful = [Harmful(str(goal)), {"weights": Harmful(str(goal))}, os.system, eval]
    for value in harmful:
        with pytest.raises(BadModel, match="only tensors are read"):
            read_tensors(start + pickle.dumps(value, protocol=2))
        with pytest.raises(BadModel, match="only tensors are read"):
            read_tensors(pickle.dumps(value, protocol=2))
    assert not goal.exists()


def test_file_that_is_cut_short_is_refused() -> None:
    data = written({"weights": NUMBERS.reshape(6, 10), "bias": NUMBERS[:6]})
    assert read_tensors(data)
    for end in range(len(data)):
        with pytest.raises(BadModel):
            read_tensors(data[:end])


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("0", NUMBERS, 1, (60,), (1,)),
        Tensor("0", NUMBERS, 0, (61,), (1,)),
        Tensor("0", NUMBERS, 60, (), ()),
        Tensor("0", NUMBERS, 0, (7, 10), (10, 1)),
        Tensor("0", NUMBERS, -1, (4,), (1,)),
        Tensor("0", NUMBERS, 30, (4,), (-1,)),
        Tensor("0", NUMBERS, 0, (-4,), (1,)),
        Tensor("0", NUMBERS, 0, (10**6, 10**6), (0, 0)),
    ],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tensor: Tensor) -> None:
    with pytest.raises(BadModel, match="beyond its storage"):
        read_tensors(written({"weights": tensor}))


def test_other_files_are_refused() -> None:
    for data in (
        b"",
        b"PK\x03\x04 a newer PyTorch writes zip files",
        pickle.dumps(collections.OrderedDict()),
    ):
        with pytest.raises(BadModel, match=r"PyTorch before 1\.6"):
            read_tensors(data)
    with pytest.raises(BadModel, match="big-endian"):
        read_tensors(written({"weights": NUMBERS}, little_endian=False))
    longer = written({"weights": NUMBERS}).replace(np.int64(60).tobytes(), np.int64(59).tobytes())
    with pytest.raises(BadModel, match="59 numbers"):
        read_tensors(longer)
