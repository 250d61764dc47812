"""Writes files in the format of PyTorch before 1.6, without PyTorch."""

from __future__ import annotations

import collections
import io
import pickle
import sys
import types
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {np.dtype("<f4"): "FloatStorage", np.dtype("<i8"): "LongStorage"}


class Tensor:
    """A view of a storage, as PyTorch pickles a tensor."""

    def __init__(
        self, key: str, numbers: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        self.key, self.numbers = key, numbers
        self.offset, self.shape, self.strides = offset, shape, strides

    @classmethod
    def whole(cls, key: str, array: np.ndarray) -> Tensor:
        strides = tuple(step // array.itemsize for step in np.ascontiguousarray(array).strides)
        return cls(key, array.reshape(-1), 0, array.shape, strides[: array.ndim])

    def __reduce__(self) -> tuple[Any, ...]:
        torch = sys.modules["torch._utils"]
        arguments = (Storage(self.key, self.numbers), self.offset, self.shape, self.strides, False, {})
        return torch._rebuild_tensor_v2, arguments


class Storage:
    def __init__(self, key: str, numbers: np.ndarray) -> None:
        self.key, self.numbers = key, numbers


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> tuple[Any, ...] | None:
        if not isinstance(value, Storage):
            return None
        kind = getattr(sys.modules["torch"], STORAGES[value.numbers.dtype])
        return ("storage", kind, value.key, "cpu", len(value.numbers), None)


def _torch() -> Iterator[tuple[str, types.ModuleType]]:
    """Yield modules that define the names in such a file."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2() -> None: ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    yield "torch", torch
    yield "torch._utils", utils


def written(tensors: Mapping[str, Tensor | np.ndarray], *, little_endian: bool = True) -> bytes:
    """Return the content of a file with these tensors."""
    views = collections.OrderedDict(
        (name, value if isinstance(value, Tensor) else Tensor.whole(str(i), value))
        for i, (name, value) in enumerate(tensors.items())
    )
    storages = {view.key: view.numbers for view in views.values()}
    file = io.BytesIO()
    before = {name: sys.modules.get(name) for name, _ in _torch()}
    sys.modules.update(dict(_torch()))
    try:
        for value in (MAGIC, PROTOCOL, {"little_endian": little_endian, "protocol_version": PROTOCOL}):
            pickle.dump(value, file, protocol=2)
        _Pickler(file, protocol=2).dump(views)
        pickle.dump(sorted(storages), file, protocol=2)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    for key in sorted(storages):
        file.write(np.int64(len(storages[key])).tobytes() + storages[key].tobytes())
    return file.getvalue()
