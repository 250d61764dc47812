"""Augment images lightly and at random, without changing their class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from octospoon.training.finetune.options import FineTuning


def augmented(images: torch.Tensor, options: FineTuning, generator: torch.Generator) -> torch.Tensor:
    """Shift, mirror and brighten images at random.

    Args:
        images: uint8 [N, H, W, 3].
        options: which changes, and their largest extent.
        generator: the source of randomness.

    Returns:
        uint8 [N, H, W, 3], a new tensor if anything changes.
    """
    if options.shift:
        images = _moved(images, options.shift, generator)
    if options.flip:
        mirrored = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(2), images)
    if options.brightness:
        factor = 1 + options.brightness * (2 * torch.rand(len(images), 1, 1, 1, generator=generator) - 1)
        images = (images * factor).round().clamp(0, 255).to(torch.uint8)
    return images


def _moved(images: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Shift each image by whole pixels, up to a share of its side, and repeat its edge pixels."""
    n, height, width, _ = images.shape
    rows, columns = (_places(n, size, share, generator) for size in (height, width))
    return images[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _places(n: int, size: int, share: float, generator: torch.Generator) -> torch.Tensor:
    """Return int64 [n, size], the source position of each pixel along one side."""
    most = round(share * size)
    offsets = torch.randint(-most, most + 1, (n, 1), generator=generator)
    return (torch.arange(size) + offsets).clamp(0, size - 1)
