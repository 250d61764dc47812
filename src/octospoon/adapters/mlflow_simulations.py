"""Reports of `octospoon simulate` in MLflow: a run for each, its curves as metrics over labels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from octospoon.adapters.mlflow_registry import connect, experiment_id, translated
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AT_ONCE = 500
_PARAMS = ("source", "images", "held_out", "seeds", "batch", "audit_share")


def log_simulation(experiment: str, folder: Path) -> str:
    """Log the report in a folder as one finished run; return the run's id.

    Metrics are ``accuracy.STRATEGY`` with the number of labels as step, ``labels_share.STRATEGY`` and
    ``lead.STRATEGY``; the files are the run's artefacts.

    Raises:
        BadRequest: there is no report in the folder.
        NotConfigured: no server is named.
        ServiceUnavailable: the server did not answer.
    """
    path = folder / "simulation.json"
    if not path.is_file():
        raise BadRequest(f"{folder} holds no simulation.json: run `octospoon simulate` first")
    report = msgspec.json.decode(path.read_bytes())
    with translated("logging the simulation"):
        from mlflow.entities import Metric, Param
        from mlflow.utils.time import get_current_time_millis

        client, now = connect(), get_current_time_millis()
        run = client.create_run(experiment_id(client, experiment), run_name=f"simulate {report['source']}")
        run_id = str(run.info.run_id)
        metrics = [Metric(name, value, now, step) for name, value, step in _metrics(report)]
        client.log_batch(run_id, params=[Param(name, str(report[name])) for name in _PARAMS])
        for start in range(0, len(metrics), _AT_ONCE):
            client.log_batch(run_id, metrics=metrics[start : start + _AT_ONCE])
        client.set_tag(run_id, "octospoon.verdict", report["verdict"])
        client.log_artifacts(run_id, str(folder))
        client.set_terminated(run_id, "FINISHED")
    return run_id


def _metrics(report: dict[str, Any]) -> Iterator[tuple[str, float, int]]:
    for name, found in report["strategies"].items():
        for labels, mean, interval in zip(report["labels"], found["mean"], found["interval"], strict=True):
            yield f"accuracy.{name}", mean, labels
            yield f"accuracy_low.{name}", interval["low"], labels
            yield f"accuracy_high.{name}", interval["high"], labels
        against = found["against_random"]
        if against is None:
            continue
        yield f"lead.{name}", against["lead"], 0
        share = against["labels_share"]  # null in JSON for infinity
        if share is not None and math.isfinite(share):
            yield f"labels_share.{name}", share, 0
