"""Make cheaper forms of a backbone, and compare their cost and output with the original."""

from __future__ import annotations

import functools
import itertools
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.domain.errors import BadModel, BadRequest
from octospoon.domain.evaluation import optimization
from octospoon.domain.model_spec import INPUT
from octospoon.training.data.dataset import as_stored
from octospoon.training.graph import onnx_graph
from octospoon.training.graph.batching import converted
from octospoon.training.model import model_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy.typing as npt

    from octospoon.ports.models import HeadScorer

    Pixels = npt.NDArray[np.uint8]

QUANTISED = ["Conv", "Gemm", "MatMul", "Add", "Relu", "Clip", "MaxPool", "Concat"]
"""Operators to quantise. The final pooling is left out, because 256 levels are too coarse for embeddings."""
_PER_CHANNEL_SINCE = 13
_LOADS = 9
_RUNS = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """Images in the model's input size.

    Attributes:
        calibration: uint8 [M, H, W, 3], images that set the ranges of int8.
        images: uint8 [N, H, W, 3], other images, on which the forms are compared.
        labels: int64 [N], positions in the class list; -1 for an image without a label.
    """

    calibration: Pixels
    images: Pixels
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a backbone, as a cold-start model file, and its comparison with the original.

    Attributes:
        name: ``original``, ``extended`` or ``int8``.
        model: the model file.
        answers: its output and timings on the sample.
        comparison: the comparison with the original; None for the original.
    """

    name: str
    model: bytes
    answers: optimization.Answers
    comparison: optimization.Comparison | None


class Forms(list[Form]):
    """The forms that could be made, the original first.

    Attributes:
        failed: the reason why each other form could not be made, by its name.
    """

    def __init__(self, made: Iterable[Form], failed: dict[str, str]) -> None:
        super().__init__(made)
        self.failed = failed


def forms(model: bytes, head: HeadScorer | None, sample: Sample) -> Forms:
    """Make every form of a model's backbone and compare each with the original.

    Forms that cannot be made, loaded or run are left out; the result has the reasons.

    Raises:
        BadModel: octospoon did not assemble the model, or the model itself cannot be run.
        BadRequest: the model is a detector.
    """
    spec = model_file.read_spec(model)
    if spec.boxes:
        raise BadRequest("the file is a detector: forms are compared by embeddings and classes, not by boxes")
    backbone, resize = model_file.extract_backbone(model), spec.resize
    files, failed = {"original": cold_start(backbone, resize)}, dict[str, str]()
    _try(files["original"], sample.images)
    makers: dict[str, Callable[[bytes], bytes]] = {
        "extended": extended,
        "int8": functools.partial(int8, calibration=sample.calibration),
    }
    for name, make in makers.items():
        try:
            files[name] = cold_start(make(backbone), resize)
            _try(files[name], sample.images)
        except Exception as error:  # noqa: BLE001  onnx and onnxruntime raise types of their own
            failed[name] = str(error)
            files.pop(name, None)
    answers = measured(files, head, sample.images)
    original = answers["original"]
    made = (
        Form(
            name,
            files[name],
            form,
            None if name == "original" else optimization.compare(original, form, sample.labels),
        )
        for name, form in answers.items()
    )
    return Forms(made, failed)


def _try(file: bytes, images: Pixels) -> None:
    """Raise BadModel if a form cannot be loaded or fails on an image."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "form.onnx"
        path.write_bytes(file)
        OnnxScorer(path).run(images[:1])


def cold_start(backbone: bytes, resize: str) -> bytes:
    """Return a backbone as a cold-start model file, with version 0 and without a head."""
    return model_file.assemble(backbone, None, model_file.backbone_spec(backbone, resize))


