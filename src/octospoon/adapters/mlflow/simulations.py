"""Log reports of `octospoon simulate` to MLflow: one run each, with the curves as metrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from octospoon.adapters.mlflow.registry import connect, experiment_id, translated
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AT_ONCE = 500
_PARAMS = ("source", "backbone", "images", "held_out", "seeds", "batch", "audit_share")


def log_simulation(experiment: str, folder: Path) -> str:
    """Log the report in a folder as one finished run; return the run's id.

    The metrics are:

    - ``accuracy.STRATEGY`` and ``balanced_accuracy.STRATEGY``, with the number of labels as step;
    - ``labels_share.STRATEGY``, left out if it is infinite or unknown;
    - ``lead.STRATEGY`` and ``balanced_lead.STRATEGY``, with their intervals;
    - ``majority_share``.

    The verdict and the recommendation become tags, and the files of the folder artefacts.

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
        client.set_tag(run_id, "octospoon.recommendation", report["recommendation"]["sentence"])
        client.log_artifacts(run_id, str(folder))
        client.set_terminated(run_id, "FINISHED")
    return run_id


def _metrics(report: dict[str, Any]) -> Iterator[tuple[str, float, int]]:
    yield "majority_share", report["majority_share"], 0
    for name, curves in report["strategies"].items():
        for labels, mean, interval in zip(report["labels"], curves["mean"], curves["interval"], strict=True):
            yield f"accuracy.{name}", mean, labels
            yield f"accuracy_low.{name}", interval["low"], labels
            yield f"accuracy_high.{name}", interval["high"], labels
        for labels, balanced in zip(report["labels"], curves["balanced"] or (), strict=False):
            yield f"balanced_accuracy.{name}", balanced, labels
        against = curves["against_random"]
        if against is None:
            continue
        for lead, interval in (("lead", "lead_interval"), ("balanced_lead", "balanced_interval")):
            if against[lead] is not None:
                yield f"{lead}.{name}", against[lead], 0
                yield f"{lead}_low.{name}", against[interval]["low"], 0
                yield f"{lead}_high.{name}", against[interval]["high"], 0
        share = against["labels_share"]  # null in JSON for infinity and for NaN
        if share is not None and math.isfinite(share):
            yield f"labels_share.{name}", share, 0
