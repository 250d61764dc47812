"""Training of detectors for real: test_detector.py runs this in the environment that has PyTorch."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
import torch
from fakes.images import FakeImages
from fakes.models import FakeChampions
from unit.training.rectangles import CLASSES, drawn
from unit.training.strided import strided

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.onnx.session import open_session, run_session
from octospoon.domain.errors import BadModel, BadRequest, NotConfigured
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.model_spec import BOXES, SCORES
from octospoon.domain.task_types.detection import DETECTION
from octospoon.domain.task_types.detection.evaluation import DetectionEvaluator
from octospoon.domain.training.backbone_change import Candidate
from octospoon.training.data.dataset import Dataset
from octospoon.training.detector import loop
from octospoon.training.detector.export import head_file
from octospoon.training.detector.maps import feature_maps, opset_of, with_outputs
from octospoon.training.detector.network import Detector
from octospoon.training.detector.options import DetectorOptions
from octospoon.training.detector.trainer import (
    PARITY,
    RULES,
    DetectorTrainer,
    assembled,
    parity_gap,
)
from octospoon.training.head.requested_backbone import RequestedBackbone
from octospoon.training.model import detector_file, model_file, starter
from octospoon.training.model.optimize import cold_start

HEIGHT, WIDTH = 64, 96
UPLOADED = (240, 100)
"""Width and height of the images in pixels."""
TRAINED, TESTED = 60, 40
QUICK = DetectorOptions(epochs=1, least_steps=200, batch_size=4, views=2, learning_rate=0.004)


class Task:
    """Images of red and blue rectangles, of which the first are of the audit share.

    They are wider than the input, which shows them with grey above and below. So a box that is not converted
    to shares of the upload, in training or afterwards, misses its object.
    """

    def __init__(self, audit: int = 0) -> None:
        rng = np.random.default_rng(11)
        made = [drawn(rng, UPLOADED) for _ in range(TRAINED + TESTED)]
        self.backbone = strided(HEIGHT, WIDTH)
        spec = model_file.backbone_spec(self.backbone, "letterbox")
        self.spec = replace(spec, classes=CLASSES, version=1)
        etags = [hashlib.md5(file).hexdigest() for file, _ in made]
        self.files = [file for file, _ in made]
        self.store = FakeImages({f"{i:03d}": (file, etags[i]) for i, file in enumerate(self.files)})
        targets = DetectionEvaluator().targets([label for _, label in made], CLASSES)
        self.truth = targets[TRAINED:]
        images = tuple(
            LabelledImage(f"{i:03d}", etags[i], made[i][1], 1.0, 1, i < audit, "margin", None, 1)
            for i in range(TRAINED)
        )
        embeddings = np.zeros((TRAINED, spec.dim), np.float32)
        # the targets of boxes are of another type than those of classes, which `Dataset` names
        self.train = Dataset(images, embeddings, cast("Any", targets[:TRAINED]), {})

    def trainer(self, options: DetectorOptions = QUICK) -> DetectorTrainer:
        return DetectorTrainer(self.store, options, "cpu", threads=1)

    def made(self, options: DetectorOptions = QUICK):
        return self.trainer(options)(self.backbone, self.train, self.spec)

    def predicted(self, model: bytes, folder) -> np.ndarray:
        """Return the predictions of the model file for the images that no detector was trained on."""
        (folder / "model.onnx").write_bytes(model)
        scorer = OnnxScorer(folder / "model.onnx")
        framed = [scorer.preprocess(file) for file in self.files[TRAINED:]]
        images = np.stack([each.pixels for each in framed])
        answers = scorer.predict(images, [each.region for each in framed])
        return np.stack([each.probabilities for each in answers if each.probabilities is not None])


@pytest.fixture(scope="module", name="task")
def all_labels() -> Task:
    return Task()


@pytest.fixture(scope="module", name="trained")
def train(task: Task):
    return task.made()


def test_detector_finds_objects_of_unseen_images(task: Task, trained, tmp_path):
    ap50 = DetectionEvaluator().metric(task.predicted(trained.model, tmp_path), task.truth)
    print(f"AP50 on {TESTED} images: {ap50:.3f}, held out {trained.metrics['held_out_ap50']:.3f}")
    assert ap50 > 0.7
    assert abs(ap50 - trained.metrics["held_out_ap50"]) < 0.25


def test_file_keeps_the_contract_and_the_backbone(task: Task, trained):
    spec = model_file.read_spec(trained.model)
    assert (spec.classes, spec.backbone) == (CLASSES, model_file.sha256(task.backbone))
    assert spec.boxes > 0
    assert model_file.extract_backbone(trained.model) == task.backbone


def test_pytorch_and_onnxruntime_agree(trained):
    assert 0 < trained.metrics["torch_parity_gap"] <= PARITY


def test_other_weights_in_the_file_are_refused(task: Task, trained):
    """A file that was made from other weights than those of the detector must not pass."""
    maps = feature_maps(task.backbone)
    other = Detector(maps, len(CLASSES), HEIGHT, WIDTH)
    pixels = np.zeros((2, HEIGHT, WIDTH, 3), np.uint8)
    with pytest.raises(BadModel, match="PyTorch and onnxruntime differ by"):
        parity_gap(trained.model, other, maps, pixels)


def test_every_cell_and_class_is_in_the_raw_outputs(task: Task):
    """Suppression apart, the file computes what torchvision's own layers compute, for any weights."""
    maps = feature_maps(task.backbone)
    detector = Detector(maps, 3, HEIGHT, WIDTH)
    rng = np.random.default_rng(3)
    detector.standardise([rng.normal(2, 3, (4, each.channels, 8, 8)).astype(np.float32) for each in maps])
    spec = replace(task.spec, classes=("a", "b", "c"))
    model = assembled(task.backbone, detector, maps, spec)
    pixels = rng.integers(0, 255, (3, HEIGHT, WIDTH, 3), np.uint8)
    assert 0 < parity_gap(model, detector, maps, pixels) <= PARITY


