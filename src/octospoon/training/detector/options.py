"""Settings of the training of detectors."""

from __future__ import annotations

from typing import Annotated

import msgspec

from octospoon.training.finetune.options import Positive, Share, TrainerOptions

CHECKS = 12
"""How often training measures the loss on the held-out labels."""


class DetectorOptions(TrainerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the training of detectors.

    Attributes:
        epochs: largest number of passes over the training images.
        least_steps: few images get more epochs than `epochs`, up to this number of steps.
        patience: the held-out loss is measured CHECKS times; training stops after this many of them without
            a new lowest one.
        minutes: training ends after this time; the learning rate falls to zero by then.
        batch_size: images in each step.
        learning_rate: peak learning rate of AdamW.
        weight_decay: weight decay of AdamW, for tensors of more than one dimension.
        views: versions of each image that are trained on: the image itself, and augmented ones.
        flip: mirror half of the augmented images; wrong where left and right matter, as for digits.
        scale: augmented images are enlarged or reduced by at most this factor, and moved.
        brightness: largest random change of brightness, as a share.
        seed: seed of the held-out split, the order of the images, the first weights and the augmentation.
    """

    epochs: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 16
    least_steps: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 300
    patience: Annotated[int, msgspec.Meta(ge=1, le=CHECKS)] = 5
    minutes: Annotated[float, msgspec.Meta(gt=0.0, le=1440.0)] = 20.0
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=256)] = 8
    learning_rate: Positive = 0.002
    weight_decay: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.05
    views: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    flip: bool = False
    scale: Annotated[float, msgspec.Meta(ge=1.0, le=4.0)] = 1.6
    brightness: Share = 0.1
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0
