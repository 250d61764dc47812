"""What Label Studio's predictions look like, for whoever sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.domain.labelling.answers import choice
from octospoon.domain.labelling.interface import FROM_NAME, NEEDED, TO_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FROM_NAME", "NEEDED", "TO_NAME", "choice", "prediction"]


def prediction(
    label: str, confidence: float | None, model_version: str, stored: Mapping[str, str]
) -> dict[str, Any] | None:
    """Return one prediction, None where Label Studio could not show it; itself, it checks none.

    Args:
        label: the predicted class.
        confidence: in it; must be a share.
        model_version: as `octospoon.domain.model_spec.version_name` has it.
        stored: by class, the name of its choice in Label Studio; see `Interface.stored`.
    """
    if label not in stored or confidence is None or not 0 <= confidence <= 1:
        return None
    return {"model_version": model_version, "score": confidence, "result": [choice(stored[label])]}
