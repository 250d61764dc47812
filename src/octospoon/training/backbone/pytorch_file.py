"""Reads tensors from a file that PyTorch before 1.6 wrote, without PyTorch and without running its code.

Such a file holds five pickles (magic number, protocol version, machine, the object, names of the storages),
then each storage: its length as int64, and its numbers. PyTorch's `torch/serialization.py` calls it legacy.
"""

from __future__ import annotations

import collections
import io
import pickle
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from octospoon.domain.errors import BadModel

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
"""PyTorch's storage classes that a file may name, with the types of their numbers."""


@dataclass(slots=True)
class _Storage:
    """The numbers that tensors are views of; the file holds them behind the tensors."""

    kind: np.dtype[Any]
    count: int
    numbers: npt.NDArray[Any]


@dataclass(slots=True)
class _Tensor:
    """A view of a storage, with the arguments of PyTorch's `_rebuild_tensor_v2`."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool
    hooks: object

    def array(self) -> npt.NDArray[Any]:
        """Return the tensor's numbers; raises BadModel if it reaches beyond its storage."""
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        numbers, size = self.storage.numbers, self.storage.kind.itemsize
        outside = min((self.offset, *self.strides, *self.shape)) < 0 or last >= len(numbers)
        if outside or prod(self.shape) > len(numbers):
            raise BadModel("a tensor reaches beyond its storage")
        view = np.lib.stride_tricks.as_strided(
            numbers[self.offset :], self.shape, [step * size for step in self.strides]
        )
        return np.ascontiguousarray(view).reshape(self.shape)


class _Unpickler(pickle.Unpickler):
    """Admits dictionaries of tensors; every other class or function is an error."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as pickle has it
        """Return what stands for a class or function of the file."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in _STORAGES:
            return np.dtype(_STORAGES[name])
        raise BadModel(f"the file names {module}.{name}, and only tensors are read from it")

    def persistent_load(self, saved: Any) -> _Storage:  # noqa: ANN401 - as pickle has it
        """Return the storage that a tensor names."""
        what, kind, key, _device, count, view = saved
        if what != "storage" or view is not None:
            raise BadModel("the file holds something else than plain tensors")
        return self.storages.setdefault(key, _Storage(kind, count, np.empty(0, kind)))


def read_tensors(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a file by name, float32 or int64 of any shape.

    Args:
        data: the content of a file that holds a dictionary of tensors.

    Raises:
        BadModel: it is no such file, is cut short, or holds anything but tensors.
    """
    try:
        return _read(io.BytesIO(data))
    except BadModel:
        raise
    except Exception as error:  # a damaged pickle raises whatever its damaged operations meet
        raise BadModel(f"this is no file of tensors that PyTorch before 1.6 wrote: {error!r}") from error


def _read(file: io.BytesIO) -> dict[str, npt.NDArray[Any]]:
    if (_Unpickler(file).load(), _Unpickler(file).load()) != (_MAGIC, _PROTOCOL):
        raise BadModel("this is no file of tensors that PyTorch before 1.6 wrote")
    if not _Unpickler(file).load()["little_endian"]:
        raise BadModel("a big-endian machine wrote the file")
    content = _Unpickler(file)
    tensors = content.load()
    for key in _Unpickler(file).load():
        _fill(content.storages[key], file)
    return {name: tensor.array() for name, tensor in tensors.items()}


def _fill(storage: _Storage, file: io.BytesIO) -> None:
    (count,) = np.frombuffer(file.read(8), "<i8")
    if count != storage.count:
        raise BadModel(f"a storage holds {count} numbers, and its tensors expect {storage.count}")
    storage.numbers = np.frombuffer(file.read(int(count) * storage.kind.itemsize), storage.kind)
    if len(storage.numbers) != count:
        raise BadModel("the file is cut short")
