"""What Label Studio's predictions and annotations look like, for whoever sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

FROM_NAME = "label"
TO_NAME = "image"
NEEDED = f'<Choices name="{FROM_NAME}" toName="{TO_NAME}"> over <Image name="{TO_NAME}" value="$image">'
"""What a labelling interface must have."""


def choice(label: str) -> dict[str, Any]:
    """Return one chosen class as Label Studio's results hold it, in predictions and annotations alike."""
    return {"from_name": FROM_NAME, "to_name": TO_NAME, "type": "choices", "value": {"choices": [label]}}


def prediction(
    label: str, confidence: float | None, model_version: str, offered: Collection[str]
) -> dict[str, Any] | None:
    """Return one prediction, None where Label Studio could not show it; itself, it checks none.

    Args:
        label: the predicted class.
        confidence: in it; must be a share.
        model_version: as `octospoon.domain.model_spec.version_name` has it.
        offered: the classes of the labelling interface.
    """
    if label not in offered or confidence is None or not 0 <= confidence <= 1:
        return None
    return {"model_version": model_version, "score": confidence, "result": [choice(label)]}
