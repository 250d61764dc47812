"""`Trainer=command` for boxes: programs that write real detectors, and some that fail or lie."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx
import pytest
from fakes.images import FakeImages
from fakes.models import FakeChampions, FakeTrainingRecords
from fakes.pool import Row
from onnx import TensorProto, helper, numpy_helper
from unit.training.command_world import shell, with_program
from unit.training.detectors import CLASSES, red_detector, with_rectangle
from unit.training.exported_detectors import BOXES, Network, columns
from unit.training.networks import network
from unit.training.stack import JOB, World
from unit.training.strided import strided

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.errors import TrainerFailed
from octospoon.domain.evaluation.training_record import TrainingRecord, image_numbers
from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.tasks import Annotation, LabelledImage, Pick
from octospoon.domain.model_spec import HEAD_PREFIX, ChampionPointer
from octospoon.domain.pool.images import Prediction, State
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.label import Box, Boxes
from octospoon.training.command.champion import InService
from octospoon.training.command.command_line import CommandLine
from octospoon.training.command.trainer import CommandTrainer
from octospoon.training.data.dataset import Dataset
from octospoon.training.job.run import Outcome, run
from octospoon.training.model import check_import, model_file
from octospoon.training.model.optimize import cold_start
from octospoon.training.model.wrap_onnx import Pixels

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.domain.model_spec import ModelSpec
    from octospoon.domain.training.jobs import TrainedModel

COUNT, AUDIT = 40, 8
COPY = "cp {file} $OCTOSPOON_OUTPUT/model.onnx"


class Task:
    """Wide images with a red rectangle in most of them, of which the first are of the audit share."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        images, self.store = [], FakeImages()
        for number in range(COUNT):
            left, top = rng.uniform(0, 0.5, 2)
            box = tuple(np.round([left, top, left + 0.3, top + 0.4], 2).tolist())
            there = number % 5 != 4
            data = with_rectangle((200, 100), box if there else (0, 0, 0, 0))
            key, etag = f"{number:03d}.png", hashlib.md5(data).hexdigest()
            self.store.objects[key] = (data, etag)
            label = Boxes().write((Box("red", *box),) if there else ())
            audit = number < AUDIT
            images.append(LabelledImage(key, etag, label, 1.0, 1, audit, "margin", None, 1))
        targets = DETECTION.evaluator.targets([image.label for image in images], CLASSES)
        self.backbone = strided(64, 96)
        spec = model_file.backbone_spec(self.backbone, "squash")
        self.spec = replace(spec, classes=CLASSES, version=7)
        # the targets of boxes are of another type than those of classes, which `Dataset` names
        self.data = Dataset(tuple(images), np.zeros((COUNT, spec.dim), np.float32), cast("Any", targets), {})
        self.champions = FakeChampions()
        self.records = FakeTrainingRecords(self.champions)

    def serve(self, model: bytes, images: list[int]) -> ChampionPointer:
        """Put a detector into service that was trained on some of the images."""
        seen = [self.data.images[i] for i in images]
        numbers = image_numbers((image.key, image.etag) for image in seen)
        spec = model_file.read_spec(model)
        none = np.empty(0, np.uint64)
        record = TrainingRecord.of(numbers, np.full(len(numbers), -1), {}, (spec.dim, 2), none)
        stored = self.champions.put_model(model, None)
        sha256 = self.records.put(record)
        pointer = ChampionPointer.of(spec.version, spec.backbone, *stored, spec.classes, sha256)
        self.champions.set(pointer)
        return pointer

    def trained(self, script: str) -> TrainedModel:
        until = time.monotonic() + 600
        served = InService(self.champions, self.records)
        command = CommandLine.read(shell(script))
        trainer = CommandTrainer(self.store, command, DETECTION, until, served, lambda _: None)
        return trainer(self.backbone, self.data, self.spec)


@pytest.fixture(name="task")
def labelled() -> Task:
    return Task()


@pytest.fixture(name="red")
def detector_of_red(tmp_path: Path) -> Path:
    path = tmp_path / "red.onnx"
    path.write_bytes(red_detector(64, 128, "letterbox"))
    return path


