"""`octospoon model import` over the in-memory ports. The part for MLflow's environment runs here too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from fakes.pool import FakeEntries
from fakes.training import FakeRegistry
from unit.training.detectors import red_detector
from unit.training.exported_detectors import CLASSES as DETECTED
from unit.training.exported_detectors import columns, lists
from unit.training.networks import network
from unit.training.stack import JOB, World, starter

from octospoon.cli.datasets import digits
from octospoon.cli.main import main
from octospoon.cli.operations import import_model as model_import
from octospoon.cli.operations.first_model import init_model
from octospoon.cli.operations.rollback import rollback
from octospoon.domain.errors import BadModel, BadRequest, Conflict, NotConfigured, OtherBackbone
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.training.job.run import Outcome, run
from octospoon.training.model.check_import import Options
from octospoon.training.model.model_file import assemble, extract_backbone, head_file, read_spec
from octospoon.training.model.register import register
from octospoon.training.model.wrap_onnx import Pixels

if TYPE_CHECKING:
    from octospoon.domain.task_types.task_type import TaskType

OPTIONS = Options(Pixels(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)))
CLASSES = ClassHistory(digits.CLASSES)
HEADED = Options(OPTIONS.pixels, classes=digits.CLASSES)


def deployment(
    made: World, history: ClassHistory = CLASSES, task_type: TaskType = CLASSIFICATION
) -> SimpleNamespace:
    return SimpleNamespace(
        task_type=task_type,
        outputs={"Trainer": "head"},
        champions=made.champions,
        entries=FakeEntries(made.pool),
        class_record=lambda: SimpleNamespace(read=lambda: history),
        endpoint_url="http://127.0.0.1:9",
        control=made.control,
        history=made.history,
    )


@pytest.fixture(name="made")
def new_deployment(monkeypatch) -> World:
    made = World()

    def here(arguments, server):
        assert server == "http://mlflow"
        command, folder, option, source, least, above = arguments
        assert (command, option, least) == ("register-model", "--source", "--above")
        return str(register(made.registry, Path(folder), source, int(above)))

    monkeypatch.setattr(model_import, "in_trainer", here)
    monkeypatch.setattr(model_import, "local_project", lambda: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow")
    made.serve(starter())
    return made


@pytest.fixture(name="backbone")
def features(tmp_path) -> Path:
    onnx.save(network(last="pooled"), tmp_path / "features.onnx")
    return tmp_path / "features.onnx"


@pytest.fixture(name="classifier")
def classes(tmp_path) -> Path:
    onnx.save(network(classes=10), tmp_path / "classifier.onnx")
    return tmp_path / "classifier.onnx"


def label_all(made: World) -> None:
    """Label digits. Their embeddings are the starter's, so the job computes them again."""
    for index in range(60):
        made.label(index, digits.CLASSES[digits.labels()[index]], audit=index < 10)


def test_imported_backbone_replaces_the_starter_and_gets_heads(made, backbone):
    result = model_import.import_model(deployment(made), backbone, OPTIONS, None)

    assert replace(made.champions.current, previous=None, generation=0) == result.pointer
    assert (result.pointer.version, result.pointer.classes, result.pointer.head_key) == (0, (), "")
    assert "version 0 is in service" in result.summary()
    assert init_model(deployment(made)) == made.champions.current
    label_all(made)
    assert run(JOB, made.ports) is Outcome.PROMOTED
    assert made.champions.current.backbone == result.pointer.backbone
    assert rollback(deployment(made), 0) == result.pointer


def test_a_classifier_becomes_a_version_of_its_own(made, classifier, tmp_path):
    (tmp_path / "digit.png").write_bytes(digits.png_bytes(3))
    result = model_import.import_model(deployment(made), classifier, HEADED, tmp_path / "digit.png")

    assert result.pointer.version == 1
    assert result.pointer.classes == digits.CLASSES
    file = made.champions.files[result.pointer.sha256]
    assert read_spec(file).version == 1
    assert read_spec(made.champions.files[result.pointer.head_sha256]).version == 1
    assert made.registry.logged[1]["model.onnx"] == file
    assert made.registry.tags[1]["octospoon.outcome"] == "imported"
    assert made.champions.current.previous.version == 0
    assert made.champions.current.previous.backbone == result.pointer.backbone
    label_all(made)
    assert rollback(deployment(made), None).backbone == result.pointer.backbone
    assert "the image is " in result.summary()


