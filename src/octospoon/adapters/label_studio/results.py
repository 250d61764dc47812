"""The form of predictions in Label Studio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octospoon.adapters.label_studio.control import Control


def prediction(
    control: Control,
    label: str,
    confidence: float | None,
    model_version: str,
    stored: Mapping[str, str],
) -> dict[str, Any] | None:
    """Return one prediction, or None if Label Studio could not show it. It does not check predictions itself.

    Args:
        control: of the task type.
        label: the predicted label, in its stored form.
        confidence: the model's certainty, in [0, 1].
        model_version: as returned by `octospoon.domain.model_spec.version_name`.
        stored: the name of each class's choice in Label Studio; see `Interface.stored`.
    """
    result = control.result(label, stored)
    if result is None or confidence is None or not 0 <= confidence <= 1:
        return None
    return {"model_version": model_version, "score": confidence, "result": result}