def test_detector_of_a_program_is_taken_and_measured(task: Task, red: Path, tmp_path: Path):
    kept = tmp_path / "kept"

    metrics = "echo 'loss\n1' > $OCTOSPOON_OUTPUT/metrics.csv"
    made = task.trained(f"cp -r $OCTOSPOON_DATA {kept}; {COPY.format(file=red)}; {metrics}")

    spec = model_file.read_spec(made.model)
    assert (spec.classes, spec.version, spec.resize) == (CLASSES, 7, "letterbox")
    assert spec.backbone == model_file.read_spec(red.read_bytes()).backbone
    assert made.head == b""
    assert made.metrics == {"held_out_ap50": pytest.approx(1.0)}, "letterboxed boxes are shares of the upload"
    known = np.isfinite(made.held_out).all(axis=(1, 2))
    names = {line["key"] for line in lines(kept) if line["split"] == "val"}
    assert {task.data.images[i].key for i in np.flatnonzero(known)} == names
    assert not known[:AUDIT].any()
    assert made.epochs == ({"epoch_loss": 1.0},)
    seen = task.data.part(audit=False).numbers()
    assert sorted(made.record.images) == sorted(made.record.backbone) == sorted(seen)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "images.jsonl").read_text().splitlines()]


def test_data_are_coco_and_yolo_without_audit_images(task: Task, red: Path, tmp_path: Path):
    kept = tmp_path / "kept"
    task.trained(f"cp -r $OCTOSPOON_DATA {kept}; {COPY.format(file=red)}")

    described = json.loads((kept / "data.json").read_text())
    assert (described["task"], described["classes"]) == ("detection", list(CLASSES))
    files = {line["file"] for line in lines(kept)}
    assert len(files) == COUNT - AUDIT
    assert not {image.key for image in task.data.images[:AUDIT]} & {line["key"] for line in lines(kept)}
    boxes = 0
    for part in ("train", "val"):
        coco = json.loads((kept / f"annotations/{part}.json").read_text())
        assert {f"images/{part}/{image['file_name']}" for image in coco["images"]} <= files
        boxes += len(coco["annotations"])
        for image in coco["images"]:
            stem = image["file_name"].removesuffix(".png")
            rows = (kept / f"labels/{part}/{stem}.txt").read_text().splitlines()
            assert len(rows) == sum(row["image_id"] == image["id"] for row in coco["annotations"])
    assert boxes == sum(image.label != "[]" for image in task.data.images[AUDIT:])


def test_program_gets_the_backbone_before_the_first_detector(task: Task, red: Path, tmp_path: Path):
    kept = tmp_path / "champion.onnx"
    task.trained(f"cp $OCTOSPOON_CHAMPION {kept}; {COPY.format(file=red)}")
    spec = model_file.read_spec(kept.read_bytes())
    assert (spec.backbone, spec.has_head) == (model_file.sha256(task.backbone), False)


def test_program_gets_the_whole_detector_in_service(task: Task, red: Path, tmp_path: Path):
    kept = tmp_path / "champion.onnx"
    pointer = task.serve(red.read_bytes(), [0, *range(AUDIT, 20)])

    made = task.trained(f"cp $OCTOSPOON_CHAMPION {kept}; cp $OCTOSPOON_CHAMPION $OCTOSPOON_OUTPUT/model.onnx")

    assert kept.read_bytes() == task.champions.files[pointer.sha256]
    assert made.metrics["held_out_ap50"] == pytest.approx(1.0)
    first = image_numbers([(task.data.images[0].key, task.data.images[0].etag)])
    assert np.isin(first, made.record.backbone).all(), "what the model before had seen is remembered"


def test_classes_in_another_order_are_put_into_ours(task: Task, red: Path, tmp_path: Path):
    """A file of ours names its classes itself; the columns of its scores follow the project's order."""
    path = tmp_path / "turned.onnx"
    turned = replace(model_file.read_spec(red.read_bytes()), classes=tuple(reversed(CLASSES)))
    proto = onnx.load(red)
    onnx.helper.set_model_props(proto, turned.to_metadata())
    path.write_bytes(proto.SerializeToString(deterministic=True))

    made = task.trained(COPY.format(file=path))

    assert model_file.read_spec(made.model).classes == CLASSES
    shown = scores(made.model, tmp_path, task)
    assert shown == pytest.approx([0.3, 0.9], abs=1e-5), "the first column was that of the second class"
    again = check_import.read(path, check_import.Options(Pixels()), "")
    assert check_import.fitted(again, again.classes).spec.classes == turned.classes


def scores(model: bytes, folder: Path, task: Task) -> list[float]:
    (folder / "scored.onnx").write_bytes(model)
    scorer = OnnxScorer(folder / "scored.onnx")
    framed = scorer.preprocess(task.store.objects[task.data.images[AUDIT].key][0])
    predicted = scorer.predict(framed.pixels[np.newaxis], [framed.region])[0].probabilities
    assert predicted is not None
    best: list[float] = predicted[:, 4:].max(axis=0).tolist()
    return best