def test_a_model_is_trained_on_the_imported_one(made, classifier):
    model_import.import_model(deployment(made), classifier, HEADED, None)
    label_all(made)

    assert run(JOB, made.ports) in (Outcome.PROMOTED, Outcome.REFUSED)
    assert made.registry.params["version"] == "2"


def test_rollback_to_another_backbone_needs_an_explicit_request(made, backbone):
    trained = replace(made.champions.current, version=4)
    made.champions.keep(trained)
    model_import.import_model(deployment(made), backbone, OPTIONS, None)
    label_all(made)
    with pytest.raises(OtherBackbone, match="octospoon rescore --full"):
        rollback(deployment(made), 4)
    assert made.champions.current.version != 4
    assert rollback(deployment(made), 4, new_backbone=True).version == 4
    assert made.champions.current.version == 4


def test_the_same_file_again_is_the_same_version(made, classifier):
    first = model_import.import_model(deployment(made), classifier, HEADED, None)
    again = model_import.import_model(deployment(made), classifier, HEADED, None)

    assert again.pointer == first.pointer
    assert len(made.registry.runs) == 1


def test_a_model_from_before_a_change_of_names_fits(made, classifier):
    renamed = CLASSES.rename("3", "three", 1.0)

    result = model_import.import_model(deployment(made, renamed), classifier, HEADED, None)

    assert result.pointer.classes == renamed.names


def test_images_in_the_pool_keep_another_backbone_out(made, backbone, classifier):
    made.drop(0)
    before = made.champions.current
    for file, options in ((backbone, OPTIONS), (classifier, HEADED)):
        with pytest.raises(OtherBackbone, match=r"octospoon backbone use FILE\.onnx"):
            model_import.import_model(deployment(made), file, options, None)
    assert made.champions.current == before
    assert not made.registry.runs


def test_head_for_the_backbone_in_service_is_always_accepted(made, tmp_path):
    other = World()
    for index in range(60):
        other.label(index, digits.CLASSES[digits.labels()[index]])
    other.serve(starter())
    run(JOB, other.ports)
    (tmp_path / "trained.onnx").write_bytes(other.champions.files[other.champions.current.sha256])
    made.drop(0)
    made.registry.begin("train-000001", {}, lambda least: least)

    result = model_import.import_model(deployment(made), tmp_path / "trained.onnx", Options(Pixels()), None)

    assert result.pointer.version == 2
    assert result.pointer.backbone == read_spec(starter()).backbone


@pytest.mark.parametrize(("task_type", "activation"), [(CLASSIFICATION, "sigmoid"), (MULTILABEL, "softmax")])
def test_a_head_for_another_kind_of_label_is_refused(made, tmp_path, task_type, activation):
    made.serve(starter())
    before = made.champions.current
    for ends, fits in ((activation, False), (task_type.activation, True)):
        spec = replace(read_spec(starter()), classes=digits.CLASSES, version=1, activation=ends)
        head = head_file(np.zeros((spec.dim, 10), np.float32), np.zeros(10, np.float32), spec)
        (tmp_path / "m.onnx").write_bytes(assemble(extract_backbone(starter()), head, spec))
        if fits:
            made.registry.begin("train-000001", {}, lambda least: least)
            done = model_import.import_model(
                deployment(made, task_type=task_type), tmp_path / "m.onnx", Options(Pixels()), None
            )
            assert done.model.spec.activation == task_type.activation
        else:
            with pytest.raises(BadRequest, match=f"ends in {ends}, and the labels of the project need"):
                model_import.import_model(
                    deployment(made, task_type=task_type), tmp_path / "m.onnx", Options(Pixels()), None
                )
            assert made.champions.current == before


def test_bare_backbone_of_a_known_model_changes_nothing(made, tmp_path):
    label_all(made)
    run(JOB, made.ports)
    (tmp_path / "starter.onnx").write_bytes(starter())
    with pytest.raises(Conflict, match="rollback --to 0"):
        model_import.import_model(deployment(made), tmp_path / "starter.onnx", Options(Pixels()), None)


def test_without_mlflow_there_is_no_version(made, classifier, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(NotConfigured, match="set MLFLOW_TRACKING_URI"):
        model_import.import_model(deployment(made), classifier, HEADED, None)


def test_the_command_line(made, classifier, monkeypatch, capsys):
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda stack: deployment(made))
    names = ",".join(reversed(digits.CLASSES))
    options = ["--classes", names, "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25"]
    assert main(["model", "import", str(classifier), *options]) == 0
    assert (
        "version 1 is in service from the next image on: images of 24x24 (cover)" in capsys.readouterr().out
    )
    for wrong, message in (
        (["--size", "big"], "--size is 'big': it must be such as 224"),
        (["--mean", "grey"], "three numbers such as 0.485,0.456,0.406"),
        (["--size", "99"], "leave out --size"),
    ):
        assert main(["model", "import", str(classifier), *wrong]) == 1
        assert message in capsys.readouterr().err


