from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from fakes.clock import FakeClock
from fakes.labelling import FakeLabels
from fakes.models import FakeChampions
from fakes.pool import FakePool
from fakes.training import FakeControl
from PIL import Image
from rich.console import Console

from octospoon.cli import main
from octospoon.cli.datasets import labelled
from octospoon.cli.datasets.labelled import Source
from octospoon.cli.operations import backbones
from octospoon.cli.operations import simulate as command
from octospoon.cli.operations.simulate import Simulation, simulate  # type: ignore[attr-defined]
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.errors import BadRequest, NotConfigured
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation, Pick
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, Prediction
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.training.backbone.side_by_side import Part, side_by_side
from octospoon.training.model import starter
from octospoon.training.model.optimize import cold_start
from octospoon.training.simulation import Labelled, Plan


@pytest.fixture(autouse=True)
def _no_server(monkeypatch, request):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(command, "local_project", lambda: None)


def source(*, learnable: bool = True, n: int = 240) -> Source:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    centres = 4 * np.eye(3, 6) if learnable else np.zeros((3, 6))
    embeddings = centres[labels] + rng.standard_normal((n, 6))
    return Source("test", Labelled(embeddings.astype(np.float32), labels, 3), "raw")


def options(folder, *, seeds=3, workers=1, strategies=("margin",), rounds=2) -> Simulation:
    return Simulation(strategies, seeds, [Plan.even(rounds, BatchRules(15, 0.2))], workers, folder)


def quiet() -> Console:
    return Console(record=True, width=160, file=io.StringIO())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 1}, "at least 2 seeds"),
        ({"rounds": 20}, "the pool holds 160 images, and the plan labels 300"),
        ({"rounds": 0}, "give --labels between --batch and 160"),
        ({"strategies": ("random",)}, "at least one strategy besides random"),
        ({"strategies": ("magic",)}, "there is no strategy 'magic'"),
    ],
)
def test_what_cannot_be_simulated_is_said_before_anything_runs(changes, message, tmp_path):
    with pytest.raises((BadRequest, NotConfigured), match=message):
        simulate([source()], options(tmp_path, **changes), quiet())


def test_each_seed_holds_out_another_third_of_every_class():
    given = source()
    first, second = given.split(0), given.split(1)
    for split in (first, second):
        assert np.bincount(given.data.labels[split.held_out]).tolist() in (
            [27, 27, 26],
            [26, 27, 27],
            [27, 26, 27],
        )
        assert not set(split.pool) & set(split.held_out)
    assert set(first.held_out) != set(second.held_out)


def test_backbones_that_read_other_images_are_not_compared(tmp_path):
    with pytest.raises(BadRequest, match="raw and raw read different images"):
        simulate([source(), source(n=243)], options(tmp_path), quiet())


def test_backbones_that_need_no_download_are_compared(monkeypatch, tmp_path):
    """Without a name, nothing is downloaded; with one, the backbone is."""
    seen = []

    def of_digits(embedder, check):
        seen.append(embedder.name)
        raise BadRequest("enough")

    monkeypatch.setattr(labelled, "of_digits", of_digits)
    monkeypatch.setattr(backbones, "pull", lambda name, tell, watch: SimpleNamespace(model=name.encode()))
    for pulled in (False, True):
        monkeypatch.setattr(backbones, "is_pulled", lambda each, pulled=pulled: pulled or not each.weights)
        assert main.main(["simulate", "--digits"]) == 1
    assert main.main(["simulate", "--digits", "--backbones", "efficientnet-lite2,scattering"]) == 1
    assert seen == ["scattering", "scattering+efficientnet-lite0", "efficientnet-lite2"]


def write_image(path, grey: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), grey, np.uint8)).save(path)


def test_folder_of_classes_is_read_without_its_other_files(tmp_path):
    for i in range(4):
        write_image(tmp_path / "dark" / f"{i}.png", 10 * i)
        write_image(tmp_path / "light" / "deeper" / f"{i}.png", 255 - 10 * i)
    (tmp_path / "dark" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "stray.png").write_bytes(b"not in a class")

    labelled_images = labelled.of_folder(tmp_path)

    assert labelled_images.data.labels.tolist() == [0] * 4 + [1] * 4
    assert labelled_images.data.classes == 2
    assert np.array_equal(labelled_images.data.embeddings, labelled_images.data.embeddings.astype(np.float16))
    assert labelled_images.notes == ("1 images could not be read and are left out",)


def test_folder_without_classes_or_with_two_per_class_is_refused(tmp_path):
    write_image(tmp_path / "a" / "0.png", 1)
    with pytest.raises(BadRequest, match="at least two folders of images"):
        labelled.of_folder(tmp_path)
    for i in range(3):
        write_image(tmp_path / "b" / f"{i}.png", i)
    with pytest.raises(BadRequest, match="a has fewer"):
        labelled.of_folder(tmp_path)


