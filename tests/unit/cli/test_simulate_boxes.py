"""`octospoon simulate` with boxes: what it reads, refuses and reports. Detectors are trained elsewhere."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from octospoon.cli import main
from octospoon.cli.datasets import boxed
from octospoon.cli.operations import trainer_environment
from octospoon.cli.operations.simulate_boxes import check_options, check_pool
from octospoon.cli.operations.simulation_boxes import BoxReport, BoxSimulation
from octospoon.cli.operations.simulation_page import write
from octospoon.cli.operations.simulation_tables import tables
from octospoon.cli.operations.simulation_time import announced
from octospoon.domain.errors import BadRequest
from octospoon.domain.model_spec import ModelSpec
from octospoon.training.detector.replay import Point, Rounds

if TYPE_CHECKING:
    from pathlib import Path

SIMULATION = BoxSimulation(("sum", "mean"), 4, Rounds((20, 40, 80), (160,), 0.2), 2, None)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 20), (200, 10, 10)).save(path)


def yolo(folder: Path) -> Path:
    for name in ("a", "b", "c"):
        picture(folder / f"images/{name}.png")
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text("cat\ndog\n")
    (folder / "labels/a.txt").write_text("1 0.5 0.5 0.5 0.5\n0 0.5 0.5 1 1\n0 0.5 0.5 0 1\n")
    (folder / "labels/b.txt").write_text("")
    return folder


def test_images_and_boxes_of_a_folder_are_read(tmp_path) -> None:
    images = boxed.read(yolo(tmp_path))

    assert [path.name for path in images.files] == ["a.png", "b.png"]
    assert images.classes == ("cat", "dog")
    assert images.labels == ('[["cat",0.0,0.0,1.0,1.0],["dog",0.25,0.25,0.75,0.75]]', "[]")
    assert images.notes == (
        "left out 1, boxes without an area: 'labels/a.txt, line 3'",
        "left out 1, without a file of labels: 'images/c.png (images/c.png)'",
    )
    assert images.truth[0, :, 4].tolist() == [0, 1]


def test_boxes_may_be_in_a_file_beside_the_images(tmp_path) -> None:
    picture(tmp_path / "photos/a.png")
    source = tmp_path / "boxes.csv"
    source.write_text("image,label,xmin,ymin,xmax,ymax\na.png,cat,0,0,20,10\nb.png,cat,0,0,20,10\n")

    images = boxed.read(tmp_path / "photos", source)

    assert images.labels == ('[["cat",0.0,0.0,0.5,0.5]]',)
    assert images.notes == (f"left out 1, {boxed.NOT_FOUND}: 'line 3 (b.png)'",)
    (tmp_path / "none").mkdir()
    with pytest.raises(BadRequest, match=r"has no box of an image in .*none: left out 2, of images"):
        boxed.read(tmp_path / "none", source)


def test_images_that_cannot_be_read_are_left_out(tmp_path) -> None:
    images = boxed.read(yolo(tmp_path))
    images.files[0].write_bytes(b"no image")
    spec = ModelSpec((), 32, 64, 8, "cover", "b" * 64, 0)

    known, pixels, regions = boxed.pixels(images, spec, tmp_path)

    assert [path.name for path in known.files] == ["b.png"]
    assert (pixels.shape, len(regions)) == ((1, 32, 64, 3), 1)
    assert pixels[0, 0, 0].tolist() == [200, 10, 10]
    assert known.notes[-1] == f"left out 1 {boxed.UNREADABLE}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategies": ("margin",)}, "with boxes it takes sum, largest, mean"),
        ({"seeds": 1}, "at least 2 seeds"),
        ({"rounds": Rounds((20,))}, "two numbers or more, from 10 up"),
        ({"rounds": Rounds((9, 20))}, "two numbers or more, from 10 up"),
        ({"target": 90.0}, "an AP50 between 0 and 1"),
    ],
)
def test_wrong_options_are_refused(changes, message, tmp_path) -> None:
    with pytest.raises(BadRequest, match=message):
        check_options(replace(SIMULATION, folder=tmp_path, **changes))


def test_too_few_images_are_refused() -> None:
    check_pool(SIMULATION, 120)
    with pytest.raises(BadRequest, match="the pool holds 79 images, and the plan labels 80"):
        check_pool(SIMULATION, 119)
    assert SIMULATION.on(100).rounds.further == (100,)
    assert SIMULATION.on(80).rounds.further == ()


def test_the_time_is_told_before_detectors_are_trained() -> None:
    assert announced(180, 1200, SIMULATION).startswith(
        "32 detectors are trained on feature maps of 1,200 images, in 2 processes: about 3 minutes."
    )
    assert SIMULATION.steps == 300 + 2 * 300 * 3 + 300
    assert SIMULATION.predicted(pool=200, held_out=100) == 8 * 100 + 2 * (180 + 160)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--boxes-file", "b.csv"], "name the folder"),
        (["DIR", "--boxes-file", "b.csv", "--classes-file", "c.csv"], "leave out --classes-file"),
        (["DIR", "--batch", "20"], "leave out --batch"),
        (["DIR", "--backbones", "a,b", "--labels", "10,20"], "the pool holds 1 images"),
    ],
)
def test_what_does_not_go_with_boxes_is_named(arguments, message, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(trainer_environment, "trainer_python", lambda **_: sys.executable)
    folder = str(yolo(tmp_path))

    assert main.main(["simulate", *(folder if each == "DIR" else each for each in arguments)]) != 0
    assert message in " ".join(capsys.readouterr().err.split())


def test_without_pytorch_the_advice_says_what_to_install(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))

    assert main.main(["simulate", str(yolo(tmp_path))]) != 0
    assert 'pip install "octospoon[finetune]"' in capsys.readouterr().err


def test_another_python_with_pytorch_runs_the_command(tmp_path, monkeypatch) -> None:
    ran: list[tuple[str, list[str]]] = []

    def execute(python: str, arguments: list[str]) -> None:
        ran.append((python, arguments))
        sys.exit(7)

    monkeypatch.setattr(trainer_environment, "trainer_python", lambda **_: "/elsewhere/python")
    monkeypatch.setattr(os, "execv", execute)
    monkeypatch.setattr(sys, "argv", ["octospoon", "simulate", str(yolo(tmp_path))])

    with pytest.raises(SystemExit):
        main.main(sys.argv[1:])
    ((python, (_, _, code, *arguments)),) = ran
    assert (python, arguments) == ("/elsewhere/python", ["simulate", str(tmp_path)])
    assert "octospoon.cli.main" in code


def points(boxes: int, *ap50: float) -> list[Point]:
    return [Point(20 * 2**i, boxes * 2**i, value) for i, value in enumerate(ap50)]


def report(tmp_path: Path, lead: float, target: float | None = None) -> BoxReport:
    rng = np.random.default_rng(0)
    seeds: list[dict[str, Any]] = []
    for _ in range(4):
        noise = rng.normal(0, 0.002, 4)
        random = points(50, *(np.array([0.2, 0.3, 0.4, 0.45]) + noise))
        ours = points(60, random[0].ap50, 0.3 + lead + noise[1] / 2, 0.4 + lead + noise[2] / 2)
        seeds.append({"random": random, "sum": [random[0], *ours[1:]], "mean": random[:3]})
    images = boxed.BoxedFiles("a <b>", (tmp_path,) * 120, ("[]",) * 120, ("cat",), ("a note",))
    simulation = replace(SIMULATION, folder=tmp_path, target=target)
    return BoxReport(images, "lite0", simulation, seeds, 40)


def test_a_shown_lead_is_recommended_with_its_boxes(tmp_path) -> None:
    made = report(tmp_path, 0.1, 0.45)

    assert made.strategy == "margin_diverse"
    assert made.sentence.startswith(
        "Label with margin_diverse: AP50 is 10.0 points higher for equal images, and"
    )
    assert "points for equal boxes. An AP50 of 0.45 takes about" in made.sentence
    crowded = report(tmp_path, 0.012)
    assert crowded.strategy == "margin_diverse"
    assert "this is not shown for equal boxes, so it may cost more work" in crowded.sentence


def test_without_a_lead_random_is_recommended(tmp_path) -> None:
    made = report(tmp_path, -0.05, 0.9)

    assert made.strategy == "random"
    assert made.sentence == (
        "Label at random: margin_diverse is not shown to be better within 80 images and 4 seeds. An AP50 of "
        "0.9 is not shown to be reached within 80 images."
    )


def test_the_report_has_both_leads_and_the_boxes(tmp_path) -> None:
    made = report(tmp_path, 0.1)
    made.write()
    write(made.page(), tmp_path)

    document = json.loads((tmp_path / "simulation.json").read_text())
    against = document["strategies"]["sum"]["against_random"]
    assert against["lead"] == pytest.approx(0.1, abs=0.01)
    assert 0 < against["boxes_lead"] < against["lead"]
    assert document["strategies"]["random"]["boxes"] == [50, 100, 200]
    page = (tmp_path / "report.html").read_text()
    assert "a &lt;b&gt;" in page
    assert page.count("<table>") == 2
    assert "<li>a note</li>" in page
    shown = [str(cell) for table in tables(made.figures()) for cell in table.columns[-1].cells]
    assert shown[0] == ""
    assert shown[1].startswith("+")
    assert (tmp_path / "curves.csv").read_text().splitlines()[
        1
    ] == f"random,0,20,50,{made.seeds[0]['random'][0].ap50:.6f}"
