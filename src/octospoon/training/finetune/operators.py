"""PyTorch versions of ONNX operators that compute: layers, activations, arithmetic.

Each is a function of a step and its inputs (None for an omitted input) and follows the ONNX operator schemas
(https://onnx.ai/onnx/operators/), for feature maps [N, C, H, W]. Other operators cannot be fine-tuned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    Operator = Callable[["Step", Sequence[Any]], Any]

_TINY = 1e-20


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a graph.

    Attributes:
        op: the name of the operator.
        name: the name of the node, for messages.
        inputs: names of the input tensors; empty for an omitted input.
        outputs: names of the output tensors.
        attributes: the attributes as Python values; tensors as numpy arrays.
        opset: the version of the operator set.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  any ONNX type
        """Return an attribute, or the default if the node lacks it."""
        return self.attributes.get(name, default)

    def refuse(self, why: str) -> BadRequest:
        """Return the error to raise if this node cannot be fine-tuned; `why` follows the operator's name."""
        return BadRequest(
            f"fine-tuning does not support {self.op} {why} (node {self.name!r}): use Trainer=head"
        )


def given(inputs: Sequence[Any], position: int) -> Any:  # noqa: ANN401
    """Return an input, or None if it is omitted."""
    return inputs[position] if position < len(inputs) else None


def _conv(step: Step, inputs: Sequence[Any]) -> Tensor:
    # views are copied: see `_transpose` in shapes.py
    maps, weights, bias = inputs[0].contiguous(), inputs[1].contiguous(), given(inputs, 2)
    strides, dilations = _pair(step, "strides"), _pair(step, "dilations")
    pads = _pads(step, maps, weights.shape[2:], strides, dilations)
    return functional.conv2d(
        functional.pad(maps, pads), weights, bias, strides, 0, dilations, step.get("group", 1)
    )


def _max_pool(step: Step, inputs: Sequence[Any]) -> Tensor:
    maps, own = _padded(step, inputs[0], float("-inf"))
    kernel, strides, dilations = step.get("kernel_shape"), _pair(step, "strides"), _pair(step, "dilations")
    return functional.max_pool2d(maps, kernel, strides, own, dilations, bool(step.get("ceil_mode", 0)))


def _average_pool(step: Step, inputs: Sequence[Any]) -> Tensor:
    if _pair(step, "dilations") != [1, 1]:
        raise step.refuse("with dilations")
    maps, own = _padded(step, inputs[0], 0.0)
    kernel, strides, ceil = step.get("kernel_shape"), _pair(step, "strides"), bool(step.get("ceil_mode", 0))
    whole = bool(step.get("count_include_pad", 0))
    pooled = functional.avg_pool2d(maps, kernel, strides, own, ceil, whole)
    if whole or maps is inputs[0]:
        return pooled
    # the average must leave out the padding
    share, _ = _padded(step, torch.ones_like(inputs[0][:1, :1]), 0.0)
    return pooled / functional.avg_pool2d(share, kernel, strides)


def _padded(step: Step, maps: Tensor, value: float) -> tuple[Tensor, tuple[int, int]]:
    """Return padded maps, and the padding that the pooling must add itself, which ceil_mode requires."""
    pads = _pads(step, maps, step.get("kernel_shape"), _pair(step, "strides"), _pair(step, "dilations"))
    if not any(pads):
        return maps, (0, 0)
    if not step.get("ceil_mode", 0):
        return functional.pad(maps, pads, value=value), (0, 0)
    left, right, top, bottom = pads
    if (left, top) != (right, bottom):
        raise step.refuse("with uneven pads in ceil_mode")
    return maps, (top, left)


def _pair(step: Step, name: str) -> list[int]:
    return list(step.get(name) or [1, 1])


