"""How the backbone is fine-tuned."""

from __future__ import annotations

from typing import Annotated

import msgspec

from octospoon.domain.errors import NotConfigured

Positive = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=0.5)]


class FineTuning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of fine-tuning.

    Attributes:
        epochs: at most so many.
        patience: epochs without a better loss on the held-out labels, than after any other, before it ends.
        batch_size: pictures a step.
        learning_rate: at its peak, relative to the size of each weight tensor (its root mean square).
        weight_decay: of AdamW, for tensors of more than one dimension.
        flip: pictures are mirrored half of the time; wrong where left and right matter, as for digits.
        shift: by at most this share of its side a picture is moved, its edges repeated.
        brightness: by at most this share a picture is made brighter or darker.
        seed: fixes what is held out, the order, and the augmentation.
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

    @classmethod
    def read(cls, text: str) -> FineTuning:
        """Read a setting such as ``epochs=20,flip=true``; what it leaves out stays as it is.

        Raises:
            NotConfigured: it names no such option, or a value outside its range.
        """
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        given = {name.strip(): value.strip() for name, _, value in pairs}
        try:
            return msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            raise NotConfigured(
                f"FineTuning is {text!r}: {error}; it takes {', '.join(cls.__struct_fields__)}"
            ) from error

    def params(self) -> dict[str, str]:
        """Return every option by the name of its parameter in the experiment tracker."""
        return {f"fine_tuning_{name}": f"{value}" for name, value in msgspec.structs.asdict(self).items()}
