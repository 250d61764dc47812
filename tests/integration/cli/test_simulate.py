"""Complete simulations, in their worker processes."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import replace

import httpx
import numpy as np
import onnx
import pytest
from unit.cli.test_simulate import options, quiet, source, write_image
from unit.training.networks import network

from octospoon.cli import main
from octospoon.cli.operations import simulate as command
from octospoon.cli.operations import trainer_environment
from octospoon.cli.operations.simulate import simulate
from octospoon.cli.operations.simulation_result import Simulation
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.errors import NotConfigured
from octospoon.training.simulation import Plan


@pytest.fixture(autouse=True)
def _no_server(monkeypatch, tmp_path):
    """No tracking server, and no backbone on this machine that would be compared as well."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("OCTOSPOON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "local_project", lambda: None)


@pytest.mark.stack
def test_a_report_is_logged_to_mlflow(stack, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", stack.project.mlflow_url)
    monkeypatch.setenv("OCTOSPOON_EXPERIMENT", "simulations")
    console = quiet()

    simulate([source()], options(tmp_path, seeds=2), console)

    run_id = console.export_text().partition("logged to MLflow: run ")[2].split()[0]
    api = f"{stack.project.mlflow_url}/api/2.0/mlflow"
    run = httpx.get(f"{api}/runs/get", params={"run_id": run_id}).json()["run"]
    report = json.loads((tmp_path / "simulation.json").read_text())
    assert run["info"]["status"] == "FINISHED"
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert metrics["accuracy.margin"] == pytest.approx(report["strategies"]["margin"]["mean"][-1])
    history = httpx.get(
        f"{api}/metrics/get-history", params={"run_id": run_id, "metric_key": "accuracy.random"}
    ).json()["metrics"]
    assert [point["step"] for point in history] == [15, 30]
    files = httpx.get(f"{api}/artifacts/list", params={"run_id": run_id}).json()["files"]
    assert {file["path"] for file in files} == {"simulation.json", "curves.csv", "curves.png", "report.html"}


def test_the_figures_do_not_depend_on_the_number_of_workers(tmp_path):
    reports = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        simulate([source()], options(folder, seeds=2, workers=workers), quiet())
        reports.append((folder / "curves.csv").read_text())
        assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert reports[0] == reports[1]
    assert reports[0].startswith("strategy,seed,labels,accuracy,balanced_accuracy")
    assert reports[0].count("\n") == 1 + 2 * 2 * 2

    report = json.loads((tmp_path / "1" / "simulation.json").read_text())
    assert report["labels"] == [15, 30]
    assert report["held_out"] == 80
    assert report["majority_share"] == pytest.approx(1 / 3, abs=0.01)
    assert len(report["strategies"]["margin"]["balanced"]) == 2
    assert report["strategies"]["margin"]["against_random"]["worse"] in (True, False)
    assert set(report["strategies"]) == {"random", "margin"}
    assert report["strategies"]["margin"]["against_random"]["lead"] == pytest.approx(
        np.mean(np.subtract(*(report["strategies"][name]["mean"] for name in ("margin", "random"))))
    )


def test_plain_and_wrapped_onnx_files_give_the_same_curves(tmp_path, monkeypatch):
    for i in range(40):
        write_image(tmp_path / "pictures" / ("dark" if i % 2 else "light") / f"{i}.png", 6 * i)
    onnx.save(network(last="maps"), tmp_path / "plain.onnx")
    monkeypatch.chdir(tmp_path)
    options = ["--mean", "0.5,0.5,0.5", "--channels", "bgr"]
    assert main.main(["model", "import", "plain.onnx", "--to", "wrapped.onnx", *options]) == 0
    plan = ["--labels", "10", "--batch", "4", "--seeds", "2", "--strategies", "margin", "--workers", "1"]
    curves = []
    for model in (["plain.onnx", *options], ["wrapped.onnx"]):
        assert main.main(["simulate", "pictures", "--model", *model, *plan, "--out", "report"]) == 0
        curves.append((tmp_path / "report/curves.csv").read_text())
    assert curves[0] == curves[1]
    assert json.loads((tmp_path / "report/simulation.json").read_text())["labels"] == [4, 8, 10]


def test_json_is_the_report_that_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    plan = [
        "--labels",
        "40",
        "--batch",
        "20",
        "--seeds",
        "2",
        "--strategies",
        "margin",
        "--workers",
        "1",
        "--out",
        "report",
    ]

    assert main.main(["simulate", "--digits", *plan, "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "report/simulation.json").read_text())
    assert set(document["strategies"]) == {"random", "margin"}


def test_the_best_of_each_is_recommended_on_one_page(tmp_path):
    weak = replace(source(learnable=False), backbone="weak")
    plans = [Plan.through([30, 60], BatchRules(size, 0.2)) for size in (15, 6, 30)]
    simulation = Simulation(("margin",), 5, plans, 1, tmp_path, [30, 60], 0.9)

    report = simulate([weak, replace(source(), backbone="<good>")], simulation, quiet())

    assert report.recommendation.backbone == "<good>"
    assert set(report.controls) == {"weak", "<good>"}
    document = json.loads((tmp_path / "simulation.json").read_text())
    assert document["backbone"] == document["recommendation"]["backbone"] == "<good>"
    assert document["backbones"]["<good>"]["against_first"]["better"]
    assert document["backbones"]["weak"]["against_first"] is None
    page = (tmp_path / "report.html").read_text()
    assert html.escape(report.recommendation.sentence) in page
    assert "<good>" not in page
    assert "<th>30 labels</th><th>60 labels</th>" in page
    assert base64.b64encode((tmp_path / "curves.png").read_bytes()).decode() in page
    # batch sizes are compared only for a strategy that is recommended
    assert (len(report.sized) == 3) == (report.recommendation.strategy == "margin")
    assert all(curve.labels[-1] == 60 for curve in report.sized.values())


def test_where_nothing_can_be_learnt_no_strategy_is_praised(tmp_path):
    console = quiet()

    result = simulate([source(learnable=False)], options(tmp_path, seeds=5), console)

    assert not result.comparisons["margin"].better
    interval = result.comparisons["margin"].labels_interval
    assert np.isnan(interval.low) or interval.low <= 1 <= interval.high, "no saving is claimed"
    output = console.export_text()
    assert "Label at random on raw, in batches of any size: no strategy is shown to be better" in output
    assert "No strategy beats random on these data" in output
    assert "most frequent class: 33" in output
    assert "a strategy chooses all but 3 of each 15 labels" in output
    assert "it trains on all of them, as random does" in output


def test_table_shows_a_quarter_half_and_all_labels(tmp_path):
    console = quiet()
    simulate([source()], options(tmp_path, seeds=2, rounds=8), console)
    output = console.export_text()
    for shown in ("30 labels", "60 labels", "120 labels", "balanced"):
        assert shown in output


def test_mlflow_that_is_configured_and_not_installed_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(trainer_environment, "TRAINING_PYTHON", tmp_path / "nowhere")

    with pytest.raises(NotConfigured, match="training needs more packages"):
        simulate([source()], options(tmp_path, seeds=2), quiet())
    assert (tmp_path / "simulation.json").exists()