def test_head_alone_gives_the_same_boxes(task: Task):
    maps = feature_maps(task.backbone)
    names = [each.tensor for each in maps]
    detector = Detector(maps, len(CLASSES), HEIGHT, WIDTH)
    torch.nn.init.zeros_(detector.fcos.head.classification_head.cls_logits.bias)  # so that some score high
    head = head_file(detector, maps, RULES, opset_of(task.backbone))
    model = assembled(task.backbone, detector, maps, task.spec)
    feed = {"image": np.random.default_rng(1).integers(0, 255, (2, HEIGHT, WIDTH, 3), np.uint8)}
    read = run_session(open_session(with_outputs(task.backbone, names)), names, feed)
    alone = run_session(open_session(head), [BOXES, SCORES], dict(zip(names, read, strict=True)))
    whole = run_session(open_session(model), [BOXES, SCORES], feed)
    assert alone[1].max() > 0.1
    for one, other in zip(alone, whole, strict=True):
        assert np.allclose(one, other, atol=1e-5)


def test_only_held_out_images_have_predictions(trained):
    known = np.isfinite(trained.held_out).all(axis=(1, 2))
    assert known.sum() == TRAINED // 5
    assert np.isnan(trained.held_out[~known]).all()


def test_best_check_is_taken(trained):
    losses = [epoch["epoch_held_out_loss"] for epoch in trained.epochs]
    assert trained.metrics["best_check"] == np.argmin(losses) + 1
    assert trained.metrics["held_out_loss"] == min(losses)
    assert losses[-1] < 0.7 * losses[0]


def test_audit_images_are_kept_out():
    task = Task(audit=15)
    made = task.made(replace_options(least_steps=13))
    apart = task.train.part(audit=False)
    assert set(made.record.images.tolist()) == set(apart.numbers().tolist())
    assert len(made.record.images) == TRAINED - 15
    assert np.isnan(made.held_out[:15]).all()
    assert "not trained on" in made.params["audit_labels"]
    task.store.objects = {key: value for key, value in task.store.objects.items() if int(key) >= 15}
    assert task.made(replace_options(least_steps=13)).model == made.model, "audit images are not even read"


def test_equal_labels_and_seed_give_equal_bytes(task: Task):
    models = []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(state)  # whatever state the process is in
        models.append(task.made(replace_options(least_steps=13, seed=seed)).model)
    assert models[0] == models[1] != models[2]


def test_time_limit_ends_training_and_is_said(task: Task):
    made = task.made(replace_options(least_steps=100_000, minutes=0.05))
    assert made.params["training_ended"] == "the time limit of 0.05 minutes"
    assert made.params["reproducible"] == "no: the time limit"
    assert task.made(replace_options(least_steps=13)).params["reproducible"] == "yes"


