"""Jobs whose trainer is a program: one that learns, and many that fail or lie."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from fakes.images import FakeImages
from fakes.models import FakeChampions, FakeTrainingRecords
from onnx import numpy_helper
from unit.training.command_world import EXAMPLE, labelled, labelled_with_several, python, shell, with_program
from unit.training.networks import network
from unit.training.stack import JOB, World, backbone

from octospoon.adapters.dynamodb.control.task_type import DynamoTaskTypeRecord
from octospoon.adapters.dynamodb.control.training import DynamoControl
from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.cli.datasets import digits
from octospoon.domain.errors import BadRequest, NotConfigured, ServiceUnavailable, TrainerFailed
from octospoon.domain.evaluation.training_record import image_numbers
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.training.jobs import JobSettings, JobStatus, TrainingState
from octospoon.training.command import follow, own_head, trainer
from octospoon.training.command.champion import InService
from octospoon.training.command.command_line import CommandLine
from octospoon.training.command.trainer import CommandTrainer
from octospoon.training.job.run import Outcome, run
from octospoon.training.model.model_file import read_spec
from octospoon.training.wiring import training_ports

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.training.context import TrainingPorts

WRITE = "cp {model} $OCTOSPOON_OUTPUT/model.onnx"
WAIT = "until test -e {seen}; do sleep 0.05; done"
OPTIONS = "; echo '{options}' > $OCTOSPOON_OUTPUT/model.json"


def right(made: World, tmp_path: Path, start: int = 300, count: int = 100) -> int:
    scorer = OnnxScorer(made.champions.fetch(made.champions.current, tmp_path))
    images = np.stack([scorer.preprocess(digits.png_bytes(i)).pixels for i in range(start, start + count)])
    guesses = [int(prediction.probabilities.argmax()) for prediction in scorer.predict(images)]
    return sum(guess == digits.labels()[start + i] for i, guess in enumerate(guesses))


def saved(tmp_path: Path, model: onnx.ModelProto) -> Path:
    path = tmp_path / "their.onnx"
    onnx.save(model, path)
    return path


def test_program_that_learns_goes_into_service(tmp_path):
    made = labelled(200, audit=40)
    kept = tmp_path / "kept"
    copied = shell(f"cp -r $OCTOSPOON_DATA {kept} && exec {EXAMPLE}")

    assert run(JOB, with_program(made, copied)) is Outcome.PROMOTED, made.control.state().reason

    pointer = made.champions.current
    assert (pointer.version, pointer.classes) == (1, digits.CLASSES)
    assert pointer.backbone != backbone()
    assert right(made, tmp_path) >= 75
    rows = [json.loads(line) for line in (kept / "images.jsonl").read_text().splitlines()]
    audit = {f"{index:04d}.png" for index in range(40)}
    assert len(rows) == 160
    assert not audit & {row["key"] for row in rows}, "no audit image reaches the program"
    record = made.training_records.get(pointer)
    seen = image_numbers((row["key"], row["etag"]) for row in rows)
    assert sorted(record.images) == sorted(record.backbone) == sorted(seen)
    assert not record.heads.size
    assert made.registry.params["trainer"] == "command"
    assert made.registry.params["audit_labels"].startswith("not trained on")
    assert float(made.registry.params["temperature"]) > 0
    assert made.registry.metrics["held_out_accuracy"] > 0.7
    losses = [epoch["epoch_held_out_loss"] for epoch in made.registry.epochs]
    assert len(losses) > 10
    assert min(losses) < losses[0]
    labels = made.pool.rows([row["key"] for row in rows])
    assert {row.backbone for row in labels.values()} == {pointer.backbone}, "embeddings follow the model"


LIES = {
    "exit 3": ("echo one; echo two >&2; exit 3", "ended with exit code 3; its last lines: one | two"),
    "no file": (
        "echo done",
        "has not written model.onnx into the folder of OCTOSPOON_OUTPUT; its last lines: done",
    ),
    "three classes": (WRITE, "tells 3 classes apart, --classes names 10"),
}


@pytest.mark.parametrize("name", LIES)
def test_program_that_fails_or_lies_fails_its_job(tmp_path, name):
    script, reason = LIES[name]
    made = labelled()
    script = script.replace("{model}", str(saved(tmp_path, network())))

    with pytest.raises(TrainerFailed):
        run(JOB, with_program(made, shell(script)))

    state = made.control.state()
    assert state.status is JobStatus.FAILED
    assert reason in state.reason
    assert made.champions.current.version == 0
    assert made.registry.ended == [False]


def broken(change: str) -> onnx.ModelProto:
    model = network(classes=10)
    graph = model.graph
    if change == "two inputs":
        graph.input.append(onnx.helper.make_tensor_value_info("second", onnx.TensorProto.FLOAT, ["n", 3]))
        graph.node.append(onnx.helper.make_node("Identity", ["second"], ["unused"]))
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if change == "NaN" and tensor.name == "weights":
            values[2, 3] = np.nan
        if change == "constant" and tensor.name == "kernel":
            values[:] = 0
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("NaN", "NaN or infinite numbers for an image"),
        ("constant", "the same embedding"),
        ("two inputs", "the model's inputs are image, second: it must have exactly one"),
    ],
)
def test_model_that_cannot_serve_fails_its_job(tmp_path, change, reason):
    made = labelled()
    path = saved(tmp_path, broken(change))

    with pytest.raises(TrainerFailed, match=reason):
        run(JOB, with_program(made, shell(WRITE.replace("{model}", str(path)))))

    assert reason in made.control.state().reason


def test_job_after_a_failed_one_succeeds(tmp_path):
    made = labelled()
    with pytest.raises(TrainerFailed, match="exit code 1; its last lines: Traceback"):
        run(JOB, with_program(made, python("raise ValueError('no data')")))
    assert "ValueError: no data" in made.control.state().reason

    made.launch("train-000002")
    path = saved(tmp_path, network(classes=10))
    run("train-000002", with_program(made, shell(WRITE.replace("{model}", str(path)))))
    assert made.control.state().status is JobStatus.IDLE, made.control.state().reason
    assert made.registry.ended == [False, True]


def test_hanging_program_is_stopped_with_its_last_lines(monkeypatch):
    monkeypatch.setattr(trainer, "_LEAST_SECONDS", 0.1)
    made = labelled()
    with pytest.raises(TrainerFailed, match=r"has not ended after [01] seconds, so it was stopped"):
        run(JOB, with_program(made, shell("echo epoch 1; sleep 600 & sleep 600"), seconds=3))
    assert "its last lines: epoch 1" in made.control.state().reason


def test_classes_named_in_another_order_are_put_into_ours(tmp_path):
    made = labelled()
    folders = sorted((f"{i:03d}-{name}" for i, name in enumerate(digits.CLASSES)), reverse=True)
    turned = network(classes=10)
    options = OPTIONS.format(options=json.dumps({"classes": folders}))
    script = WRITE.replace("{model}", str(saved(tmp_path, turned))) + options

    run(JOB, with_program(made, shell(script)))

    model = onnx.load_from_string(made.registry.logged[1]["model.onnx"])
    ours = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    theirs = {tensor.name: numpy_helper.to_array(tensor) for tensor in turned.graph.initializer}
    weights = ours["octospoon_head/weights"]
    share = weights / theirs["weights"][:, ::-1]
    assert np.allclose(share, share[0, 0], rtol=1e-4), "one temperature, and the columns in our order"


def test_names_in_the_metadata_of_the_file_count(tmp_path):
    made = labelled()
    model = network(classes=10)
    onnx.helper.set_model_props(model, {"names": str(dict(enumerate("abcdefghij")))})
    with pytest.raises(TrainerFailed, match="the model's classes are a, b, c"):
        run(JOB, with_program(made, shell(WRITE.replace("{model}", str(saved(tmp_path, model))))))


def test_model_in_service_comes_with_a_head_without_audit_labels(tmp_path):
    made = labelled(120, audit=30)
    assert run(JOB, made.ports) is Outcome.PROMOTED
    trained = made.champions.current
    assert made.training_records.get(trained).heads.size, "it was trained on audit labels"

    made.launch("train-000002")
    kept = tmp_path / "champion.onnx"
    script = f"cp $OCTOSPOON_CHAMPION {kept}; cp $OCTOSPOON_CHAMPION $OCTOSPOON_OUTPUT/model.onnx"
    run("train-000002", with_program(made, shell(script)))

    assert made.control.state().status is JobStatus.IDLE, made.control.state().reason
    spec = read_spec(kept.read_bytes())
    assert (spec.backbone, spec.classes) == (trained.backbone, digits.CLASSES)
    assert kept.read_bytes() != made.champions.files[trained.sha256]
    record = made.training_records.get(made.champions.versions[2])
    assert len(record.images) == 90
    assert not record.backbone.size, "the backbone learned nothing, so audit images may judge it later"
    assert not made.registry.metrics.get("uploads_read_again"), "stored embeddings stay valid"


def test_embedding_without_classes_gets_a_head_from_us(tmp_path):
    made = labelled(150, audit=30)
    path = saved(tmp_path, network(classes=10, last="pooled"))
    script = WRITE.replace("{model}", str(path)) + OPTIONS.format(options='{"classes": []}')

    run(JOB, with_program(made, shell(script), balanced=True))

    assert made.control.state().status is JobStatus.IDLE, made.control.state().reason
    params = made.registry.params
    assert params["head"] == "fitted on the program's embedding"
    assert params["class_weights"] == "balanced"
    assert made.champions.versions[1].classes == digits.CLASSES
    assert made.registry.metrics["held_out_accuracy"] > 0.2


def test_program_learns_several_classes_per_image(tmp_path):
    made = labelled_with_several(("even", "loop", "large"))

    assert run(JOB, with_program(made, EXAMPLE)) is Outcome.PROMOTED, made.control.state().reason

    pointer = made.champions.current
    spec = read_spec(made.champions.files[pointer.sha256])
    assert (spec.activation, spec.classes) == ("sigmoid", ("even", "loop", "large"))
    assert made.training_records.get(pointer).activation == "sigmoid"
    assert made.registry.metrics["held_out_macro_f1"] > 0.7
    scorer = OnnxScorer(made.champions.fetch(pointer, tmp_path))
    pixels = np.stack([scorer.preprocess(digits.png_bytes(i)).pixels for i in range(300, 400)])
    even = [prediction.probabilities[0] > 0.5 for prediction in scorer.predict(pixels)]
    truth = [int(digits.labels()[i]) % 2 == 0 for i in range(300, 400)]
    assert np.mean(np.equal(even, truth)) > 0.75


def test_temperature_corrects_what_is_too_sure_and_nothing_else():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2000, 4)) * 2
    one = np.array(
        [rng.choice(4, p=row) for row in np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)]
    )
    some = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    for activation, labels in (("softmax", one), ("sigmoid", some)):
        for factor in (1.0, 3.0):
            heat = own_head._temperature(logits * factor, labels, activation, 2000)
            assert heat == pytest.approx(factor, rel=0.1), (activation, factor)
    assert own_head._temperature(50 * np.eye(4)[:2], np.array([0, 1]), "softmax", 10) > 0.5


def test_model_of_the_last_program_comes_back_as_it_is(tmp_path):
    """A program that learns no audit label goes on from its own model, temperature and all."""
    made = labelled(150, audit=30)
    run(JOB, with_program(made, EXAMPLE))
    first = made.champions.current
    assert first.version == 1, made.control.state().reason

    made.launch("train-000002")
    kept = tmp_path / "champion.onnx"
    script = f"cp $OCTOSPOON_CHAMPION {kept}; cp $OCTOSPOON_CHAMPION $OCTOSPOON_OUTPUT/model.onnx"
    run("train-000002", with_program(made, shell(script)))

    assert kept.read_bytes() == made.champions.files[first.sha256]
    assert made.control.state().status is JobStatus.IDLE, made.control.state().reason

    made.launch("train-000003")
    made.label(149, "three", audit=False)
    ports = replace(made.ports, classes=(*digits.CLASSES[:3], "three", *digits.CLASSES[4:]))
    with pytest.raises(TrainerFailed):
        run("train-000003", with_program(replace_ports(made, ports), shell(f"cp $OCTOSPOON_CHAMPION {kept}")))
    assert read_spec(kept.read_bytes()).classes == ports.classes, "other classes need another head"


def replace_ports(made: World, ports: TrainingPorts) -> World:
    made.ports = ports
    return made


def test_epochs_are_reported_while_the_program_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(follow, "EVERY", 0.05)
    made = labelled()
    path = saved(tmp_path, network(classes=10))
    rows = f"printf 'loss\\n3\\n2\\n1.' >> $OCTOSPOON_OUTPUT/metrics.csv; {WAIT}"
    script = f"{rows}; printf '5\\n' >> $OCTOSPOON_OUTPUT/metrics.csv; {WRITE.replace('{model}', str(path))}"
    seen = []

    def report(epochs):
        seen.append(list(epochs))
        (tmp_path / "seen").touch()

    ports = with_program(made, shell(script.replace("{seen}", str(tmp_path / "seen"))))
    run(JOB, replace(ports, trainer=replace(ports.trainer, report=report)))

    assert seen[0] == [{"epoch_loss": 3.0}, {"epoch_loss": 2.0}], "a row without an end is not read"
    assert [epoch["epoch_loss"] for epoch in made.registry.epochs] == [3.0, 2.0, 1.5]


def test_server_that_fails_delays_the_metrics_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(follow, "EVERY", 0.02)
    made = labelled()
    path = saved(tmp_path, network(classes=10))
    row = "printf 'loss\\n3\\n' > $OCTOSPOON_OUTPUT/metrics.csv"
    script = f"{row}; {WAIT}; {WRITE.replace('{model}', str(path))}"
    calls = []

    def report(epochs):
        calls.append(len(epochs))
        if len(calls) < 3:
            raise ServiceUnavailable("MLflow does not answer")
        (tmp_path / "seen").touch()

    ports = with_program(made, shell(script.replace("{seen}", str(tmp_path / "seen"))))
    run(JOB, replace(ports, trainer=replace(ports.trainer, report=report)))

    assert calls == [1, 1, 1], "the same row is tried again until it is logged, and then no more"
    assert made.control.state().status is JobStatus.IDLE, made.control.state().reason


def test_wrong_metrics_lose_no_model(tmp_path):
    made = labelled()
    script = WRITE.replace("{model}", str(saved(tmp_path, network(classes=10))))
    run(JOB, with_program(made, shell(f"{script}; echo 'loss\nbad' > $OCTOSPOON_OUTPUT/metrics.csv")))
    assert made.control.state().status is JobStatus.IDLE, made.control.state().reason
    assert "row 1: loss is 'bad', no number" in made.registry.params["epochs_left_out"]
    assert not made.registry.epochs


def test_merged_and_renamed_classes_are_written_as_now(tmp_path):
    made = labelled()
    history = ClassHistory(digits.CLASSES).rename("7", "seven", 1.0).merge(["0", "6", "8"], "round", 2.0)
    made.labels.classes = history
    ports = replace(
        with_program(made, shell(f"cp -r $OCTOSPOON_DATA {tmp_path}/data")), class_history=lambda: history
    )

    with pytest.raises(TrainerFailed):
        run(JOB, ports)

    assert (tmp_path / "data/classes.txt").read_text().splitlines() == list(history.names)
    described = json.loads((tmp_path / "data/data.json").read_text())
    assert described["folders"][-1] == "007-round"
    round_ones = list((tmp_path / "data").glob("*/007-round/*"))
    assert len(round_ones) == sum(int(label) in (0, 6, 8) for label in digits.labels()[12:60])


def test_too_few_labels_are_refused_before_the_program_runs(tmp_path):
    made = World()
    for index in (0, 1):
        made.label(index, digits.CLASSES[digits.labels()[index]])
    with pytest.raises(BadRequest, match="2 labelled images are too few for training: a class needs two"):
        run(JOB, with_program(made, shell(f"touch {tmp_path}/ran")))
    assert not (tmp_path / "ran").exists()


def test_program_that_does_not_exist_is_named():
    with pytest.raises(
        NotConfigured, match="TrainerCommand begins with 'no-such-program', which is no program"
    ):
        run(JOB, with_program(labelled(), "no-such-program --fast"))


def test_images_that_cannot_be_read_are_left_out(tmp_path, caplog):
    made = labelled()
    keys = ["0030.png", "0031.png"]
    made.images.objects.pop(keys[0])
    made.images.objects[keys[1]] = (b"broken", made.images.objects[keys[1]][1])
    with pytest.raises(TrainerFailed):
        run(JOB, with_program(made, shell(f"cp $OCTOSPOON_DATA/images.jsonl {tmp_path}")))
    rows = [json.loads(line) for line in (tmp_path / "images.jsonl").read_text().splitlines()]
    assert len(rows) == 46
    assert not {row["key"] for row in rows} & set(keys)
    assert "0031.png is left out of training" in caplog.text


def test_the_command_comes_from_the_environment_and_no_table(monkeypatch):
    for name in ("IMAGES_BUCKET", "ARTIFACTS_BUCKET", "POOL_TABLE", "ANNOTATIONS_TABLE", "CONTROL_TABLE"):
        monkeypatch.setenv(f"OCTOSPOON_{name}", "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    settings = JobSettings(("cat", "dog"), "command", class_weights="balanced")
    failed = []
    monkeypatch.setattr(DynamoControl, "state", lambda _: TrainingState(settings=settings))
    monkeypatch.setattr(DynamoTaskTypeRecord, "read", lambda _: "classification")
    monkeypatch.setattr(DynamoControl, "fail", lambda _, job, reason, at: failed.append(reason))
    monkeypatch.setenv("OCTOSPOON_TRAINER_COMMAND", "train {data}")
    monkeypatch.setenv("OCTOSPOON_TIME_LIMIT", "1000")

    made = training_ports(JOB).trainer

    assert isinstance(made, CommandTrainer)
    assert (made.command.words, made.balanced) == (("train", "{data}"), True)
    assert 935 < made.until - time.monotonic() <= 940, "a minute before the job ends itself"
    monkeypatch.delenv("OCTOSPOON_TRAINER_COMMAND")
    with pytest.raises(NotConfigured, match="needs TrainerCommand"):
        training_ports(JOB)
    assert "start workers again" in failed[0]


def test_program_gets_the_time_less_that_of_the_evaluation():
    champions = FakeChampions()
    served = InService(champions, FakeTrainingRecords(champions))
    until = time.monotonic() + 1000
    trainer_of = CommandTrainer(FakeImages(), CommandLine.read("x"), CLASSIFICATION, until, served, print)
    assert trainer_of._seconds(10) == pytest.approx(880, abs=2)
    assert trainer_of._seconds(100) == pytest.approx(700, abs=2)
    assert trainer_of._seconds(900) == pytest.approx(500, abs=2)
    late = replace(trainer_of, until=time.monotonic() + 15)
    with pytest.raises(TrainerFailed, match="took 900 seconds to read, and no time is left"):
        late._seconds(900)
