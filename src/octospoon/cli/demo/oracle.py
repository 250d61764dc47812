"""A simulated annotator that knows every answer and works through the API of Label Studio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octospoon.adapters.label_studio.choices import choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.adapters.label_studio.api import LabelStudioApi


def annotate(api: LabelStudioApi, task_id: int, label: str) -> None:
    """Submit the choice of one class as a person does; Label Studio then calls its webhooks."""
    submit(api, task_id, [choice(label)])


def submit(api: LabelStudioApi, task_id: int, result: Sequence[dict[str, Any]]) -> None:
    """Submit an annotation with any result, which may be empty."""
    answer = {"result": list(result), "lead_time": 1.0}
    api.call("POST", f"/api/tasks/{task_id}/annotations/", json=answer)


def correct(api: LabelStudioApi, task_id: int, result: Sequence[dict[str, Any]]) -> None:
    """Replace the result of a task's only annotation, as a person does who opens it again."""
    (annotation,) = api.call("GET", f"/api/tasks/{task_id}/annotations/")
    api.call("PATCH", f"/api/annotations/{annotation['id']}/", json={"result": list(result)})