def test_training_ends_in_time_for_the_job(task: Task):
    in_a_hurry = replace(task.trainer(replace_options(least_steps=100_000)), until=time.monotonic() + 4)
    made = in_a_hurry(task.backbone, task.train, task.spec)
    assert made.params["training_ended"].startswith("the time limit of 0.0")
    assert made.params["fine_tuning_minutes"] == "20.0"


def test_patience_ends_training(task: Task):
    made = task.made(replace_options(least_steps=120, learning_rate=0.05, patience=1))
    assert "1 checks brought no lower loss" in made.params["training_ended"]
    assert len(made.epochs) < 12


def test_too_few_labels_are_refused(task: Task):
    few = task.train.only({f"{i:03d}" for i in range(9)})
    with pytest.raises(BadRequest, match=r"9 labelled images can be read .* at least 10: label more images"):
        task.trainer()(task.backbone, few, task.spec)


def test_labels_without_boxes_are_refused(task: Task):
    empty = replace(task.train, labels=cast("Any", np.full((TRAINED, 1, 5), -1.0)))
    with pytest.raises(BadRequest, match="has a box that the model's input shows"):
        task.trainer()(task.backbone, empty, task.spec)


def test_unreadable_images_are_left_out(task: Task):
    broken = {key: value for key, value in task.store.objects.items() if key != "004"}
    trainer = replace(task.trainer(replace_options(least_steps=13)), images=FakeImages(broken))
    made = trainer(task.backbone, task.train, task.spec)
    assert len(made.record.images) == TRAINED - 1


def test_older_operators_are_refused(task: Task):
    old = strided(HEIGHT, WIDTH, opset=12)
    with pytest.raises(BadRequest, match="opset 12, and a detector needs 13 or newer"):
        task.trainer(replace_options(least_steps=13))(old, task.train, task.spec)


def test_diverging_training_is_refused(task: Task, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "_rate", lambda _: 1e30)
    with pytest.raises(BadModel, match="set a smaller learning_rate"):
        task.made(replace_options(least_steps=24))


def test_demanded_gpu_that_is_missing_is_refused(task: Task):
    if torch.cuda.is_available():
        pytest.fail("this case needs a machine without a GPU")
    with pytest.raises(NotConfigured, match="sees no GPU"):
        replace(task.trainer(), device="cuda")(task.backbone, task.train, task.spec)


def replace_options(**changes) -> DetectorOptions:
    return msgspec.structs.replace(QUICK, **changes)


def requested(task: Task, model: bytes) -> RequestedBackbone:
    champions = FakeChampions()
    sha256, _ = champions.put_model(model, None)
    candidate = Candidate("another", sha256, model_file.read_spec(model).backbone)
    quick = task.trainer(replace_options(least_steps=60))
    return RequestedBackbone(task.store, champions, candidate, DETECTION, quick)


def test_requested_backbone_gets_a_detector_of_its_own(task: Task):
    other = strided(96, 128)
    made = requested(task, cold_start(other, "squash"))(task.backbone, task.train, task.spec)
    spec = model_file.read_spec(made.model)
    assert (spec.backbone, spec.height, spec.resize) == (model_file.sha256(other), 96, "squash")
    assert (spec.classes, spec.version) == (CLASSES, 1)
    assert made.params["requested_backbone"] == "another"
    assert made.metrics["held_out_ap50"] > 0.1


def test_backbone_without_maps_is_refused_by_name(task: Task):
    without = starter.build()
    with pytest.raises(BadRequest, match="a detector needs"):
        requested(task, cold_start(without, "squash"))(task.backbone, task.train, task.spec)


def test_features_of_an_imported_detector_are_a_backbone(task: Task, trained):
    """Such a detector is one graph with boxes of its own, which a new one replaces."""
    whole = detector_file.in_order(trained.model, (1, 0), heads=False).replace(
        b"octospoon_head/", b"their_detector/"
    )
    spec = model_file.detector_spec(model_file.canonical(whole), "letterbox", CLASSES)
    imported = model_file.assemble(model_file.canonical(whole), None, spec)
    backbone = model_file.extract_backbone(imported)
    assert backbone != task.backbone, "its boxes are part of it"
    made = task.trainer(replace_options(least_steps=60))(backbone, task.train, task.spec)
    served = model_file.read_spec(made.model)
    assert served.boxes > 0
    assert served.backbone == model_file.sha256(detector_file.features_of(backbone))
    assert made.metrics["held_out_ap50"] > 0.1
