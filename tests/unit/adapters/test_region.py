"""The region that is used lies inside the image at any size, and is the same for all decoders."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from unit.corpus.case import saved

from octospoon.adapters.imaging.decode import Target, decode, frame
from octospoon.adapters.onnx import scorer
from octospoon.training.data import pictures
from octospoon.training.report import contact_sheet

SIDES = range(1, 6001)
TARGETS = (
    *((n, n) for n in (1, 3, 8, 32, 64, 96, 160, 192, 224, 256, 299, 384, 512, 1024)),
    *((224, 192), (192, 224), (240, 320), (7, 1023), (480, 640), (1, 4096)),
)


@pytest.mark.parametrize(("height", "width"), TARGETS)
@pytest.mark.parametrize("resize", ["squash", "cover"])
def test_the_region_lies_inside_of_every_image(height: int, width: int, resize: str) -> None:
    target = Target(height, width, resize)
    for side in SIDES:
        other = 1 + side * 7919 % 6000  # each side is paired with a different one, each exactly once
        for across, down in ((side, side), (side, other), (side, 6000), (3000, side)):
            left, top, right, bottom = target.region(across, down)
            assert 0 <= left < right <= across, (across, down)
            assert 0 <= top < bottom <= down, (across, down)


def test_there_are_twenty_targets() -> None:
    assert len(set(TARGETS)) == 20


OUTSIDE = [
    (427, 640),
    (640, 427),
    (1365, 2048),
    (333, 500),
    (500, 333),
    (375, 500),
    (1067, 1600),
    (681, 1024),
]


@pytest.mark.parametrize("resize", ["squash", "cover"])
def test_sizes_of_which_the_offset_was_negative_are_decoded(resize: str) -> None:
    tried = [(w, h) for w in range(200, 2200, 7) for h in (200, 333, 427, 500, 1365) if _was_outside(w, h)]
    assert tried, "the arithmetic that failed before"
    for size in [*OUTSIDE, *tried[:60]]:
        assert (
            decode(saved(Image.new("RGB", size, (9, 99, 199)), "PNG"), 224, 224, resize) == (9, 99, 199)
        ).all()


def _was_outside(width: int, height: int) -> bool:
    scale = min(width / 224, height / 224)
    left, top = (width - 224 * scale) / 2, (height - 224 * scale) / 2
    return min(left, top) < 0 or left + 224 * scale > width or top + 224 * scale > height


def test_scorer_and_trainer_share_the_one_decode() -> None:
    """That their tensors are bit-equal as they are installed is tested in `packaging.test_parity`."""
    assert scorer.frame is pictures.frame is frame  # type: ignore[attr-defined]
    assert contact_sheet.decode is decode  # type: ignore[attr-defined]
    data = saved(Image.fromarray(np.random.default_rng(0).integers(0, 256, (427, 641, 3), np.uint8)), "JPEG")
    assert np.array_equal(frame(data, 224, 224, "cover").pixels, decode(data, 224, 224, "cover"))