def test_detector_with_heads_of_ours_is_taken_apart(task: Task, tmp_path: Path):
    """Such as octospoon's own trainer makes: the backbone stays, and the heads have its embeddings."""
    model = with_heads(task.backbone, replace(task.spec, classes=("dark red", "red"), boxes=1, version=2))
    path = tmp_path / "heads.onnx"
    path.write_bytes(model)

    parts = check_import.read(path, check_import.Options(Pixels()), "")
    same, turned = (check_import.fitted(parts, names) for names in (parts.classes, CLASSES))

    assert parts.backbone == task.backbone
    assert same.model == model_file.renumbered(model, 0)
    assert turned.spec.classes == CLASSES
    assert model_file.extract_backbone(turned.model) == task.backbone
    before, after = (scores(each.model, tmp_path, task) for each in (same, turned))
    assert before == pytest.approx(after[::-1])
    assert before[0] != pytest.approx(before[1])
    made = task.trained(COPY.format(file=path))
    assert not made.record.backbone.size, "the backbone learned nothing"


def with_heads(backbone: bytes, spec: ModelSpec) -> bytes:
    """Return a detector whose heads read the backbone's embedding and give one box around everything."""
    layer = np.random.default_rng(1).normal(size=(spec.dim, 2)) / math.sqrt(spec.dim)
    values = {
        "layer": layer.astype(np.float32),
        "zeros": np.zeros((spec.dim, 4), np.float32),
        "all": np.array([0, 0, 1, 1], np.float32),
        "box_shape": np.array([-1, 1, 4]),
        "score_shape": np.array([-1, 1, 2]),
    }
    steps = [
        ("MatMul", ["embedding", "zeros"], "nothing"),
        ("Add", ["nothing", "all"], "box"),
        ("Reshape", ["box", "box_shape"], "boxes"),
        ("MatMul", ["embedding", "layer"], "logits"),
        ("Sigmoid", ["logits"], "sure"),
        ("Reshape", ["sure", "score_shape"], "scores"),
    ]

    def named(name: str) -> str:
        return name if name in ("embedding", "boxes", "scores") else HEAD_PREFIX + name

    nodes = [
        helper.make_node(op, [*map(named, inputs)], [named(output)], HEAD_PREFIX + output)
        for op, inputs, output in steps
    ]
    body = helper.make_graph(
        nodes,
        "heads",
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", spec.dim])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 1, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 1, 2]),
        ],
        [numpy_helper.from_array(value, HEAD_PREFIX + name) for name, value in values.items()],
    )
    head = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return model_file.assemble(backbone, head.SerializeToString(), spec)


def exported(**changes: Any) -> onnx.ModelProto:
    """Return a detector like Ultralytics' raw export, of two classes, with a change."""
    net = Network()
    boxes = net.scaled(net.numbers("boxes", 4, BOXES), 32)
    found = net.numbers("scores", changes.get("classes", 2), BOXES)
    if "factor" in changes:
        found = net.scaled(found, changes["factor"])
    net.graph.add("Concat", [boxes, found], "output0", axis=1)
    return net.file(output0=TensorProto.FLOAT)


def with_nan() -> onnx.ModelProto:
    model = exported()
    for tensor in model.graph.initializer:
        if tensor.name == "scores_weights":
            values = numpy_helper.to_array(tensor).copy()
            values[:] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


def one_box() -> onnx.ModelProto:
    """Return a detector whose output is a box without a class."""
    net = Network()
    net.numbers("output0", BOXES, 5)
    return net.file(output0=TensorProto.FLOAT)


def test_exported_detector_is_recognised_and_wrapped(task: Task, tmp_path: Path):
    onnx.save(exported(), tmp_path / "yolo.onnx")
    made = task.trained(COPY.format(file=tmp_path / "yolo.onnx"))
    spec = model_file.read_spec(made.model)
    assert (spec.classes, spec.resize, spec.height) == (CLASSES, "letterbox", 32)
    assert 0 <= made.metrics["held_out_ap50"] < 0.9


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (with_nan, r"NaN or infinite numbers|not finite"),
        (lambda: exported(classes=3), r"is no form of a detector of 2 classes"),
        (
            lambda: exported(factor=0.001),
            r"gives no box with a score of 0\.05 or more for any of the \d+ images of val",
        ),
        (one_box, r"is no form of a detector of 2 classes"),
        (lambda: network(classes=2), r"are none of a detector, and the labels of the project are boxes"),
    ],
)
def test_detector_that_lies_fails_its_job(task: Task, tmp_path: Path, model: Any, reason: str):
    onnx.save(model(), tmp_path / "their.onnx")
    with pytest.raises(
        TrainerFailed, match=f"its model cannot be used: .*({reason}).*its last lines: epoch 9"
    ):
        task.trained(f"echo epoch 9; {COPY.format(file=tmp_path / 'their.onnx')}")


