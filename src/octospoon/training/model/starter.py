"""Build the starter backbone, a fixed wavelet-scattering network in ONNX that needs no training or download.

Scattering follows Mallat 2012 (arXiv 1101.2286) and Bruna and Mallat 2013 (arXiv 1203.1513): Morlet wavelets
in SCALES octaves and ANGLES directions, the modulus, both once more, and averages on a grid. Then come a
logarithm, centring, and a random projection (Johnson and Lindenstrauss 1984). Nothing is fitted to data.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.training.graph.builder import Builder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

SIZE = 32
DIM = 512
RESIZE = "squash"
OPSET = 18
IR_VERSION = 9
SCALES = 3
ANGLES = 8
GRID = 4
EPSILON = 1e-3
CENTRE = {(): -1.2, (0,): -4.5, (1,): -4.0, (2,): -3.6, (0, 1): -6.0, (0, 2): -5.9, (1, 2): -5.7}
"""Typical log-averages by path (octaves of the wavelets), measured on photos and drawn digits."""
_SIGMA = 0.8
_FREQUENCY = 0.75 * np.pi


def morlet(scale: int, angle: int) -> npt.NDArray[np.complex128]:
    """Return the Morlet wavelet of an octave and a direction, complex128 [K, K], with zero mean.

    Bandwidth, frequency and slant follow Bruna and Mallat 2013 and kymatio's ``filter_bank``.
    """
    sigma, slant, theta = _SIGMA * 2**scale, 4.0 / ANGLES, np.pi * angle / ANGLES
    radius = int(np.ceil(4.5 * sigma))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    along, across = np.cos(theta) * x + np.sin(theta) * y, np.cos(theta) * y - np.sin(theta) * x
    envelope = np.exp(-(along**2 + (slant * across) ** 2) / (2 * sigma**2))
    wave = envelope * np.exp(1j * _FREQUENCY / 2**scale * along)
    wave -= envelope * (wave.sum() / envelope.sum())
    result: npt.NDArray[np.complex128] = wave * slant / (2 * np.pi * sigma**2)
    return result


def projection(features: int, dim: int) -> npt.NDArray[np.float32]:
    """Return random signs divided by sqrt(features), float32 [features, dim], equal on every machine.

    Random signs project as well as Gaussian numbers (Achlioptas 2003, doi 10.1016/S0022-0000(03)00025-4).
    """
    stream = hashlib.shake_256(b"octospoon scattering").digest(-(-features * dim // 8))
    bits = np.unpackbits(np.frombuffer(stream, np.uint8))[: features * dim].reshape(features, dim)
    return (bits.astype(np.float32) * 2 - 1) / np.float32(np.sqrt(features))


def build(size: int = SIZE, dim: int = DIM, shrink: int = 1) -> bytes:
    """Return the backbone as an ONNX file: uint8 [N, size * shrink, size * shrink, 3] -> float32 [N, dim].

    Args:
        size: height and width in pixels at the wavelets, a multiple of 16.
        dim: length of the embedding.
        shrink: the factor by which the input is larger; squares of shrink × shrink pixels are averaged.

    Raises:
        ValueError: the size is not a multiple of 16.
    """
    if size % 16:
        raise ValueError(f"the size must be a multiple of 16, not {size}")
    graph = Builder()
    grey = _grey(graph, size, shrink)
    features = [_average(graph, grey, size, 1, GRID)]
    for first in range(SCALES):
        order1, width = _modulus(graph, grey, size, first, 0)
        features.append(_average(graph, order1, width, ANGLES, GRID))
        for second in range(first + 1, SCALES):
            single = graph.reshape(order1, [-1, 1, width, width], f"{order1}_{second}_in")
            order2, narrow = _modulus(graph, single, width, second, first)
            features.append(_average(graph, order2, narrow, ANGLES * ANGLES, GRID))
    _project(graph, features, dim)
    return _serialise(graph, size * shrink, dim)


def _grey(graph: Builder, size: int, shrink: int) -> str:
    weights = graph.constant("grey_weights", np.full((3, 1), 1 / (3 * 255), np.float32))
    floats = graph.add("Cast", [INPUT], "floats", to=TensorProto.FLOAT)
    mean, side = graph.add("MatMul", [floats, weights], "mean"), size * shrink
    if shrink == 1:
        return graph.reshape(mean, [-1, 1, size, size], "grey")
    large = graph.reshape(mean, [-1, 1, side, side], "large")
    squares = [shrink, shrink]
    return graph.add("AveragePool", [large], "grey", kernel_shape=squares, strides=squares)


def _modulus(graph: Builder, value: str, width: int, scale: int, done: int) -> tuple[str, int]:
    """Convolve [M, 1, width, width] with an octave and take the modulus; return [M, ANGLES, w, w] and w.

    The input is already decimated by `done` octaves. The output is decimated to its own octave.
    """
    bank = np.stack([morlet(scale - done, angle) for angle in range(ANGLES)])[:, np.newaxis]
    margin = min(bank.shape[-1] // 2, width - 1)
    excess = bank.shape[-1] // 2 - margin
    bank = bank[..., excess : bank.shape[-1] - excess, excess : bank.shape[-1] - excess]
    name, stride = f"{value}_{scale}", 2 ** (scale - done)
    pads = graph.constant(f"{name}_pads", np.array([0, 0, margin, margin] * 2, np.int64))
    padded = graph.add("Pad", [value, pads], f"{name}_padded", mode="reflect")
    weights = np.concatenate([bank.real, bank.imag]).astype(np.float32)
    wave = graph.add(
        "Conv", [padded, graph.constant(f"{name}_bank", weights)], f"{name}_wave", strides=[stride, stride]
    )
    square = graph.add("Mul", [wave, wave], f"{name}_square")
    parts = [f"{name}_real", f"{name}_imag"]
    graph.nodes.append(helper.make_node("Split", [square], parts, f"{name}_split", axis=1, num_outputs=2))
    return graph.add("Sqrt", [graph.add("Add", parts, f"{name}_energy")], f"{name}_modulus"), width // stride


def _average(graph: Builder, value: str, width: int, channels: int, grid: int) -> str:
    side = width // grid
    pooled = graph.add(
        "AveragePool", [value], f"{value}_pool", kernel_shape=[side, side], strides=[side, side]
    )
    return graph.reshape(pooled, [-1, channels * grid * grid], f"{value}_average")


def _project(graph: Builder, features: Sequence[str], dim: int) -> None:
    count = GRID * GRID * (1 + SCALES * ANGLES + ANGLES * ANGLES * SCALES * (SCALES - 1) // 2)
    joined = graph.add("Concat", features, "coefficients", axis=1)
    raised = graph.add("Add", [joined, graph.constant("epsilon", np.float32(EPSILON).reshape(1))], "raised")
    logs = graph.add("Log", [raised], "logs")
    centred = graph.add("Sub", [logs, graph.constant("centre", _centre())], "centred")
    matrix = graph.constant("projection", projection(count, dim))
    graph.add("MatMul", [centred, matrix], EMBEDDING)


def _centre() -> npt.NDArray[np.float32]:
    """Return the constant to subtract from each coefficient, in the order of `build`'s features."""
    paths = [()] + [p for j in range(SCALES) for p in [(j,), *((j, k) for k in range(j + 1, SCALES))]]
    return np.concatenate(
        [np.full(GRID * GRID * ANGLES ** len(path), CENTRE[path], np.float32) for path in paths]
    )


def _serialise(graph: Builder, size: int, dim: int) -> bytes:
    image = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", size, size, 3])
    embedding = helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["N", dim])
    body = helper.make_graph(graph.nodes, "scattering", [image], [embedding], graph.constants)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(body, opset_imports=opset, ir_version=IR_VERSION, producer_name="octospoon")
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
