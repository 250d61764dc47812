"""`octospoon simulate` on images with any number of classes."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from octospoon.cli import main
from octospoon.cli.datasets import labelled, several_classes
from octospoon.cli.datasets.labelled import Source
from octospoon.cli.operations import simulate as command
from octospoon.cli.operations.simulation_result import Simulation
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.errors import BadRequest
from octospoon.domain.model_spec import SIGMOID
from octospoon.training.simulation import Labelled, Plan, replay

if TYPE_CHECKING:
    from pathlib import Path


def several(n: int = 300) -> Labelled:
    """Return images in which each class moves the embedding in a direction of its own."""
    rng = np.random.default_rng(0)
    labels = (rng.uniform(size=(n, 4)) < [0.5, 0.3, 0.2, 0.06]).astype(np.int64)
    points = labels @ (2 * np.eye(4, 8)) + 0.5 * rng.standard_normal((n, 8))
    return Labelled(points.astype(np.float32), labels, 4, (), SIGMOID)


def test_rounds_of_several_classes_raise_macro_f1() -> None:
    source = Source("test", several(), "raw")
    plan = Plan.even(4, BatchRules(15, 0.2))

    scores = replay(source.data, source.split(0), plan, "margin_diverse", 0)

    assert scores[-1].accuracy > scores[0].accuracy
    assert scores[-1].accuracy > source.data.naive(source.split(0).held_out) + 0.2
    assert np.isnan(scores[-1].balanced)


def test_a_split_shares_out_the_rarest_classes() -> None:
    data = several()
    labels = data.labels.copy()
    labels[:, 3] = 0
    labels[0, 3] = 1
    for given in (data, replace(data, labels=labels)):
        split = Source("test", given, "raw").split(3)
        rarest = [given.labels[part, 3].mean() for part in (split.pool, split.held_out)]
        assert abs(rarest[0] - rarest[1]) < 0.011
        assert len(split.held_out) == 100


def test_the_report_names_macro_f1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(command, "local_project", lambda: None)
    plans = [Plan.even(3, BatchRules(15, 0.2))]
    console = Console(record=True, width=200, file=io.StringIO())

    command.simulate(
        [Source("test", several(), "raw")],
        Simulation(("margin",), 2, plans, 1, tmp_path, target=0.99),
        console,
    )

    shown = console.export_text()
    assert "held-out macro F1" in shown
    assert "every class predicted for every image: macro F1 is " in shown
    assert "accura" not in shown
    assert json.loads((tmp_path / "simulation.json").read_text())["metric"] == "macro F1"
    with (tmp_path / "curves.csv").open() as file:
        assert "macro_f1" in next(csv.reader(file))
    page = (tmp_path / "report.html").read_text()
    assert "Macro f1" not in page
    assert 'alt="macro F1 by number of labels"' in page


def images(folder: Path, count: int = 9) -> None:
    for i in range(count):
        Image.fromarray(np.full((8, 8), 20 * i, np.uint8)).save(folder / f"{i}.png")


def test_a_file_of_classes_gives_each_image_its_set(tmp_path: Path) -> None:
    images(tmp_path)
    rows = [(f"{i}.png", name) for i in range(8) for name in (["cat"] if i % 2 else ["cat", "dog"])]
    file = tmp_path / "classes.csv"
    file.write_text("image,class\n" + "".join(f"{image},{name}\n" for image, name in [*rows, ("8.png", "")]))

    source = several_classes.of_label_file(tmp_path, file)

    assert source.data.activation == SIGMOID
    assert source.data.labels.tolist() == [*([[1, 1], [1, 0]] * 4), [0, 0]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0.png,cat\n9.png,dog\n", "line 3: 9.png is not in"),
        ("0.png,cat\n1.png,cat\n", "names 1 classes: at least two"),
        ("0.png,cat\n1.png,dog\n", "each class needs at least 3 readable images: cat, dog"),
        ("", "names no image"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    rows: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelled, "embed", lambda files, model: pytest.fail("embedded"))
    images(tmp_path)
    (tmp_path / "classes.csv").write_text("image,class\n" + rows)

    with pytest.raises(BadRequest, match=message):
        several_classes.of_label_file(tmp_path, tmp_path / "classes.csv")


def test_a_file_of_classes_needs_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["simulate", "--classes-file", "classes.csv"]) == 1
    assert "name the folder" in capsys.readouterr().err
