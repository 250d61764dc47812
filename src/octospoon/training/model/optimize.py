"""Cheaper forms of a backbone, and what they cost and answer beside the original."""

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
from octospoon.domain.errors import BadModel
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
"""Not the pooling at the end: rounded to 256 levels, an embedding would lose more than it gains."""
_PER_CHANNEL_SINCE = 13
_LOADS = 9
_RUNS = 60


@dataclass(frozen=True, slots=True)
class Sample:
    """Pictures as a model sees them.

    Attributes:
        calibration: uint8 [M, H, W, 3], from which the ranges of int8 are taken.
        pictures: uint8 [N, H, W, 3], on which the forms are compared; none of the calibration.
        labels: int64 [N], positions in the class list; -1 where a picture has no label.
    """

    calibration: Pixels
    pictures: Pixels
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a backbone: a cold-start model file of its own, and how it compares.

    Attributes:
        name: ``original``, ``extended`` or ``int8``.
        model: the file.
        answers: what it made of the sample.
        comparison: with the original; None of the original itself.
    """

    name: str
    model: bytes
    answers: optimization.Answers
    comparison: optimization.Comparison | None


class Forms(list[Form]):
    """The forms that could be made, the original first.

    Attributes:
        failed: why each of the others could not, by its name.
    """

    def __init__(self, made: Iterable[Form], failed: dict[str, str]) -> None:
        super().__init__(made)
        self.failed = failed


def forms(model: bytes, head: HeadScorer | None, sample: Sample) -> Forms:
    """Make every form of a model's backbone and compare each with the original.

    A form that cannot be made, loaded or run is left out, and the reason kept.

    Raises:
        BadModel: the model was not assembled by octospoon, or does not run itself.
    """
    backbone = model_file.extract_backbone(model)
    resize = model_file.read_spec(model).resize
    files, failed = {"original": cold_start(backbone, resize)}, dict[str, str]()
    _try(files["original"], sample.pictures)
    makers: dict[str, Callable[[bytes], bytes]] = {
        "extended": extended,
        "int8": functools.partial(int8, calibration=sample.calibration),
    }
    for name, make in makers.items():
        try:
            files[name] = cold_start(make(backbone), resize)
            _try(files[name], sample.pictures)
        except Exception as error:  # noqa: BLE001  whatever a graph makes onnx and onnxruntime raise
            failed[name] = str(error)
            files.pop(name, None)
    answers = measured(files, head, sample.pictures)
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


def _try(file: bytes, pictures: Pixels) -> None:
    """Raise BadModel where a form cannot be loaded, or fails on a picture."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "form.onnx"
        path.write_bytes(file)
        OnnxScorer(path).run(pictures[:1])


def cold_start(backbone: bytes, resize: str) -> bytes:
    """Return a backbone as a model file of its own: version 0, no head."""
    return model_file.assemble(backbone, None, model_file.backbone_spec(backbone, resize))


def extended(backbone: bytes) -> bytes:
    """Return the graph as onnxruntime's extended optimisations leave it: fused, and for any processor.

    Raises:
        BadModel: onnxruntime cannot write it.
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
        except Exception as error:  # onnxruntime raises types of its own, undocumented
            raise BadModel(f"onnxruntime cannot write the optimised graph: {error}") from error


def int8(backbone: bytes, calibration: Pixels) -> bytes:
    """Return the graph quantised: activations to uint8, weights to int8, ranges by calibration.

    The weights of a channel share a scale. Before opset 13 ONNX cannot write that: such a graph is converted,
    and where the onnx package cannot, all weights of a layer share one.

    Args:
        backbone: the ONNX file.
        calibration: uint8 [M, H, W, 3].

    Raises:
        BadModel: it is quantised already, or onnxruntime cannot quantise it.
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
            # the quantiser divides by the range of a channel, which for a constant one is zero
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
        except Exception as error:  # onnxruntime.quantization raises whatever a graph makes it raise
            raise BadModel(f"the backbone cannot be quantised: {error}") from error
        made = model_file.canonical(small.read_bytes())
    if not _quantised(onnx.load_from_string(made)):
        raise BadModel("onnxruntime finds nothing in the backbone that it could quantise")
    return made


class _Reader:
    """Feeds the calibration; onnxruntime asks for this one method."""

    def __init__(self, pictures: Pixels) -> None:
        self._pictures: Iterator[Pixels] = iter(pictures)

    def get_next(self) -> dict[str, Pixels] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {INPUT: picture[np.newaxis]}


def measured(
    files: dict[str, bytes], head: HeadScorer | None, pictures: Pixels
) -> dict[str, optimization.Answers]:
    """Load and run the files alternately, so that a busy machine slows each of them alike."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.onnx" for name in files}
        for name, path in paths.items():
            path.write_bytes(files[name])
        loads = _interleaved({name: _loading(path) for name, path in paths.items()}, _LOADS)
        scorers = {name: OnnxScorer(path) for name, path in paths.items()}
        runs = _interleaved({name: _scoring(scorer, pictures) for name, scorer in scorers.items()}, _RUNS)
    answers = {}
    for name, scorer in scorers.items():
        embeddings = np.concatenate([scorer.run(picture[np.newaxis])[0] for picture in pictures])
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


def _scoring(scorer: OnnxScorer, pictures: Pixels) -> Callable[[], object]:
    following = itertools.cycle(pictures)
    return lambda: scorer.run(next(following)[np.newaxis])


def _interleaved(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, npt.NDArray[np.float64]]:
    """Return the CPU seconds of each on this thread, float64 [rounds]."""
    spent: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, once in work.items():
            began = time.thread_time()
            once()
            spent[name].append(time.thread_time() - began)
    return {name: np.array(seconds) for name, seconds in spent.items()}
