"""The metrics of epochs in MLflow: each is logged once, while the model is trained or at the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow import MlflowClient


class EpochLog:
    """Logs metrics of epochs. Threads may share it: the end of a job waits for what is being sent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._run_ids: dict[str, str] = {}
        self._logged: dict[str, int] = {}

    def begin(self, job_id: str, run_id: str) -> None:
        """Begin with a job's run. An attempt that trains again logs its epochs again."""
        with self._lock:
            self._run_ids[job_id] = run_id
            self._logged[run_id] = 0

    def run_of(self, job_id: str) -> str:
        """Return the run of a job that was begun."""
        return self._run_ids[job_id]

    def log(self, client: MlflowClient, run_id: str, epochs: Sequence[Mapping[str, float]]) -> None:
        """Log the epochs that are new; steps count from 0.

        Args:
            client: of the server.
            run_id: of the run.
            epochs: all metrics since the first epoch.
        """
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        with self._lock:
            start = self._logged.get(run_id, 0)
            now = get_current_time_millis()
            new = [
                Metric(key, value, now, step)
                for step, values in enumerate(epochs[start:], start)
                for key, value in values.items()
            ]
            if new:
                client.log_batch(run_id, metrics=new)
            self._logged[run_id] = max(start, len(epochs))