def project(images: int, audit: int):
    pool, clock = FakePool(), FakeClock()
    labels = FakeLabels(pool, FakeControl(clock))
    for i in range(images):
        embedding = np.full(4, i, np.float32)
        pool.put_score(ImageRef(f"{i:03d}", "e", "1", 1), Prediction(1, "b", embedding, None))
        pool.claim(Pick(f"{i:03d}", "e", i < audit, "margin", None, i, None), 1, 9.0)
        labels.upsert(Annotation(f"{i:03d}", "e", str(i), i, "2026", "1", "cat" if i % 2 else "dog"))
        standing = labels.label_state(f"{i:03d}")
        assert standing is not None
        labels.resolve_label(standing, Consensus("cat" if i % 2 else "dog", 1.0, 1))
    stores = {"labels": labels, "pool": pool, "champions": FakeChampions()}
    return SimpleNamespace(**stores, classes=("cat", "dog"), task_type=CLASSIFICATION)


def test_a_projects_audit_share_is_what_accuracy_is_measured_on():
    labelled_images = labelled.of_project(project(60, 20))

    split = labelled_images.split(7)
    assert split.held_out.tolist() == list(range(20))
    assert split.pool.tolist() == list(range(20, 60))
    assert labelled_images.data.labels.tolist() == [1, 0] * 30
    assert labelled_images.data.embeddings[:, 0].tolist() == list(range(60))
    assert any("random means random among those images" in note for note in labelled_images.notes)


def test_stored_embeddings_have_the_parts_of_the_backbone(tmp_path):
    model = tmp_path / "model.onnx"
    halves = [Part(name, starter.build(dim=2), 1.0) for name in ("left", "right")]
    model.write_bytes(cold_start(side_by_side(halves), "squash"))
    deployment = project(60, 20)
    assert labelled.of_project(deployment).data.parts == ()
    deployment.champions.fetch = lambda pointer, folder: model
    for backbone, parts in (("b", (2, 2)), ("another", ())):
        deployment.champions.set(ChampionPointer(1, "1" * 64, "", backbone))
        assert labelled.of_project(deployment).data.parts == parts


def test_a_project_with_too_few_audit_labels_is_refused():
    with pytest.raises(BadRequest, match="19 audit images are labelled"):
        labelled.of_project(project(60, 19))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--batch", "0"], "--batch is '0': it takes numbers from 1 up"),
        (["--labels", "50,many"], "--labels is '50,many'"),
        (["--target", "90"], "--target is 90: it is an accuracy between 0 and 1"),
        (["--backbones", "magic"], "there is no backbone 'magic'"),
        (["--audit-share", "1"], "--audit-share takes something from 0"),
        (["--audit-share", "nan"], "--audit-share takes something from 0"),
        (["--labels", "10", "--batch", "20"], "--labels ends at 10: it must be at least --batch, 20"),
        (["--labels", "5000"], "the pool holds 1198 images, and the plan labels 5000"),
        (["--strategies", "margin,magic"], "there is no strategy 'magic'"),
        (["--strategies", "random"], "at least one strategy besides random"),
        (["--seeds", "1"], "at least 2 seeds"),
        (["--workers", "-1"], "--workers is a number"),
        (["--batch", "2", "--audit-share", "0.9"], "nothing is left for the strategy"),
        (["--mean", "0.5,0.5,0.5"], "go with --model"),
        (["--model", "none.onnx"], "none.onnx does not exist"),
        (["--model", "none.onnx", "--backbones", "scattering"], "do not go together"),
        (["--model", "none.onnx", "--size", "0"], "--size is '0'"),
        (["somewhere"], "do not go together"),
    ],
)
def test_whatever_is_wrong_is_said_before_any_image_is_embedded(wrong, message, capsys, monkeypatch):
    monkeypatch.setattr(labelled, "embed", lambda files, model: pytest.fail("embedded"))
    assert main.main(["simulate", "--digits", *wrong]) == 1
    assert message in " ".join(capsys.readouterr().err.split())


def test_folder_too_small_is_refused_before_any_image_is_embedded(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(labelled, "embed", lambda files, model: pytest.fail("embedded"))
    for i in range(8):
        write_image(tmp_path / ("dark" if i % 2 else "light") / f"{i}.png", 10 * i)
    assert main.main(["simulate", str(tmp_path)]) == 1
    assert "the pool holds 5 images" in capsys.readouterr().err
    assert main.main(["simulate", str(tmp_path / "none")]) == 1
    assert "there is no folder" in capsys.readouterr().err
