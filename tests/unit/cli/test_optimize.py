"""`octospoon model optimize` and the use of its files, with the digits and the starter backbone."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from unit.training.exports import IMAGES, ONE, model, node, trunk
from unit.training.stack import JOB, World, starter

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.cli.commands.model.optimize import table
from octospoon.cli.datasets import digits
from octospoon.cli.main import main
from octospoon.cli.operations import optimize
from octospoon.cli.operations.first_model import init_model
from octospoon.domain.errors import BadModel, BadRequest, Conflict, NotConfigured
from octospoon.domain.evaluation.optimization import Comparison
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.training.job.run import Outcome, run
from octospoon.training.model import check_import
from octospoon.training.model import optimize as optimizing
from octospoon.training.model.check_import import Options
from octospoon.training.model.model_file import extract_backbone, read_spec
from octospoon.training.model.optimize import Sample
from octospoon.training.model.wrap_onnx import Pixels

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.ports.models import HeadScorer
    from octospoon.training.model.optimize import Form


def deployment(made: World) -> SimpleNamespace:
    return SimpleNamespace(
        task_type=CLASSIFICATION,
        outputs={"Trainer": "head"},
        champions=made.champions,
        images=made.images,
        labels=made.labels,
        pool=made.pool,
        training_records=made.training_records,
        class_record=lambda: SimpleNamespace(read=lambda: made.labels.classes),
    )


@pytest.fixture(name="made", scope="module")
def trained() -> World:
    """A world with a model of two classes and more, a labelled audit share and a pool."""
    made = World()
    for index in range(160):
        made.label(index, digits.CLASSES[digits.labels()[index]], audit=index < 40)
    for index in range(160, 300):
        made.drop(index)
    made.serve(starter())
    assert run(JOB, made.ports) is Outcome.PROMOTED
    return made


@pytest.fixture(name="forms", scope="module")
def forms(made: World) -> list[Form]:
    return optimize.of_deployment(deployment(made), 100)


def test_champion_is_compared_on_audit_sample_and_pool(forms: list[Form]) -> None:
    assert [form.name for form in forms] == ["original", "extended", "int8"]
    for form in forms[1:]:
        compared = form.comparison
        assert compared.images == 40 + 70
        assert len(compared.right) == len(compared.original_right) == 40
        assert 0.7 < compared.original_right.mean() < 1, "the served head has memorised these images"


def test_changed_classes_are_compared_by_their_present_names(
    made: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = ClassHistory(digits.CLASSES).rename("3", "three", 1.0).merge(["1", "7"], "1", 2.0)
    monkeypatch.setattr(made.labels, "classes", changed)
    given: list[tuple[HeadScorer, Sample]] = []
    monkeypatch.setattr(optimizing, "forms", lambda _file, head, sample: given.append((head, sample)))

    optimize.of_deployment(deployment(made), 100)

    ((head, sample),) = given
    labels = sample.labels[:40]
    truth = [changed.names.index(image.label) for image in made.labels.labelled() if image.audit]
    assert labels.tolist() == truth
    embeddings = np.zeros((42, read_spec(starter()).dim), np.float32)
    assert head.run(embeddings).shape == (42, 9)
    assert np.allclose(head.run(embeddings).sum(axis=1), 1.0)


def test_an_extended_graph_answers_the_same(forms: list[Form]) -> None:
    compared = forms[1].comparison

    assert compared.cosine > 0.999
    assert compared.same_top == compared.images
    assert compared.probability_gap < 0.01  # type: ignore[operator]


def test_int8_is_int8_and_inaccurate_for_the_starter(forms: list[Form]) -> None:
    graph = onnx.load_from_string(forms[2].model).graph

    assert {tensor.data_type for tensor in graph.initializer} >= {
        onnx.TensorProto.INT8,
        onnx.TensorProto.UINT8,
    }
    assert len(forms[2].model) < len(forms[0].model) / 2
    assert forms[2].comparison.cosine < 0.9


def test_every_form_keeps_the_contract_and_is_its_own_backbone(forms: list[Form], tmp_path: Path) -> None:
    original, *cheaper = [read_spec(form.model) for form in forms]

    for form, spec in zip(forms[1:], cheaper, strict=True):
        path = tmp_path / f"{form.name}.onnx"
        path.write_bytes(form.model)
        assert OnnxScorer(path).spec == spec == replace(original, backbone=spec.backbone)
        assert extract_backbone(form.model) != extract_backbone(forms[0].model)
    assert len({spec.backbone for spec in (original, *cheaper)}) == 3


def test_the_table_holds_every_figure(forms: list[Form]) -> None:
    shown = table(forms)

    names, *columns = [list(column.cells) for column in shown.columns]
    assert [column.header for column in shown.columns[1:]] == ["original", "extended", "int8"]
    extended = dict(zip(names, columns[1], strict=True))
    assert extended["same class"] == "110 of 110"
    assert extended["accuracy, audit labels"].endswith("% of 40")
    assert extended["accuracy, audit labels"].startswith(extended["accuracy of the original"])
    assert all(cell for column in columns[1:] for cell in column)


def test_only_what_is_worth_it_is_written(forms: list[Form], tmp_path: Path) -> None:
    none = np.zeros(0, np.bool_)
    good = Comparison(400, 0.5, 0.0, 0.999, 0.998, 400, 0.01, none, none)
    judged = [
        forms[0],
        replace(forms[1], comparison=good),
        replace(forms[2], comparison=replace(good, cosine=0.5)),
    ]

    ended = optimize.keep(judged, tmp_path / "new")

    assert [(name, verdict.worth) for name, verdict, _ in ended] == [("extended", True), ("int8", False)]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["extended.onnx"]
    assert (tmp_path / "new/extended.onnx").read_bytes() == forms[1].model


def test_a_file_is_compared_on_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "starter.onnx").write_bytes(starter())
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(60):
        (folder / f"{index}.png").write_bytes(digits.png_bytes(index))
    (folder / "broken.png").write_bytes(b"no picture")

    given = ["--file", str(tmp_path / "starter.onnx"), "--images", str(folder), "--output", str(tmp_path)]
    assert main(["model", "optimize", *given]) == 0

    output = capsys.readouterr().out
    assert "extended:" in output
    assert "int8: not worth it" in output
    assert main(["model", "optimize", *given[:2]]) == 1

    assert main(["model", "optimize", *given, "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    original, extended, int8 = document["forms"]
    assert [form["name"] for form in (original, extended, int8)] == ["original", "extended", "int8"]
    assert original["image_seconds"] > 0
    assert (int8["worth"], int8["file"], document["failed"]) == (False, None, {})
    assert extended["images"] == int8["images"]


@pytest.mark.parametrize("count", [0, 39])
def test_too_few_images_are_refused(count: int) -> None:
    made = World()
    for index in range(count):
        made.drop(index)
    made.serve(starter())

    with pytest.raises(BadRequest, match=f"40 readable images .* there are {count}"):
        optimize.of_deployment(deployment(made), 100)


def test_without_a_model_there_is_nothing_to_optimize() -> None:
    with pytest.raises(NotConfigured, match="init-model"):
        optimize.of_deployment(deployment(World()), 100)


def test_new_deployment_takes_a_form_and_trained_ones_keep_backbones(
    forms: list[Form], made: World, tmp_path: Path
) -> None:
    path = tmp_path / "extended.onnx"
    path.write_bytes(forms[1].model)
    new = World()

    pointer = init_model(deployment(new), path)

    assert new.champions.files[pointer.sha256] == forms[1].model
    assert (pointer.version, pointer.backbone) == (0, read_spec(forms[1].model).backbone)
    assert init_model(deployment(new), path) == init_model(deployment(new)) == pointer
    with pytest.raises(Conflict, match="octospoon backbone use"):
        init_model(deployment(made), path)


def test_training_goes_on_from_a_form(forms: list[Form]) -> None:
    made = World()
    for index in range(60):
        made.label(index, digits.CLASSES[digits.labels()[index]], audit=index < 10)
    made.serve(forms[1].model)

    assert run(JOB, made.ports) is Outcome.PROMOTED

    served = made.champions.files[made.champions.current.sha256]
    assert extract_backbone(served) == extract_backbone(forms[1].model)


def test_a_trained_model_is_no_cold_start_model(made: World, tmp_path: Path) -> None:
    path = tmp_path / "trained.onnx"
    path.write_bytes(made.champions.files[made.champions.current.sha256])

    with pytest.raises(BadModel, match="no cold-start model"):
        init_model(deployment(World()), path)
    with pytest.raises(BadRequest, match=r"there is no file .*gone\.onnx"):
        init_model(deployment(World()), tmp_path / "gone.onnx")


SAMPLE = Sample(IMAGES[:4].repeat(5, 0), IMAGES, np.full(len(IMAGES), -1))


@pytest.fixture(name="quick")
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizing, "_RUNS", 2)
    monkeypatch.setattr(optimizing, "_LOADS", 2)


def backbone(tmp_path: Path, made: onnx.ModelProto) -> bytes:
    onnx.save(made, tmp_path / "m.onnx")
    return check_import.fitted(check_import.read(tmp_path / "m.onnx", Options(Pixels())), ()).model


@pytest.mark.parametrize("opset", [7, 9, 11, 12, 13, 17])
def test_every_opset_is_optimised(tmp_path: Path, quick: None, opset: int) -> None:
    nodes = [node("Conv", "input kernel constant", "conv", strides=[2, 2]), *trunk()[1:]]
    made = model(nodes, "pooled", opset=opset, constant=np.ones(8, np.float32))

    forms = optimizing.forms(backbone(tmp_path, made), None, SAMPLE)

    assert ([form.name for form in forms], forms.failed) == (["original", "extended", "int8"], {})
    assert forms[2].comparison.cosine > 0.98


def test_models_that_cannot_be_quantised_are_reported_and_others_continue(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [node("QuantizeLinear", "input step zero", "q"), node("DequantizeLinear", "q step zero", "d")]
    made = model([*nodes, *trunk("d")], "pooled", step=np.float32(1 / 255), zero=np.array(0, np.uint8))
    forms = optimizing.forms(backbone(tmp_path, made), None, SAMPLE)
    assert [form.name for form in forms] == ["original", "extended"]
    assert forms.failed == {"int8": "the backbone is quantised already"}

    monkeypatch.setattr(optimizing, "extended", lambda _: b"")
    monkeypatch.setattr(optimizing, "int8", lambda _, calibration: backbone(tmp_path, made)[:100])
    forms = optimizing.forms(backbone(tmp_path, made), None, SAMPLE)
    assert [form.name for form in forms] == ["original"]
    assert set(forms.failed) == {"extended", "int8"}


def test_backbone_for_single_images_is_optimised_as_far_as_possible(tmp_path: Path, quick: None) -> None:
    made = model([*trunk(), node("Squeeze", "gap", "out")], shape=ONE)
    forms = optimizing.forms(backbone(tmp_path, made), None, SAMPLE)
    assert [form.name for form in forms][:2] == ["original", "extended"]
    assert set(forms.failed) <= {"int8"}
