"""PyTorch versions of ONNX operators that rearrange values without computing; see `operators`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from onnx import TensorProto
from torch.nn import functional

from octospoon.training.finetune.operators import given

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from octospoon.training.finetune.operators import Operator, Step

_KINDS = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
}
_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}


def _cast(step: Step, inputs: Sequence[Any]) -> Tensor:
    kind = _KINDS.get(step.get("to"))
    if kind is None:
        raise step.refuse(f"to {TensorProto.DataType.Name(step.get('to'))}")
    return inputs[0].to(kind)


def _constant(step: Step, _: Sequence[Any]) -> Tensor:
    for name, value in step.attributes.items():
        if name == "value":
            return torch.from_numpy(value.copy())
        if name in ("value_int", "value_ints", "value_float", "value_floats"):
            return torch.tensor(value, dtype=torch.int64 if "int" in name else torch.float32)
    raise step.refuse(f"of {', '.join(step.attributes)}")


def _reshape(step: Step, inputs: Sequence[Any]) -> Tensor:
    wanted = inputs[1].tolist()
    if not step.get("allowzero", 0):
        wanted = [inputs[0].shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    return inputs[0].reshape(wanted)


def _flatten(step: Step, inputs: Sequence[Any]) -> Tensor:
    axis = step.get("axis", 1)
    rows = 1
    for size in inputs[0].shape[: axis if axis >= 0 else inputs[0].ndim + axis]:
        rows *= size
    return inputs[0].reshape(rows, -1)


def _transpose(step: Step, inputs: Sequence[Any]) -> Tensor:
    # copied, because oneDNN's backward pass overruns memory on some convolutions of channels-last views
    return inputs[0].permute(step.get("perm") or list(range(inputs[0].ndim))[::-1]).contiguous()


def _squeeze(step: Step, inputs: Sequence[Any]) -> Tensor:
    axes = step.get("axes") if step.opset < 13 else given(inputs, 1)
    return inputs[0].squeeze() if axes is None else inputs[0].squeeze(tuple(int(axis) for axis in axes))


def _unsqueeze(step: Step, inputs: Sequence[Any]) -> Tensor:
    axes = step.get("axes") if step.opset < 13 else inputs[1].tolist()
    value, ndim = inputs[0], inputs[0].ndim + len(axes)
    for axis in sorted(axis % ndim for axis in axes):
        value = value.unsqueeze(axis)
    return value


def _concat(step: Step, inputs: Sequence[Any]) -> Tensor:
    return torch.cat(list(inputs), step.get("axis"))


def _split(step: Step, inputs: Sequence[Any]) -> tuple[Tensor, ...]:
    axis = step.get("axis", 0)
    parts = step.get("split") if step.opset < 13 else given(inputs, 1)
    if parts is None:
        # equal parts; the last is smaller if the axis cannot be divided evenly
        return tuple(inputs[0].split(-(-inputs[0].shape[axis] // len(step.outputs)), axis))
    return tuple(inputs[0].split([int(part) for part in parts], axis))


def _slice(step: Step, inputs: Sequence[Any]) -> Tensor:
    if step.opset < 10:
        starts, ends = step.get("starts"), step.get("ends")
        axes, strides = step.get("axes"), None
    else:
        starts, ends, axes, strides = (_listed(given(inputs, i)) for i in range(1, 5))
    value, steps = inputs[0], strides or [1] * len(starts)
    for start, end, axis, stride in zip(starts, ends, axes or range(len(starts)), steps, strict=True):
        if stride < 1:
            raise step.refuse("with negative steps")
        size = value.shape[axis]
        first, last = (max(0, min(bound + size if bound < 0 else bound, size)) for bound in (start, end))
        value = value.index_select(axis, torch.arange(first, max(first, last), stride, device=value.device))
    return value


def _listed(value: Tensor | None) -> Any:  # noqa: ANN401
    return None if value is None else value.tolist()


def _gather(step: Step, inputs: Sequence[Any]) -> Tensor:
    axis, wanted = step.get("axis", 0), inputs[1]
    axis %= inputs[0].ndim
    flat = torch.where(wanted < 0, wanted + inputs[0].shape[axis], wanted).reshape(-1).long()
    flat = flat.to(inputs[0].device)
    shape = (*inputs[0].shape[:axis], *wanted.shape, *inputs[0].shape[axis + 1 :])
    return inputs[0].index_select(axis, flat).reshape(shape)


def _pad(step: Step, inputs: Sequence[Any]) -> Tensor:
    value, mode = inputs[0], _MODES.get(step.get("mode", "constant"))
    if mode is None:
        raise step.refuse(f"in the mode {step.get('mode')}")
    older = step.opset < 11
    widths = step.get("pads") if older else inputs[1].tolist()
    filler = step.get("value", 0.0) if older else given(inputs, 2)
    axes = _listed(given(inputs, 3)) or list(range(value.ndim))
    pairs = dict.fromkeys(range(value.ndim), (0, 0))
    for i, axis in enumerate(axes):
        pairs[axis % value.ndim] = (widths[i], widths[len(axes) + i])
    if mode == "constant":
        flat = [width for axis in reversed(range(value.ndim)) for width in pairs[axis]]
        return functional.pad(value, flat, value=0.0 if filler is None else float(filler))
    if value.ndim != 4 or any(pairs[0] + pairs[1]):
        raise step.refuse(f"in the mode {step.get('mode')} on axes other than height and width")
    return functional.pad(value, [*pairs[3], *pairs[2]], mode=mode)


def _expand(_: Step, inputs: Sequence[Any]) -> Tensor:
    return inputs[0].expand(torch.broadcast_shapes(inputs[0].shape, tuple(inputs[1].tolist())))


def _shape(step: Step, inputs: Sequence[Any]) -> Tensor:
    return torch.tensor(list(inputs[0].shape)[step.get("start", 0) : step.get("end")], dtype=torch.int64)


def _same(_: Step, inputs: Sequence[Any]) -> Tensor:
    return inputs[0]


OPERATORS: dict[str, Operator] = {
    "Cast": _cast,
    "Concat": _concat,
    "Constant": _constant,
    "Dropout": _same,  # as in service
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _same,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