def test_classes_of_another_project_are_named(task: Task, tmp_path: Path):
    model = columns()
    onnx.helper.set_model_props(model, {"task": "detect", "names": "{0: 'cat', 1: 'dog', 2: 'owl'}"})
    onnx.save(model, tmp_path / "their.onnx")
    with pytest.raises(
        TrainerFailed, match="the model's classes are cat, dog, owl, the project's red, dark red"
    ):
        task.trained(COPY.format(file=tmp_path / "their.onnx"))


def described(file: Path, options: str) -> str:
    """Return a script that writes a model and its options."""
    return f"{COPY.format(file=file)}; echo '{options}' > $OCTOSPOON_OUTPUT/model.json"


def test_backbone_of_a_program_is_no_detector(task: Task, tmp_path: Path):
    onnx.save(network(last="pooled"), tmp_path / "their.onnx")
    with pytest.raises(TrainerFailed, match=r"model\.onnx predicts no boxes: write a detector"):
        task.trained(described(tmp_path / "their.onnx", '{"classes": []}'))


def test_options_of_a_detector_are_those_of_the_import(task: Task, tmp_path: Path):
    file = tmp_path / "yolo.onnx"
    onnx.save(exported(), file)
    made = task.trained(described(file, '{"resize": "squash", "overlap": 0.1}'))
    assert model_file.read_spec(made.model).resize == "squash"
    with pytest.raises(TrainerFailed, match="leave out --first-label"):
        task.trained(described(file, '{"first_label": 1}'))


def labelled_world(task: Task) -> World:
    """Return a project whose labels are boxes, with the images of the task, before its first detector."""
    made = World()
    made.ports = replace(made.ports, task_type=DETECTION, classes=CLASSES)
    for number, image in enumerate(task.data.images):
        etag = image.etag
        made.images.objects[image.key] = task.store.objects[image.key]
        row = Row(
            etag,
            "1",
            State.EXPORTED,
            Prediction(0, task.spec.backbone, np.zeros(task.spec.dim, np.float16), None),
        )
        row.round_number, row.pick = 1, Pick(image.key, etag, image.audit, "margin", None, 0, None)
        made.pool.table[image.key] = row
        made.labels.upsert(
            Annotation(image.key, etag, image.key, number, "2025-01-01T00:00:00Z", "1", image.label)
        )
        made.resolve(image.key, Consensus(image.label, 1.0, 1))
    made.serve(cold_start(task.backbone, "squash"))
    return made


def test_detector_of_a_program_goes_into_service(task: Task, red: Path, tmp_path: Path):
    made = labelled_world(task)

    assert run(JOB, with_program(made, shell(COPY.format(file=red)))) is Outcome.PROMOTED

    pointer = made.champions.current
    assert pointer is not None
    assert (pointer.version, pointer.classes, pointer.head_key) == (1, CLASSES, "")
    assert pointer.backbone == model_file.read_spec(red.read_bytes()).backbone
    assert made.registry.metrics["audit_ap50"] == pytest.approx(1.0)
    assert "`octospoon rescore --full`" in made.control.state().reason
    embedded = {row.prediction.backbone for row in made.pool.table.values()}
    assert embedded == {pointer.backbone}, "the labelled images have embeddings of the new model"
    assert {len(row.prediction.embedding) for row in made.pool.table.values()} == {3}

    made.launch("train-000002")
    onnx.save(exported(), tmp_path / "worse.onnx")
    assert (
        run("train-000002", with_program(made, shell(COPY.format(file=tmp_path / "worse.onnx"))))
        is Outcome.REFUSED
    )
    assert "worse than the model in service" in made.control.state().reason
    assert made.champions.current == pointer

    made.launch("train-000003")
    with pytest.raises(TrainerFailed, match="exit code 4"):
        run("train-000003", with_program(made, shell("exit 4")))
    assert made.champions.current == pointer
