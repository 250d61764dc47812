"""Settings of fine-tuning."""

from __future__ import annotations

from typing import Annotated, Self

import msgspec

from octospoon.domain.errors import NotConfigured

Positive = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=0.5)]


class TrainerOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a trainer, which the setting ``FineTuning`` gives as a text."""

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a setting such as ``epochs=20,flip=true``; other options keep their defaults.

        Raises:
            NotConfigured: an option is unknown, or its value is out of range.
        """
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        given = {name.strip(): value.strip() for name, _, value in pairs}
        try:
            return msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            raise NotConfigured(
                f"FineTuning is {text!r}: {error}; its options are {', '.join(cls.__struct_fields__)}"
            ) from error

    def params(self) -> dict[str, str]:
        """Return every option as a parameter for the experiment tracker."""
        return {f"fine_tuning_{name}": f"{value}" for name, value in msgspec.structs.asdict(self).items()}


class FineTuning(TrainerOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of fine-tuning.

    Attributes:
        epochs: largest number of epochs.
        patience: training stops after this many epochs without a new lowest loss on the held-out labels.
        batch_size: images in each step.
        learning_rate: peak learning rate, relative to the root mean square of each weight tensor.
        weight_decay: weight decay of AdamW, for tensors of more than one dimension.
        flip: mirror half of the images at random; wrong where left and right matter, as for digits.
        shift: largest random shift, as a share of the image's side; edge pixels are repeated.
        brightness: largest random change of brightness, as a share.
        seed: seed of the held-out split, the order of the images, and the augmentation.
    """

    epochs: Annotated[int, msgspec.Meta(ge=1, le=200)] = 30
    patience: Annotated[int, msgspec.Meta(ge=1, le=200)] = 10
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32
    learning_rate: Positive = 0.01
    weight_decay: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.05
    flip: bool = False
    shift: Share = 0.05
    brightness: Share = 0.1
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0
