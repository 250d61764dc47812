"""Light changes to pictures that leave their class alone, drawn anew each time that a picture is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from octospoon.training.finetune.options import FineTuning


def augmented(images: torch.Tensor, options: FineTuning, drawn: torch.Generator) -> torch.Tensor:
    """Return uint8 [N, H, W, 3] moved, mirrored and brightened, as the options say."""
    if options.shift:
        images = _moved(images, options.shift, drawn)
    if options.flip:
        mirrored = torch.rand(len(images), generator=drawn) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(2), images)
    if options.brightness:
        factor = 1 + options.brightness * (2 * torch.rand(len(images), 1, 1, 1, generator=drawn) - 1)
        images = (images * factor).round().clamp(0, 255).to(torch.uint8)
    return images


def _moved(images: torch.Tensor, share: float, drawn: torch.Generator) -> torch.Tensor:
    """Move each picture by whole pixels, up to a share of its side, and repeat its edge."""
    n, height, width, _ = images.shape
    rows, columns = (_places(n, size, share, drawn) for size in (height, width))
    return images[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _places(n: int, size: int, share: float, drawn: torch.Generator) -> torch.Tensor:
    """Return int64 [n, size]: from where along one side each pixel comes."""
    most = round(share * size)
    by = torch.randint(-most, most + 1, (n, 1), generator=drawn)
    return (torch.arange(size) + by).clamp(0, size - 1)