def extended(backbone: bytes) -> bytes:
    """Return the graph after onnxruntime's extended optimisations, which work on any processor.

    Raises:
        BadModel: onnxruntime cannot write the optimised graph.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "extended.onnx"
        options.optimized_model_filepath = str(path)
        try:
            ort.InferenceSession(backbone, options, providers=["CPUExecutionProvider"])
            return model_file.canonical(path.read_bytes())
        except Exception as error:  # onnxruntime documents no exception types
            raise BadModel(f"onnxruntime cannot write the optimised graph: {error}") from error


def int8(backbone: bytes, calibration: Pixels) -> bytes:
    """Return the quantised graph: uint8 activations, int8 weights, ranges from calibration.

    The weights of each channel share a scale, which ONNX supports from opset 13 on. Older graphs are
    converted. If the conversion fails, all weights of a layer share a scale.

    Args:
        backbone: the ONNX file.
        calibration: uint8 [M, H, W, 3].

    Raises:
        BadModel: the graph is quantised already, or onnxruntime cannot quantise it.
    """
    graph = onnx.load_from_string(backbone)
    if _quantised(graph):
        raise BadModel("the backbone is quantised already")
    newer = graph if onnx_graph.opset(graph) >= _PER_CHANNEL_SINCE else converted(graph, _PER_CHANNEL_SINCE)
    if newer is not None:
        try:
            return _quantise(newer.SerializeToString(), calibration, per_channel=True)
        except BadModel:
            if newer is graph:
                raise
    return _quantise(backbone, calibration, per_channel=False)


def _quantised(model: onnx.ModelProto) -> bool:
    operators = {node.op_type for node in model.graph.node}
    return any("Quantize" in op or op.startswith("QLinear") or op.endswith("Integer") for op in operators)


def _quantise(backbone: bytes, calibration: Pixels, *, per_channel: bool) -> bytes:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        whole, ready, small = (Path(folder) / f"{name}.onnx" for name in ("whole", "ready", "small"))
        whole.write_bytes(backbone)
        try:
            # the quantiser divides by the range of each channel, which is zero for a constant channel
            warnings.filterwarnings("ignore", category=RuntimeWarning)
            quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)
            quantize_static(
                str(ready),
                str(small),
                _Reader(calibration),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=QUANTISED,
                per_channel=per_channel,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        except Exception as error:  # onnxruntime.quantization documents no exception types
            raise BadModel(f"the backbone cannot be quantised: {error}") from error
        made = model_file.canonical(small.read_bytes())
    if not _quantised(onnx.load_from_string(made)):
        raise BadModel("onnxruntime found nothing to quantise in the backbone")
    return made


class _Reader:
    """Feed the calibration images one by one, as onnxruntime requires."""

    def __init__(self, images: Pixels) -> None:
        self._images: Iterator[Pixels] = iter(images)

    def get_next(self) -> dict[str, Pixels] | None:
        image = next(self._images, None)
        return None if image is None else {INPUT: image[np.newaxis]}


def measured(
    files: dict[str, bytes], head: HeadScorer | None, images: Pixels
) -> dict[str, optimization.Answers]:
    """Measure model files in turns, so that a busy machine slows all of them alike.

    Args:
        files: the model files, by name.
        head: the head for the predictions; None for embeddings only.
        images: uint8 [N, H, W, 3].

    Returns:
        Embeddings, predictions and CPU seconds, by name.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.onnx" for name in files}
        for name, path in paths.items():
            path.write_bytes(files[name])
        loads = _interleaved({name: _loading(path) for name, path in paths.items()}, _LOADS)
        scorers = {name: OnnxScorer(path) for name, path in paths.items()}
        runs = _interleaved({name: _scoring(scorer, images) for name, scorer in scorers.items()}, _RUNS)
    answers = {}
    for name, scorer in scorers.items():
        embeddings = np.concatenate([scorer.run(image[np.newaxis])[0] for image in images])
        stored = as_stored(embeddings)
        answers[name] = optimization.Answers(
            embeddings=embeddings,
            probabilities=None if head is None else head.run(stored),
            image=runs[name],
            load=loads[name],
        )
    return answers


def _loading(path: Path) -> Callable[[], object]:
    return lambda: OnnxScorer(path)


def _scoring(scorer: OnnxScorer, images: Pixels) -> Callable[[], object]:
    cycle = itertools.cycle(images)
    return lambda: scorer.run(next(cycle)[np.newaxis])


def _interleaved(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, npt.NDArray[np.float64]]:
    """Run each piece of work once a round; return its CPU seconds on this thread, float64 [rounds]."""
    spent: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            began = time.thread_time()
            run()
            spent[name].append(time.thread_time() - began)
    return {name: np.array(seconds) for name, seconds in spent.items()}
