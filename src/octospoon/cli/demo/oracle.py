"""A simulated annotator that knows every answer and works through the API of Label Studio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.label_studio.choices import choice

if TYPE_CHECKING:
    from octospoon.adapters.label_studio.api import LabelStudioApi


def annotate(api: LabelStudioApi, task_id: int, label: str) -> None:
    """Submit an annotation as a person does; Label Studio then calls its webhooks."""
    api.call("POST", f"/api/tasks/{task_id}/annotations/", json={"result": [choice(label)], "lead_time": 1.0})