def _pads(
    step: Step, maps: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Return the padding in the order of `functional.pad`: left, right, top, bottom."""
    if maps.ndim != 4:
        raise step.refuse(f"on {maps.ndim} dimensions")
    auto = step.get("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID"):
        top, left, bottom, right = (step.get("pads") if auto == "NOTSET" else None) or [0, 0, 0, 0]
        return [left, right, top, bottom]
    pads: list[int] = []
    for size, width, stride, dilation in zip(maps.shape[2:], kernel, strides, dilations, strict=True):
        whole = max(0, (-(-size // stride) - 1) * stride + (width - 1) * dilation + 1 - size)
        less, more = whole // 2, whole - whole // 2
        pads = ([less, more] if auto == "SAME_UPPER" else [more, less]) + pads
    return pads


def _batch_norm(step: Step, inputs: Sequence[Any]) -> Tensor:
    """Normalise by the stored mean and variance, as in service; small batches would give poor estimates."""
    if step.get("training_mode", 0):
        raise step.refuse("in training mode")
    maps, scale, bias, mean, variance = inputs[:5]
    return functional.batch_norm(
        maps, mean, variance, scale, bias, training=False, eps=step.get("epsilon", 1e-5)
    )


def _layer_norm(step: Step, inputs: Sequence[Any]) -> Tensor:
    values, scale, bias = inputs[0], inputs[1], given(inputs, 2)
    shape = values.shape[step.get("axis", -1) :]
    normal = functional.layer_norm(values, shape, eps=step.get("epsilon", 1e-5))
    return normal * scale if bias is None else normal * scale + bias


def _gemm(step: Step, inputs: Sequence[Any]) -> Tensor:
    left = inputs[0].T if step.get("transA", 0) else inputs[0]
    right = inputs[1].T if step.get("transB", 0) else inputs[1]
    product, bias = step.get("alpha", 1.0) * (left @ right), given(inputs, 2)
    return product if bias is None else product + step.get("beta", 1.0) * bias


def _clip(step: Step, inputs: Sequence[Any]) -> Tensor:
    low, high = (
        (step.get("min"), step.get("max")) if step.opset < 11 else (given(inputs, 1), given(inputs, 2))
    )
    if low is None and high is None:
        return inputs[0]
    return torch.clamp(inputs[0], *(None if limit is None else float(limit) for limit in (low, high)))


def _softmax(step: Step, inputs: Sequence[Any]) -> Tensor:
    if step.opset >= 13:
        return functional.softmax(inputs[0], step.get("axis", -1))
    # before opset 13, softmax covers all axes from `axis` on
    axis = step.get("axis", 1) % inputs[0].ndim
    flat = inputs[0].flatten(axis) if axis < inputs[0].ndim else inputs[0]
    return functional.softmax(flat, -1).reshape(inputs[0].shape)


def _sqrt(_: Step, inputs: Sequence[Any]) -> Tensor:
    """Return the root with gradient zero at zero; the infinite gradient would make all others NaN."""
    positive = inputs[0] > _TINY
    return torch.where(
        positive, torch.sqrt(torch.where(positive, inputs[0], 1.0)), torch.zeros_like(inputs[0])
    )


def _divide(_: Step, inputs: Sequence[Any]) -> Tensor:
    whole = not inputs[0].is_floating_point()
    return torch.div(*inputs, rounding_mode="trunc" if whole else None)


def _reduced(how: Callable[..., Tensor], attribute_before: int) -> Operator:
    """Return a reduction operator whose axes are an attribute before the given opset, then an input."""

    def operator(step: Step, inputs: Sequence[Any]) -> Tensor:
        axes = step.get("axes") if step.opset < attribute_before else given(inputs, 1)
        if axes is None or not len(axes):
            if step.get("noop_with_empty_axes", 0):
                return inputs[0]
            axes = range(inputs[0].ndim)
        return how(inputs[0], dim=[int(axis) for axis in axes], keepdim=bool(step.get("keepdims", 1)))

    return operator


def _pooled(how: Callable[..., Tensor]) -> Operator:
    return lambda _, inputs: how(inputs[0], dim=tuple(range(2, inputs[0].ndim)), keepdim=True)


def _plain(how: Callable[..., Tensor]) -> Operator:
    """Return an operator that passes all its inputs to a function."""
    return lambda _, inputs: how(*inputs)


def _hard_sigmoid(step: Step, inputs: Sequence[Any]) -> Tensor:
    return torch.clamp(step.get("alpha", 0.2) * inputs[0] + step.get("beta", 0.5), 0.0, 1.0)


def _gelu(step: Step, inputs: Sequence[Any]) -> Tensor:
    return functional.gelu(inputs[0], approximate=step.get("approximate", "none"))


def _lp_norm(step: Step, inputs: Sequence[Any]) -> Tensor:
    return functional.normalize(inputs[0], p=step.get("p", 2), dim=step.get("axis", -1))


def _prelu(_: Step, inputs: Sequence[Any]) -> Tensor:
    return torch.where(inputs[0] >= 0, inputs[0], inputs[0] * inputs[1])


OPERATORS: dict[str, Operator] = {
    "Abs": _plain(torch.abs),
    "Add": _plain(torch.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Clip": _clip,
    "Conv": _conv,
    "Div": _divide,
    "Elu": lambda step, inputs: functional.elu(inputs[0], step.get("alpha", 1.0)),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": _pooled(torch.mean),
    "GlobalMaxPool": _pooled(torch.amax),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(functional.hardswish),
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda step, inputs: functional.leaky_relu(inputs[0], step.get("alpha", 0.01)),
    "Log": _plain(torch.log),
    "LpNormalization": _lp_norm,
    "MatMul": _plain(torch.matmul),
    "MaxPool": _max_pool,
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "PRelu": _prelu,
    "Pow": _plain(torch.pow),
    "Reciprocal": _plain(torch.reciprocal),
    "ReduceL2": _reduced(torch.linalg.vector_norm, 18),
    "ReduceMean": _reduced(torch.mean, 18),
    "ReduceSum": _reduced(torch.sum, 13),
    "Relu": _plain(functional.relu),
    "Sigmoid": _plain(torch.sigmoid),
    "Softmax": _softmax,
    "Softplus": _plain(functional.softplus),
    "Sqrt": _sqrt,
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
}