def test_an_outage_of_mlflow_changes_nothing(made, classifier, monkeypatch):
    before, registry = made.champions.current, FakeRegistry(failures=1)
    monkeypatch.setattr(
        model_import, "in_trainer", lambda arguments, server: register(registry, Path(arguments[1]), "x")
    )
    with pytest.raises(Exception, match="does not answer"):
        model_import.import_model(deployment(made), classifier, HEADED, None)
    assert made.champions.current == before


def test_a_range_is_two_choices(made, classifier, capsys):
    assert main(["model", "import", str(classifier), "--range", "2"]) == 2
    assert "'2' is not one of '1', '255'" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said(made, tmp_path):
    with pytest.raises(BadRequest, match="there is no file"):
        model_import.import_model(deployment(made), tmp_path / "none.onnx", OPTIONS, None)


def test_wrapped_file_needs_no_deployment_and_is_imported_later(
    made, classifier, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("octospoon.cli.deployment.find_deployment", lambda stack: deployment(made))
    out = tmp_path / "out.onnx"
    given = ["--classes", ",".join(digits.CLASSES), "--channels", "bgr", "--mean", "0.5,0.5,0.5"]

    assert main(["model", "import", str(classifier), "--to", str(out), *given]) == 0

    shown = capsys.readouterr().out
    for part in ("nchw, bgr, 24x24", "embedding: the tensor 'pooled'", "classes: 0, 1", f"written to {out}"):
        assert part in shown
    assert read_spec(out.read_bytes()).classes == digits.CLASSES
    assert made.champions.current.version == 0, "nothing went into service"
    assert [path.name for path in tmp_path.iterdir()] == ["classifier.onnx", "out.onnx"]
    assert main(["model", "import", str(out)]) == 0
    assert "version 1 is in service" in capsys.readouterr().out


def test_a_backbone_is_written_as_a_cold_start_model(made, backbone, tmp_path):
    out = tmp_path / "out.onnx"
    assert main(["model", "import", str(backbone), "--to", str(out)]) == 0
    assert read_spec(out.read_bytes()).has_head is False
    assert init_model(deployment(World()), out).version == 0


def test_a_file_that_is_there_is_not_written_over(made, backbone, tmp_path, capsys):
    before = backbone.read_bytes()
    for options, message in (
        (["--to", str(backbone)], "is there already: name another file"),
        (["--to", str(tmp_path / "no" / "out.onnx")], "there is no folder"),
        (["--to", str(tmp_path / "out.onnx"), "--stack", "prod"], "leave out --stack"),
        (["--to", str(tmp_path / "out.onnx"), "--output", "logits"], "no tensor 'logits'"),
    ):
        assert main(["model", "import", str(backbone), *options]) == 1
        assert message in capsys.readouterr().err
    assert backbone.read_bytes() == before
    assert not (tmp_path / "out.onnx").exists()


def test_a_detector_is_refused_where_labels_are_classes(made, tmp_path):
    before = made.champions.current
    onnx.save(columns(), tmp_path / "detector.onnx")
    (tmp_path / "ours.onnx").write_bytes(red_detector(32, 32, "letterbox"))

    for name, options in (
        ("detector.onnx", Options(Pixels(), classes=DETECTED)),
        ("ours.onnx", Options(Pixels())),
    ):
        with pytest.raises(BadRequest, match=r"is a detector, and the labels .* it fits TaskType=detection"):
            model_import.import_model(deployment(made), tmp_path / name, options, None)

    assert made.champions.current == before


def of_boxes(made: World) -> SimpleNamespace:
    return deployment(made, ClassHistory(DETECTED), DETECTION)


@pytest.fixture(name="detector")
def exported_detector(tmp_path) -> Path:
    onnx.save(columns(), tmp_path / "detector.onnx")
    return tmp_path / "detector.onnx"


def test_a_detector_becomes_a_version_with_the_classes_in_order(made, detector):
    turned = tuple(reversed(DETECTED))

    result = model_import.import_model(of_boxes(made), detector, Options(Pixels(), classes=turned), None)

    file = made.champions.files[result.pointer.sha256]
    spec = read_spec(file)
    assert (result.pointer.version, result.pointer.classes, result.pointer.head_key) == (1, DETECTED, "")
    assert (spec.version, spec.classes, spec.boxes) == (1, DETECTED, 100)
    assert made.registry.logged[1] == {"model.onnx": file}
    assert made.registry.params["classes"] == ", ".join(DETECTED)
    assert "boxes with a score from 0.3 on" in result.summary()
    assert rollback(of_boxes(made), 0).backbone == spec.backbone
    again = model_import.import_model(of_boxes(made), detector, Options(Pixels(), classes=turned), None)
    assert again.pointer == result.pointer


def test_wrong_detectors_and_classifiers_change_nothing(made, detector, classifier):
    before = made.champions.current
    for file, options, message in (
        (
            detector,
            Options(Pixels(), classes=("cat", "dog", "cow")),
            "classes are cat, dog, cow, the project's",
        ),
        (detector, Options(Pixels(), classes=("cat", "dog")), "is no form of a detector of 2 classes"),
        (classifier, HEADED, "none of a detector, and the labels of the project are boxes"),
    ):
        with pytest.raises((BadRequest, BadModel), match=message):
            model_import.import_model(of_boxes(made), file, options, None)
    assert made.champions.current == before
    assert not made.registry.runs


def test_a_detector_beside_images_needs_an_explicit_request(made, detector):
    made.drop(0)
    before, options = made.champions.current, Options(Pixels(), classes=DETECTED)
    with pytest.raises(OtherBackbone, match=r"add --new-backbone .* `octospoon rescore --full`"):
        model_import.import_model(of_boxes(made), detector, options, None)
    assert made.champions.current == before

    result = model_import.import_model(of_boxes(made), detector, options, None, new_backbone=True)

    assert made.champions.current.version == result.pointer.version == 1
    assert made.champions.current.previous.backbone == before.backbone
    assert 0 not in made.champions.versions, "version 0 is not replaced"


def test_a_backbone_alone_is_no_new_model(made, backbone):
    with pytest.raises(BadRequest, match=r"`octospoon backbone use FILE\.onnx`"):
        model_import.import_model(deployment(made), backbone, OPTIONS, None, new_backbone=True)


def test_activation_of_a_written_classifier_is_that_of_its_end(tmp_path, capsys):
    for name, softmax, given, expected in (
        ("softmax", True, [], "softmax"),
        ("logits", False, [], "softmax"),
        ("several", False, ["--activation", "sigmoid"], "sigmoid"),
    ):
        file, out = tmp_path / f"{name}.onnx", tmp_path / f"{name}-out.onnx"
        onnx.save(network(classes=3, softmax=softmax), file)
        assert main(["model", "import", str(file), "--classes", "a,b,c", "--to", str(out), *given]) == 0
        assert f"from its last linear layer, by a {expected}" in capsys.readouterr().out
        assert read_spec(out.read_bytes()).activation == expected
    model = network(classes=3, softmax=False)
    model.graph.node.append(onnx.helper.make_node("Sigmoid", ["logits"], ["chances"]))
    model.graph.output[0].name = "chances"
    onnx.save(model, tmp_path / "chances.onnx")
    to = ["--classes", "a,b,c", "--to", str(tmp_path / "chances-out.onnx")]
    assert main(["model", "import", str(tmp_path / "chances.onnx"), *to]) == 0
    assert read_spec((tmp_path / "chances-out.onnx").read_bytes()).activation == "sigmoid"
    other = ["--classes", "a,b,c", "--to", str(tmp_path / "no.onnx"), "--activation", "softmax"]
    assert main(["model", "import", str(tmp_path / "chances.onnx"), *other]) == 1
    assert "ends in sigmoid" in capsys.readouterr().err
    assert main(["model", "import", str(tmp_path / "chances.onnx"), "--activation", "sigmoid"]) == 1
    assert "--activation goes with --to" in capsys.readouterr().err


def test_features_of_a_detector_may_become_a_backbone(made, tmp_path):
    onnx.save(lists(), tmp_path / "lists.onnx")
    onnx.save(columns(), tmp_path / "detector.onnx")

    with pytest.raises(BadRequest, match=r"is a detector.*name its features with --output"):
        model_import.import_model(deployment(made), tmp_path / "lists.onnx", Options(Pixels()), None)
    done = model_import.import_model(
        deployment(made), tmp_path / "detector.onnx", Options(Pixels(), output="maps8"), None
    )

    assert (done.pointer.version, done.model.spec.boxes, done.model.spec.dim) == (0, 0, 16)
