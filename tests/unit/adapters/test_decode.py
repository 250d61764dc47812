"""How an image is resized. `unit.corpus` defines which content of a file is accepted."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from octospoon.adapters.imaging import decode as decode_module
from octospoon.adapters.imaging import pixels
from octospoon.adapters.imaging.decode import decode
from octospoon.domain.errors import BadImage
from octospoon.usecases.byte_budget import ByteBudget

RED = (0xC8, 0x32, 0x10)


def sample(width: int = 60, height: int = 40) -> Image.Image:
    """Return an image: red on the left, blue on the right, a green stripe along the top quarter."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 250
    pixels[:, width // 2 :, 2] = 250
    pixels[: height // 4] = (0, 250, 0)
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def is_upright(pixels: np.ndarray) -> bool:
    w = pixels.shape[1]
    top, left, right = pixels[1, w // 2], pixels[-2, 2], pixels[-2, -3]
    return top.argmax() == 1 and left.argmax() == 0 and right.argmax() == 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("resize", ["squash", "cover"])
def test_every_format_and_both_rules(kind: str, resize: str) -> None:
    pixels = decode(saved(sample(), kind), 20, 24, resize)

    assert pixels.shape == (20, 24, 3)
    assert pixels.dtype == np.uint8
    assert is_upright(pixels)


def test_scaled_jpeg_decoding_stays_close_to_the_full_one() -> None:
    generator = np.random.default_rng(0)
    noise = Image.fromarray(generator.integers(0, 256, (45, 80, 3), np.uint8)).resize((1920, 1080))
    data = saved(noise, "JPEG", quality=92)

    scaled = decode(data, 64, 64, "cover").astype(float)
    full = decode(saved(Image.open(io.BytesIO(data)), "PNG"), 64, 64, "cover").astype(float)

    mean_square = ((scaled - full) ** 2).mean()
    assert 10 * np.log10(255**2 / mean_square) > 35


def test_cover_keeps_proportions_and_squash_does_not() -> None:
    disc = Image.new("L", (200, 100), 0)
    disc.paste(255, (75, 25, 125, 75))
    data = saved(disc)

    cover, squash = decode(data, 40, 40, "cover"), decode(data, 40, 40, "squash")

    assert (cover[20, :, 0] > 127).sum() == (cover[:, 20, 0] > 127).sum() == 20
    assert (squash[20, :, 0] > 127).sum() == 10


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (2, 1000)])
@pytest.mark.parametrize("resize", ["squash", "cover"])
def test_the_smallest_and_narrowest_images_that_count(size: tuple[int, int], resize: str) -> None:
    assert (decode(saved(Image.new("RGB", size, RED)), 4, 4, resize) == RED).all()


def shape_or_reason(data: bytes) -> tuple[int, ...] | str:
    try:
        return decode(data, 8, 8, "cover").shape
    except BadImage as bad:
        return bad.reason


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_damage_ends_as_an_image_or_as_a_bad_image(kind: str) -> None:
    generator = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    sound = saved(sample(), kind, exif=exif) if kind != "BMP" else saved(sample(), kind)
    reasons = {"not-an-image", "too-large", "too-narrow", "truncated", "unsupported"}
    for _ in range(200):
        data = bytearray(sound)
        reach = generator.choice([40, 200, len(data)])
        for place in generator.integers(0, min(len(data), reach), generator.integers(1, 10)):
            data[place] = generator.choice([0, 255, generator.integers(256)])
        assert shape_or_reason(bytes(data)) in {(8, 8, 3), *reasons}


def whole(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    """Convert and resize the whole image in one step, with Pillow alone."""
    small = image.convert("RGBA").resize(size, Image.Resampling.BILINEAR, box=box)
    white = Image.new("RGB", size, "white")
    white.paste(small, mask=small.getchannel("A"))
    return np.asarray(white)


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "PNG"), ("LA", "PNG"), ("P", "GIF"), ("CMYK", "TIFF")])
@pytest.mark.parametrize("resize", ["squash", "cover"])
def test_conversion_in_bands_equals_conversion_of_the_whole(
    mode: str, kind: str, resize: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "BAND", 7 * 301)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 301, 4), np.uint8), "RGBA")
    image = noise.quantize(255) if mode == "P" else noise.convert("RGB" if mode == "CMYK" else mode)
    image = image.convert(mode)
    data = saved(image, kind)
    box = (0, 0, 301, 200) if resize == "squash" else (301 / 2 - 80, 0, 301 / 2 + 80, 200)

    assert np.array_equal(decode(data, 50, 40, resize), whole(Image.open(io.BytesIO(data)), (40, 50), box))


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_the_bytes_of_what_is_decoded_at_once_are_bounded(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one of two images fits into the budget, so the second waits for the first."""
    cost = 4 * 100 * 100 * (4 if kind == "WEBP" else 1)
    budget, bytes_in_use = ByteBudget(cost + 1), []
    monkeypatch.setattr(decode_module, "_under_way", budget)
    shrunk = decode_module.shrunk  # type: ignore[attr-defined]

    def watched(*arguments: object) -> Image.Image:
        bytes_in_use.append(budget._held)
        time.sleep(0.01)
        return shrunk(*arguments)

    monkeypatch.setattr(decode_module, "shrunk", watched)
    data = saved(Image.new("RGB", (100, 100), RED), kind)
    with ThreadPoolExecutor(4) as threads:
        decoded = list(threads.map(lambda _: decode(data, 4, 4, "squash"), range(8)))

    assert bytes_in_use == [cost] * 8
    assert budget._held == 0
    assert all((pixels == RED).all() for pixels in decoded if kind == "PNG")
