"""The predictions of open tasks, and the version that Label Studio shows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from octospoon.adapters.label_studio import queries
from octospoon.adapters.label_studio.results import prediction
from octospoon.domain.errors import BadRequest
from octospoon.ports.labelling import PredictedTask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from octospoon.adapters.label_studio.api import LabelStudio
    from octospoon.domain.labelling.tasks import Guess

LOG = logging.getLogger(__name__)


class LabelStudioPredictions:
    """Implements `octospoon.ports.labelling.ShownPredictions` for one project.

    Args:
        labeler: the project.
    """

    def __init__(self, labeler: LabelStudio) -> None:
        self._api = labeler.api
        self._project = labeler.number
        self._labeler = labeler

    def version(self) -> str:
        """Return the model version whose predictions Label Studio shows and sorts by."""
        project = self._api.call("GET", f"/api/projects/{self._project}")
        return str(project.get("model_version") or "")

    def show(self, version: str) -> bool:
        """Let Label Studio show the predictions of this version; return False if no task has one."""
        try:
            self._api.call("PATCH", f"/api/projects/{self._project}", json={"model_version": version})
        except BadRequest as error:  # Label Studio's answer for a version without predictions
            LOG.info("no prediction of %s can be shown yet: %s", version, error)
            return False
        return True

    def tasks(self, after: int, limit: int) -> list[PredictedTask]:
        """Return up to `limit` unanswered tasks with predictions, with ids above `after`, by ascending id."""
        query = queries.every(queries.after(after), *queries.predicted(), by_id=True)
        page = queries.page(
            self._api, self._project, query, limit, fields="all", include="id,data,predictions"
        )
        return [_task(task) for task in page["tasks"]]

    def add(self, guesses: Sequence[Guess], version: str) -> None:
        """Add predictions to existing tasks, without retrying; answers and drafts stay."""
        stored, control = self._labeler.interface().stored, self._labeler.control
        results = [prediction(control, guess.label, guess.confidence, version, stored) for guess in guesses]
        body = [
            {"task": guess.task} | result
            for guess, result in zip(guesses, results, strict=True)
            if result is not None
        ]
        if body:
            self._api.call("POST", f"/api/projects/{self._project}/import/predictions", json=body)


def _task(task: Mapping[str, Any]) -> PredictedTask:
    versions = [str(prediction_.get("model_version")) for prediction_ in task["predictions"]]
    return PredictedTask(task["id"], task["data"], versions)
