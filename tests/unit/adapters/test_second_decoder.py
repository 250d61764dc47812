"""The colours of the corpus, held against OpenCV's decoders, which share no code of ours and little of Pillow's."""

from __future__ import annotations

import numpy as np
import pytest
from unit.corpus import CASES
from unit.corpus.case import WHITE, Case

cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed: make .venv/.installed")

FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif")
ENOUGH = 300
EXCEPT: dict[str, str] = {}


def shown(data: bytes) -> np.ndarray | None:
    """What OpenCV shows of a file, over white, as RGB; None where it does not read it."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        return None
    pixels = (image >> 8 if image.dtype == np.uint16 else image).astype(float)
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    colours = pixels[..., 2::-1] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    if pixels.shape[2] not in (2, 4):
        return colours
    opaque = pixels[..., -1:] / 255
    return colours * opaque + 255 * (1 - opaque)


def middles(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    return np.array(
        [pixels[y, x] for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    )


def is_compared(case: Case) -> bool:
    return (
        case.name.split("/")[0] in FORMATS
        and not case.reason
        and case.colours is not None
        and case.name not in EXCEPT
        and not any(word in case.name for word in ("90-megapixels", "a-run-for-each-pixel"))
    )


def test_the_second_decoder_shows_the_same_colours() -> None:
    """Each file that it reads, but for the listed ones, of which there must not be too few."""
    different, compared = {}, 0
    for case in filter(is_compared, CASES):
        if (pixels := shown(case.make())) is None:
            continue
        compared += 1
        apart = np.abs(middles(pixels) - np.array(case.colours)).max()
        if apart > max(case.tolerance, 16):
            different[case.name] = middles(pixels).round().tolist()
    assert not different
    assert compared >= ENOUGH


def test_exceptions_are_of_the_corpus() -> None:
    assert set(EXCEPT) <= {case.name for case in CASES}
    assert WHITE == (255, 255, 255)
