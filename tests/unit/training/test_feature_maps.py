"""The maps that a detector reads are found in a backbone, whose input may change its size."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from unit.training.networks import convolutional
from unit.training.strided import CHANNELS, strided

from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.domain.errors import BadRequest
from octospoon.domain.model_spec import EMBEDDING, INPUT
from octospoon.training.detector.maps import STRIDES, feature_maps, resized, with_outputs
from octospoon.training.model import model_file, starter, wrap_onnx


def outputs(backbone: bytes, image: np.ndarray) -> list[np.ndarray]:
    maps = feature_maps(backbone)
    names = [EMBEDDING, *(each.tensor for each in maps)]
    return run_session(open_session(with_outputs(backbone, names[1:])), names, {INPUT: image})


def test_sum_of_a_block_is_the_map_of_its_stride() -> None:
    maps = feature_maps(strided())
    assert [each.stride for each in maps] == list(STRIDES)
    assert [each.tensor.rpartition("/")[2] for each in maps] == ["sum2", "sum3", "sum4"]
    assert [each.channels for each in maps] == list(CHANNELS[2:])


def test_last_map_counts_without_sums() -> None:
    maps = feature_maps(strided(residual=False))
    assert [each.tensor.rpartition("/")[2] for each in maps] == ["down2", "down3", "wide"]


def test_maps_have_the_shapes_that_they_say() -> None:
    backbone, image = strided(64, 96), np.zeros((2, 64, 96, 3), np.uint8)
    _, *maps = outputs(backbone, image)
    for each, made in zip(feature_maps(backbone), maps, strict=True):
        assert made.shape == (2, each.channels, 64 // each.stride, 96 // each.stride)


def test_resized_backbone_computes_the_same_features() -> None:
    """The embedding of an average is that of a constant image, whatever its size, except at the edges."""
    large = resized(strided(64, 64), 256, 320)
    assert model_file.backbone_spec(large, "letterbox").height == 256
    small_image, image = (np.full((1, h, w, 3), 140, np.uint8) for h, w in ((64, 64), (256, 320)))
    image[:, 96:160, 96:160] = np.random.default_rng(0).integers(0, 255, (64, 64, 3))
    maps = outputs(large, image)[1:]
    assert maps[0].shape[2:] == (32, 40)
    # the same patch in the middle of a larger image of the original weights gives the same cells
    wider = outputs(resized(strided(64, 64), 384, 320), np.pad(image, ((0, 0), (0, 128), (0, 0), (0, 0))))[1]
    assert np.allclose(maps[0][:, :, 8:24], wider[:, :, 8:24], atol=1e-4)
    assert outputs(strided(64, 64), small_image)[0].shape == outputs(large, image)[0].shape


def test_graph_tied_to_its_size_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"cannot take images of 64×64 pixels .* such as efficientnet-lite0"):
        resized(starter.build(), 64, 64)


def test_backbone_without_maps_is_refused() -> None:
    with pytest.raises(BadRequest, match="no feature map of 3×2 cells, a 32th of its input"):
        feature_maps(strided(levels=4))
    flat = wrap_onnx.wrap(convolutional(), wrap_onnx.Pixels(), "", head=False).backbone
    with pytest.raises(BadRequest, match=r"feature map|multiples of 32"):
        feature_maps(flat)


def test_sides_must_be_multiples_of_the_largest_stride() -> None:
    with pytest.raises(BadRequest, match=r"96×72 pixels.*multiples of 32"):
        feature_maps(strided(72, 96))


def test_further_outputs_change_no_other_node() -> None:
    backbone = strided()
    more = onnx.load_from_string(with_outputs(backbone, [feature_maps(backbone)[0].tensor]))
    before = onnx.load_from_string(backbone)
    assert list(more.graph.node) == list(before.graph.node)
    assert [value.name for value in more.graph.output][1:] == [feature_maps(backbone)[0].tensor]
