"""EfficientNet-Lite's graph computes the same as a second implementation in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from octospoon.adapters.onnx.session import open_session
from octospoon.domain.errors import BadModel
from octospoon.training.backbone.efficientnet_lite import MEAN, STD, VARIANTS, Variant, build
from octospoon.training.backbone.side_by_side import Part, side_by_side
from octospoon.training.graph.parts import widths
from octospoon.training.graph.preprocessing import Pixels
from octospoon.training.model import starter
from octospoon.training.model.optimize import cold_start
from octospoon.training.model.wrap_onnx import wrap

TINY = Variant(size=36, depth=1.2)
WIDTH, EXPANSION, FEATURES = 4, 3, 12
BLOCKS = ((1, 3, 1), (3, 3, 2), (3, 5, 2), (4, 3, 2), (4, 5, 1), (5, 5, 2), (1, 3, 1))
"""Blocks, kernel and stride of each stage of lite2, written out from the paper's table times the depth."""


def tensors() -> dict[str, np.ndarray]:
    """Return random weights of a narrow network with the names of the real ones."""
    rng = np.random.default_rng(1)
    made: dict[str, np.ndarray] = {}

    def layer(conv: str, norm: str, *shape: int) -> None:
        made[f"{conv}.weight"] = rng.normal(size=shape).astype(np.float32) * np.float32(
            1.3 / np.sqrt(np.prod(shape[1:]))
        )
        made[f"{norm}.weight"] = rng.uniform(0.5, 2, shape[0]).astype(np.float32)
        made[f"{norm}.bias"] = rng.normal(size=shape[0]).astype(np.float32)
        made[f"{norm}.running_mean"] = rng.normal(size=shape[0]).astype(np.float32)
        made[f"{norm}.running_var"] = rng.uniform(0.2, 3, shape[0]).astype(np.float32)

    layer("_conv_stem", "_bn0", WIDTH, 3, 3, 3)
    number, inside = 0, WIDTH
    for count, kernel, _ in BLOCKS:
        for _ in range(count):
            name = f"_blocks.{number}"
            if number:
                inside = WIDTH * EXPANSION
                layer(f"{name}._expand_conv", f"{name}._bn0", inside, WIDTH, 1, 1)
            layer(f"{name}._depthwise_conv", f"{name}._bn1", inside, 1, kernel, kernel)
            layer(f"{name}._project_conv", f"{name}._bn2", WIDTH, inside, 1, 1)
            number += 1
    layer("_conv_head", "_bn1", FEATURES, WIDTH, 1, 1)
    return made


def convolved(x: np.ndarray, weights: np.ndarray, stride: int, groups: int) -> np.ndarray:
    """Convolve float64 [N, C, H, W] as TensorFlow does with SAME padding."""
    kernel, out = weights.shape[2], -(-x.shape[2] // stride)
    padding = max((out - 1) * stride + kernel - x.shape[2], 0)
    x = np.pad(x, [(0, 0), (0, 0), *[(padding // 2, padding - padding // 2)] * 2])
    made = np.zeros((len(x), len(weights), out, out))
    for row in range(kernel):
        for column in range(kernel):
            inputs = x[:, :, row : row + stride * out : stride, column : column + stride * out : stride]
            tap = weights[:, :, row, column]
            made += inputs * tap[:, 0, None, None] if groups > 1 else np.einsum("nchw,oc->nohw", inputs, tap)
    return made


def reference(images: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Return the features float64 [N, FEATURES] of uint8 [N, H, W, 3]."""
    parts = {name: array.astype(np.float64) for name, array in weights.items()}

    def layer(x: np.ndarray, conv: str, norm: str, *, stride: int = 1, relu: bool = True) -> np.ndarray:
        groups = x.shape[1] if "depthwise" in conv else 1
        x = convolved(x, parts[f"{conv}.weight"], stride, groups)
        mean, var, scale, shift = (
            parts[f"{norm}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / np.sqrt(var + 1e-3) * scale + shift
        return np.clip(x, 0, 6) if relu else x

    x = (images.transpose(0, 3, 1, 2).astype(np.float64) - 127) / 128
    x = layer(x, "_conv_stem", "_bn0", stride=2)
    number = 0
    for count, _, stride in BLOCKS:
        for again in range(count):
            name, before = f"_blocks.{number}", x
            if number:
                x = layer(x, f"{name}._expand_conv", f"{name}._bn0")
            x = layer(x, f"{name}._depthwise_conv", f"{name}._bn1", stride=1 if again else stride)
            x = layer(x, f"{name}._project_conv", f"{name}._bn2", relu=False)
            x = x + before if again else x
            number += 1
    return layer(x, "_conv_head", "_bn1").mean(axis=(2, 3))


def backbone(weights: dict[str, np.ndarray], variant: Variant = TINY) -> bytes:
    pixels = Pixels(top=255.0, mean=(MEAN,) * 3, std=(STD,) * 3)
    return wrap(build(weights, variant), pixels, "", head=False).backbone


def embeddings(model: bytes, images: np.ndarray) -> np.ndarray:
    (rows,) = open_session(model).run(["embedding"], {"image": images})
    return rows


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    coarse = np.random.default_rng(2).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(9, axis=1).repeat(9, axis=2)


def test_the_graph_computes_what_the_blocks_are_defined_to_compute(images: np.ndarray) -> None:
    expected = reference(images, tensors())
    np.testing.assert_allclose(embeddings(backbone(tensors()), images), expected, rtol=1e-3, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0.01, "the comparison is of numbers that differ"


def test_the_blocks_are_those_of_the_paper() -> None:
    counts = {"lite0": 16, "lite1": 21, "lite2": 21}
    sizes = {"lite0": 224, "lite1": 240, "lite2": 260}
    for name, variant in VARIANTS.items():
        assert (variant.size, len(variant.blocks())) == (sizes[name], counts[name])
    assert [stride for stride, _ in VARIANTS["lite2"].blocks()] == [
        1 if again else stride for count, _, stride in BLOCKS for again in range(count)
    ]


def test_weights_of_another_network_are_refused() -> None:
    weights = tensors()
    for variant in (Variant(36, 1.0), Variant(36, 1.8)):
        with pytest.raises(BadModel, match=r"blocks|not those"):
            build(weights, variant)
    del weights["_blocks.3._bn1.running_var"]
    with pytest.raises(BadModel, match=r"not those.*_blocks\.3\._bn1\.running_var"):
        build(weights, TINY)


def test_parts_side_by_side_give_their_embeddings_times_their_scales() -> None:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    network, waves = backbone(tensors(), Variant(32, 1.2)), starter.build(dim=24)
    both = side_by_side([Part("waves", waves, 0.5), Part("network", network, 3.0)])
    expected = np.concatenate([0.5 * embeddings(waves, images), 3 * embeddings(network, images)], axis=1)
    np.testing.assert_array_equal(embeddings(both, images), expected.astype(np.float32))
    assert widths(both) == (24, FEATURES)
    assert widths(cold_start(both, "cover")) == (24, FEATURES)
    assert widths(waves) == widths(network) == ()
    with pytest.raises(BadModel, match="differ in their input"):
        side_by_side([Part("waves", waves, 0.5), Part("network", backbone(tensors()), 3.0)])


def test_scattering_on_a_larger_input_sees_averages_of_squares() -> None:
    small = np.random.default_rng(4).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    large = small.repeat(7, axis=1).repeat(7, axis=2)
    np.testing.assert_allclose(
        embeddings(starter.build(shrink=7), large), embeddings(starter.build(), small), atol=1e-4
    )
