"""Fine-tuning for real: test_finetune.py runs this in the environment that has PyTorch."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from fakes.images import FakeImages
from onnx import helper, numpy_helper
from onnx.backend.test.loader import load_model_tests
from unit.training.networks import convolutional
from unit.training.stack import JOB, World

from octospoon.adapters.imaging.decode import decode
from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.onnx.session import OnnxHead
from octospoon.cli.datasets import digits
from octospoon.domain.errors import BadModel, BadRequest, NotConfigured
from octospoon.domain.labelling.tasks import LabelledImage
from octospoon.domain.pool.images import Prediction, State
from octospoon.training.backbone.pytorch_file import read_tensors
from octospoon.training.data.dataset import Dataset
from octospoon.training.finetune import device, loop
from octospoon.training.finetune import graph as graphs
from octospoon.training.finetune.augmentation import augmented
from octospoon.training.finetune.graph import TorchGraph
from octospoon.training.finetune.operators import Step
from octospoon.training.finetune.options import FineTuning
from octospoon.training.finetune.trainer import PARITY, FineTuner, embed
from octospoon.training.head.trainer import train_head
from octospoon.training.job.run import Outcome, run
from octospoon.training.model import model_file, wrap_onnx
from octospoon.training.model.model_file import extract_backbone, read_spec, starter_model
from octospoon.training.model.optimize import cold_start

ORDER = np.random.default_rng(9).permutation(len(digits.labels()))
LABELS = np.asarray(digits.labels(), np.int64)[ORDER]
TRAIN, TEST = 500, 1000
QUICK = FineTuning()


@pytest.fixture(scope="module", name="poor")
def poor_backbone() -> bytes:
    """Return random convolutions, which separate digits worse than trained ones."""
    return wrap_onnx.wrap(convolutional(), wrap_onnx.Pixels(), "", head=False)[0]


class Task:
    """Digits in a random order, so that train and test come from the same writers."""

    def __init__(self, backbone: bytes) -> None:
        self.backbone = backbone
        spec = model_file.backbone_spec(backbone, "squash")
        self.spec = replace(spec, classes=digits.CLASSES, version=1)
        files = [digits.png_bytes(int(i)) for i in ORDER[: TRAIN + TEST]]
        self.pixels = np.stack([decode(file, spec.height, spec.width, "squash") for file in files])
        etags = [hashlib.md5(file).hexdigest() for file in files]
        self.store = FakeImages(
            {f"{i:04d}": (file, etag) for i, (file, etag) in enumerate(zip(files, etags, strict=True))}
        )
        embeddings = embed(backbone, self.pixels, np.arange(TRAIN)).astype(np.float16).astype(np.float32)
        images = tuple(
            LabelledImage(f"{i:04d}", etags[i], str(LABELS[i]), 1.0, 1, False, "margin", None, 1)
            for i in range(TRAIN)
        )
        self.train = Dataset(images, embeddings, LABELS[:TRAIN], {})

    def first(self, n: int) -> Dataset:
        keys = {f"{i:04d}" for i in range(n)}
        return self.train.only(keys)

    def accuracy(self, model: bytes, tmp_path) -> float:
        (tmp_path / "model.onnx").write_bytes(model)
        _, probabilities = OnnxScorer(tmp_path / "model.onnx").run(self.pixels[TRAIN:])
        return float((probabilities.argmax(axis=1) == LABELS[TRAIN : TRAIN + TEST]).mean())


@pytest.fixture(scope="module", name="task")
def poor_task(poor: bytes) -> Task:
    return Task(poor)


@pytest.fixture(scope="module", name="tuned")
def tune(task: Task):
    return FineTuner(task.store, QUICK)(task.backbone, task.train, task.spec)


def test_a_poor_backbone_gets_better_and_keeps_the_contract(task: Task, tuned, tmp_path):
    frozen = train_head(task.backbone, task.train, task.spec)

    before, after = task.accuracy(frozen.model, tmp_path), task.accuracy(tuned.model, tmp_path)

    print(f"accuracy on {TEST} digits: frozen {before:.3f}, fine-tuned {after:.3f}")
    assert after > before + 0.02
    spec, backbone = read_spec(tuned.model), extract_backbone(tuned.model)
    assert spec == replace(task.spec, backbone=model_file.sha256(backbone))
    assert spec.backbone != task.spec.backbone
    old, new = onnx.load_from_string(task.backbone), onnx.load_from_string(backbone)
    weights = set(TorchGraph(task.backbone).weights)
    for proto in (old, new):
        unchanged = [constant for constant in proto.graph.initializer if constant.name not in weights]
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(unchanged)
    assert old == new, "nothing but weights has changed: not the preprocessing, nor inputs and outputs"
    assert tuned.metrics["torch_parity_gap"] <= PARITY
    assert tuned.metrics["fine_tuned"] == 1
    assert int(tuned.params["weights_that_learn"]) == TorchGraph(task.backbone).learning > 0
    assert int(tuned.params["weights"]) == TorchGraph(task.backbone).total


def test_only_held_out_answers_calibrate_and_are_shown(task: Task, tuned):
    known = np.isfinite(tuned.held_out).all(axis=1)
    assert known.sum() == TRAIN // 5
    sure = tuned.held_out[known].max(axis=1).mean()
    right = (tuned.held_out[known].argmax(axis=1) == task.train.labels[known]).mean()
    assert right == pytest.approx(tuned.metrics["held_out_accuracy"])
    assert abs(sure - right) < 0.15


def test_every_epoch_is_measured_and_the_best_is_taken(tuned):
    first, *later = tuned.epochs
    assert set(first) == {"epoch_held_out_loss", "epoch_held_out_accuracy"}
    assert all("epoch_training_loss" in epoch for epoch in later)
    losses = [epoch["epoch_held_out_loss"] for epoch in tuned.epochs]
    assert tuned.metrics["best_epoch"] == np.argmin(losses) > 0


def test_the_same_labels_and_seed_give_the_same_bits(task: Task):
    tuner = FineTuner(task.store, FineTuning(epochs=3, learning_rate=0.003), balanced=True)
    graphs_ = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)  # whatever state the process is in
        torch.rand(seed + 1)
        trainer = replace(tuner, options=FineTuning(epochs=3, seed=0 if len(graphs_) < 2 else 1))
        graphs_.append(trained_weights(trainer, task))
    assert graphs_[0] == graphs_[1]
    assert graphs_[0] != graphs_[2]


def trained_weights(tuner: FineTuner, task: Task) -> bytes:
    """Return the weights after three epochs, even if they are not better."""
    from octospoon.training.head.fit import fit_head, fold_of

    few = task.first(100)
    folds = fold_of(few.labels, tuner.options.seed)
    learned, held_out = np.flatnonzero(folds), np.flatnonzero(folds == 0)
    start = fit_head(few.embeddings[learned], few.labels[learned], 10)
    lesson = loop.Lesson(task.pixels[:100], few.labels, learned, held_out, np.ones(10, np.float32))
    graph = TorchGraph(task.backbone)
    with loop.reproducible(torch.device("cpu")) as uncertain:
        tuning = loop._Tuning(graph, lesson, start, tuner.options)
        for _ in range(3):
            tuning.epoch()
    assert uncertain == []
    assert graph.written() != task.backbone
    return graph.written()


def test_the_same_job_gives_the_same_file(task: Task, tuned):
    again = FineTuner(task.store, QUICK)(task.backbone, task.train, task.spec)
    assert again.model == tuned.model
    assert again.head == tuned.head


def test_a_backbone_that_gains_nothing_is_kept_byte_for_byte(task: Task):
    few = task.first(60)
    result = FineTuner(task.store, FineTuning(epochs=2, learning_rate=1e-6))(task.backbone, few, task.spec)
    assert result.model == train_head(task.backbone, few, task.spec).model
    assert result.metrics["fine_tuned"] == 0
    assert "no gain" in result.params["backbone_kept"]
    assert len(result.epochs) == 3


@pytest.mark.parametrize(("n", "gone", "reason"), [(20, 0, "20 labelled"), (40, 30, "10 labelled")])
def test_few_images_are_no_reason_to_change_a_backbone(task: Task, n, gone, reason):
    store = FakeImages(dict(list(task.store.objects.items())[gone:]))
    result = FineTuner(store, QUICK)(task.backbone, task.first(n), task.spec)
    assert reason in result.params["backbone_kept"]
    assert extract_backbone(result.model) == task.backbone


def test_images_that_are_gone_are_left_out(task: Task, tuned):
    store = FakeImages({key: value for key, value in task.store.objects.items() if key > "0009"})
    result = FineTuner(store, FineTuning(epochs=2, learning_rate=1e-6))(
        task.backbone, task.first(100), task.spec
    )
    assert len(result.held_out) == 100


def test_an_operator_that_is_unknown_is_named(poor: bytes):
    model = onnx.load_from_string(poor)
    model.graph.node.insert(0, helper.make_node("Einsum", ["image"], ["x"], equation="nhwc->nhwc"))
    with pytest.raises(BadRequest, match="operators Einsum: use Trainer=head"):
        TorchGraph(model.SerializeToString())
    model.graph.node[0].CopyFrom(helper.make_node("Conv", ["image"], ["x"], domain="com.microsoft"))
    with pytest.raises(BadRequest, match=r"com.microsoft.Conv"):
        TorchGraph(model.SerializeToString())


def test_a_graph_without_weights_of_float32_is_refused():
    half = wrap_onnx.wrap(convolutional(np.float16), wrap_onnx.Pixels(), "", head=False)[0]
    with pytest.raises(BadRequest, match=r"can be trained, less than 10%: .* not float32"):
        TorchGraph(half)


def test_graph_with_almost_nothing_trainable_is_refused(poor: bytes):
    model = onnx.load_from_string(poor)
    large = np.random.default_rng(0).normal(size=(64, 4000)).astype(np.float16)
    model.graph.initializer.append(numpy_helper.from_array(large, "large"))
    with pytest.raises(BadRequest, match="Use Trainer=head"):
        TorchGraph(model.SerializeToString())


def test_weights_behind_other_nodes_learn_and_are_counted(poor: bytes):
    model, plain = onnx.load_from_string(poor), TorchGraph(poor)
    kernel = next(constant for constant in model.graph.initializer if constant.name == "net/kernel0")
    turned = numpy_helper.from_array(numpy_helper.to_array(kernel).transpose(2, 3, 1, 0).copy(), "hwio")
    kernel.CopyFrom(turned)
    back = helper.make_node("Transpose", ["hwio"], ["net/kernel0"], "back", perm=[3, 2, 0, 1])
    model.graph.node.insert(0, back)

    graph = TorchGraph(model.SerializeToString())

    assert "hwio" in graph.weights
    assert graph.learning == plain.learning == sum(tensor.numel() for tensor in plain.weights.values())
    assert plain.learning < plain.total, "means and variances stay"
    graph(torch.full((2, 32, 32, 3), 200, dtype=torch.uint8)).sum().backward()
    assert graph.weights["hwio"].grad.abs().max() > 0


STEM = """
import numpy as np, torch
from onnx import TensorProto, helper, numpy_helper
from octospoon.training.model import wrap_onnx
from octospoon.training.finetune.graph import TorchGraph
torch.set_num_threads(1)
k = np.random.default_rng(3).normal(size=(48, 3, 1, 1)).astype(np.float32)
nodes = [helper.make_node("Conv", ["input", "k", "b"], ["c"], strides=[2, 2]),
         helper.make_node("Relu", ["c"], ["r"]),
         helper.make_node("GlobalAveragePool", ["r"], ["g"]), helper.make_node("Flatten", ["g"], ["out"])]
