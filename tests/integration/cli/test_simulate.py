from __future__ import annotations

import json

import httpx
import pytest
from unit.cli.test_simulate import quiet, source, wanted

from octospoon.cli.operations.simulate import simulate


@pytest.mark.stack
def test_a_report_is_logged_to_mlflow(stack, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", stack.project.mlflow_url)
    monkeypatch.setenv("OCTOSPOON_EXPERIMENT", "simulations")
    console = quiet()

    simulate(source(), wanted(tmp_path, seeds=2), console)

    run_id = console.export_text().partition("logged to MLflow: run ")[2].split()[0]
    api = f"{stack.project.mlflow_url}/api/2.0/mlflow"
    run = httpx.get(f"{api}/runs/get", params={"run_id": run_id}).json()["run"]
    report = json.loads((tmp_path / "simulation.json").read_text())
    assert run["info"]["status"] == "FINISHED"
    metrics = {one["key"]: one["value"] for one in run["data"]["metrics"]}
    assert metrics["accuracy.margin"] == pytest.approx(report["strategies"]["margin"]["mean"][-1])
    history = httpx.get(
        f"{api}/metrics/get-history", params={"run_id": run_id, "metric_key": "accuracy.random"}
    ).json()["metrics"]
    assert [one["step"] for one in history] == [15, 30]
    files = httpx.get(f"{api}/artifacts/list", params={"run_id": run_id}).json()["files"]
    assert {one["path"] for one in files} == {"simulation.json", "curves.csv", "curves.png"}
