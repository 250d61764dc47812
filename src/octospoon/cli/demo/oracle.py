"""An annotator who knows every answer, working through Label Studio's own interface for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.label_studio.results import choice

if TYPE_CHECKING:
    from octospoon.adapters.label_studio.api import LabelStudioApi


def annotate(api: LabelStudioApi, task_id: int, label: str) -> None:
    """Submit one annotation, as a person's click does; Label Studio then calls its webhooks."""
    api.call("POST", f"/api/tasks/{task_id}/annotations/", json={"result": [choice(label)], "lead_time": 1.0})