info = helper.make_tensor_value_info
graph = helper.make_graph(nodes, "net", [info("input", TensorProto.FLOAT, ["b", 3, 256, 256])],
    [info("out", TensorProto.FLOAT, ["b", 48])],
    [numpy_helper.from_array(k, "k"), numpy_helper.from_array(np.zeros(48, np.float32), "b")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
made = TorchGraph(wrap_onnx.wrap(model, wrap_onnx.Pixels(), "", head=False)[0])
(made(torch.randint(0, 256, (3, 256, 256, 3), dtype=torch.uint8)) ** 2).sum().backward()
"""


def test_stem_reading_single_pixels_does_not_kill_the_process():
    process = subprocess.run([sys.executable, "-c", STEM], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_what_pytorch_and_onnxruntime_see_differently_is_refused(task: Task, monkeypatch):
    wrong = dict(graphs.OPERATORS) | {"Relu": lambda _, inputs: inputs[0] * 1.001}
    monkeypatch.setattr(graphs, "OPERATORS", wrong)
    with pytest.raises(BadModel, match="differ by"):
        FineTuner(task.store, QUICK)(task.backbone, task.train, task.spec)


@pytest.mark.parametrize("name", ["starter", "poor"])
def test_a_graph_goes_to_pytorch_and_back(task: Task, name):
    backbone = extract_backbone(starter_model()) if name == "starter" else task.backbone
    graph, rows = TorchGraph(backbone), np.arange(64)
    theirs = embed(backbone, task.pixels, rows)
    assert np.abs(graph.embed(task.pixels, rows) - theirs).max() < PARITY * np.abs(theirs).max()
    assert graph.written() == backbone
    graph(torch.from_numpy(np.zeros_like(task.pixels[:2]))).sum().backward()
    assert all(torch.isfinite(tensor.grad).all() for tensor in graph.weights.values())


@pytest.mark.parametrize("name", ["starter", "poor"])
def test_numbers_are_on_the_gpu_and_shapes_on_the_processor(poor: bytes, name):
    # the device "meta" computes shapes only, and refuses to mix devices as a GPU does
    backbone = extract_backbone(starter_model()) if name == "starter" else poor
    graph = TorchGraph(backbone, torch.device("meta"))
    made = graph(torch.zeros((2, 32, 32, 3), dtype=torch.uint8))
    made.sum().backward()
    assert made.device.type == "meta"
    assert graph.weights
    assert {weight.grad.device.type for weight in graph.weights.values()} == {"meta"}


@pytest.mark.parametrize("op", ["Slice", "Gather", "Clip", "Pad", "AveragePool"])
def test_operators_with_positions_and_limits_work_on_a_gpu(op):
    made: dict[str, tuple[list[str], dict[str, Any]]] = {
        "Slice": (["image", "zero", "two", "one"], {}),
        "Gather": (["image", "zero"], {"axis": 1}),
        "Clip": (["image", "low"], {}),
        "Pad": (["image", "pads", "low"], {}),
        "AveragePool": (["image"], {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}),
    }
    inputs, attributes = made[op]
    values = {
        "zero": torch.tensor([0]),
        "one": torch.tensor([1]),
        "two": torch.tensor([2]),
        "pads": torch.tensor([0, 0, 1, 1, 0, 0, 1, 1]),
        "low": torch.tensor(0.5),
    }
    step = Step(op, op, tuple(inputs), ("out",), attributes, 18)
    cpu = graphs.OPERATORS[op](step, [values.get(name, torch.zeros(2, 3, 8, 8)) for name in inputs])
    image = torch.zeros(2, 3, 8, 8, device="meta")
    gpu = graphs.OPERATORS[op](step, [values.get(name, image) for name in inputs])
    assert gpu.shape == cpu.shape
    assert gpu.device.type == "meta"


def too_old() -> bool:
    warnings.warn("driver too old", stacklevel=1)
    return False


def test_a_gpu_that_is_demanded_and_missing_is_refused(task: Task, monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", too_old)
    demanding = FineTuner(task.store, QUICK, device="cuda")
    with pytest.raises(NotConfigured, match=r"OCTOSPOON_DEVICE is cuda.*sees no GPU; driver too old.*auto"):
        demanding(task.backbone, task.train, task.spec)
    caplog.set_level("INFO")
    assert device.chosen("auto") == torch.device("cpu")
    assert "computes on the processor: PyTorch" in caplog.text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.chosen("auto") == device.chosen("cuda") == torch.device("cuda")
    assert device.chosen("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA T4")
    assert device.described(torch.device("cuda")) == "cuda (NVIDIA T4)"


def test_the_device_is_a_parameter_of_the_run(tuned):
    assert (tuned.params["device"], tuned.params["reproducible"]) == ("cpu", "yes")


def test_operators_that_are_not_reproducible_on_a_gpu_are_named(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = torch.backends.cudnn.allow_tf32
    with loop.reproducible(torch.device("cuda")) as uncertain:
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert not torch.backends.cudnn.allow_tf32
        for _ in range(2):  # PyTorch warns of this operator on the processor too
            torch.zeros(4).put_(torch.tensor([0, 0]), torch.ones(2))
    assert uncertain == ["put_"]
    assert torch.backends.cudnn.allow_tf32 == before
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_operators_keep_to_onnx_s_own_test_cases():
    """Every node test of the onnx package whose operators are all known and whose numbers are PyTorch's."""
    passed = set()
    for case in load_model_tests(kind="node"):
        if case.model and {node.op_type for node in case.model.graph.node} <= set(graphs.OPERATORS):
            passed |= followed(case)
    # LayerNormalization's cases ask for outputs of training, Cast's are of kinds that no backbone has
    assert set(graphs.OPERATORS) - passed <= {"Cast", "LayerNormalization"}


KINDS = (np.float32, np.int64, np.int32, np.bool_)
NOT_OURS = ("training_mode", "noop")


def followed(case) -> set[str]:
    """Check a case's numbers; return its operators if they were computed."""
    model, opset = case.model, next(entry.version for entry in case.model.opset_import if not entry.domain)
    for inputs, outputs in case.data_sets:
        arrays = [*inputs, *outputs]
        if any(not isinstance(array, np.ndarray) or array.dtype not in KINDS for array in arrays):
            return set()
        known = {
            value.name: torch.from_numpy(x.copy())
            for value, x in zip(model.graph.input, inputs, strict=False)
        }
        known[""] = None
        try:
            for node in model.graph.node:
                step = graphs._step(node, opset)
                made = graphs.OPERATORS[step.op](step, [known[name] for name in step.inputs])
                known.update(zip(step.outputs, made if isinstance(made, tuple) else (made,), strict=False))
        except BadRequest:
            return set()  # listed as unsupported
        for value, expected in zip(model.graph.output, outputs, strict=True):
            if value.name in known:
                got = known[value.name].numpy()
                np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5, err_msg=case.name)
    return {node.op_type for node in model.graph.node}


def test_augmentation_moves_mirrors_and_brightens_within_bounds():
    images = torch.arange(2 * 8 * 8 * 3, dtype=torch.uint8).reshape(2, 8, 8, 3)
    still = FineTuning(shift=0, brightness=0)
    assert torch.equal(augmented(images, still, torch.Generator()), images)
    for options in (FineTuning(shift=0.2, brightness=0), FineTuning(shift=0, brightness=0, flip=True)):
        views = [augmented(images, options, torch.Generator().manual_seed(i)) for i in range(9)]
        assert any(not torch.equal(view, images) for view in views)
        assert all(set(view.unique().tolist()) <= set(images.unique().tolist()) for view in views)
    bright = augmented(images, FineTuning(shift=0, brightness=0.1), torch.Generator().manual_seed(1))
    assert bright.dtype == torch.uint8
    assert (bright.float() - images.float()).abs().max() <= 26


# -- a whole job ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="promoted")
def promote(poor: bytes) -> tuple[World, World]:
    """Return worlds with a poor backbone in service, before and after a job that fine-tunes."""
    made, expected = World(), predictions(poor)
    for index in range(720):
        number, prediction = int(ORDER[index]), expected[index]
        if index < 120:
            made.drop(number, prediction)
        else:
            made.label(number, digits.CLASSES[LABELS[index]], audit=index < 220, prediction=prediction)
    made.serve(cold_start(poor, "squash"))
    assert run(JOB, made.ports) is Outcome.PROMOTED
    before = made.copied()
    made.launch("train-000002")
    tuner = FineTuner(made.images, QUICK)
    assert run("train-000002", replace(made.ports, trainer=tuner)) is Outcome.PROMOTED
    return before, made


def predictions(backbone: bytes) -> list[Prediction]:
    """Return the predictions of a backbone without classes for the first digits."""
    pixels = np.stack([decode(digits.png_bytes(int(i)), 32, 32, "squash") for i in ORDER[:720]])
    vectors = embed(backbone, pixels, np.arange(720)).astype(np.float16).astype(np.float32)
    return [Prediction(0, model_file.sha256(backbone), vector, None) for vector in vectors]


def test_job_promotes_a_fine_tuned_model_under_its_backbone(promoted, tmp_path):
    before, after = promoted
    pointer = after.champions.current
    spec = read_spec(after.champions.files[pointer.sha256])
    assert pointer.version == spec.version == 2
    assert pointer.backbone == spec.backbone != before.champions.current.backbone
    assert after.registry.params["backbone"] == pointer.backbone
    assert after.registry.params["trainer"] == "fine-tuning"
    assert len(after.registry.epochs) > 1
    assert "the backbone is new" in after.control.state().reason


def test_it_is_judged_on_its_own_view_of_audit_images(promoted, tmp_path):
    before, after = promoted
    pointer = after.champions.current
    scorer = OnnxScorer(after.champions.fetch(pointer, tmp_path))
    right = []
    for row in (row for row in after.labels.labelled() if row.audit):
        prediction = scorer.predict(scorer.preprocess(after.images.objects[row.key][0]).pixels[np.newaxis])[0]
        right.append(digits.CLASSES[prediction.probabilities.argmax()] == row.label)
    metrics = after.registry.metrics
    assert metrics["audit_accuracy"] == pytest.approx(np.mean(right), abs=0.011)
    assert metrics["champion_audit_accuracy"] == before.registry.metrics["audit_accuracy"]
    assert metrics["uploads_read_again"] == 120
    assert metrics["audit_labels"] == 100


def test_reference_of_later_uploads_is_of_the_new_backbone(promoted):
    before, after = promoted
    known = after.references.get(after.champions.current.sha256)
    assert known is not None
    assert known is not before.references.get(before.champions.current.sha256)


def test_labelled_rows_get_new_embeddings_and_others_are_stale(promoted):
    _, after = promoted
    backbone = after.champions.current.backbone
    labelled = [row for row in after.pool.table.values() if row.state is State.LABELLED]
    assert {row.prediction.backbone for row in labelled} == {backbone}
    assert len(list(after.pool.of_others(backbone))) == 120


def test_head_rescoring_skips_stale_rows_until_images_are_scored(promoted, tmp_path):
    _, promoted_world = promoted
    made = promoted_world.copied()
    pointer = made.champions.current
    head = OnnxHead(made.champions.fetch_head(pointer, tmp_path))
    queue = made.queue
    use_case = made.build_rescore(lambda: (pointer, head))
    use_case.champion_changed()
    assert sum(use_case.segment(body, float("inf")) for body in queue[:]) == 0
    scorer = OnnxScorer(made.champions.fetch(pointer, tmp_path), pointer.generation)
    for image in list(made.pool.of_others(pointer.backbone)):
        pixels = scorer.preprocess(made.images.read(image.key)[0]).pixels
        assert made.pool.put_score(image, scorer.predict(pixels[np.newaxis])[0])
    assert not list(made.pool.of_others(pointer.backbone))


def test_the_next_job_goes_on_from_the_fine_tuned_backbone(promoted):
    _, promoted_world = promoted
    made = promoted_world.copied()
    made.launch("train-000003")
    outcome = run("train-000003", made.ports)
    assert outcome in (Outcome.PROMOTED, Outcome.REFUSED)
    assert made.registry.params["backbone"] == promoted_world.champions.current.backbone


def test_tensors_of_pytorchs_own_files_are_read_bit_by_bit(tmp_path):
    import torch

    state = {"weights": torch.randn(3, 4, 5), "turned": torch.randn(6, 10).T, "count": torch.tensor(7)}
    torch.save(state, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    tensors = read_tensors((tmp_path / "legacy.pth").read_bytes())
    assert tensors.keys() == state.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(tensors[name], tensor.numpy(), strict=True)
