"""Detectors of real exporters give the boxes that plain onnxruntime gives; `make import-detectors`."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from integration import elsewhere
from PIL import Image

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.onnx.session import open_session
from octospoon.training.graph.preprocessing import Pixels
from octospoon.training.graph.suppression import Rules, reference
from octospoon.training.model import check_import
from octospoon.training.model.check_import import Options

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.pool.framing import Framed

PYTHON = elsewhere.ROOT / ".octospoon/envs/detectors/bin/python"
SIDE, IMAGES, GAP = 320, 20, 1e-3
COCO, OWN = tuple(map(str, range(80))), tuple("abcde")
SUPPRESSED = Rules(overlap=1.0)
TOKENS = {"output": "/model/vit/layernorm/LayerNormalization_output_0", "pool": "mean"}
Decoded = tuple[np.ndarray, np.ndarray]


def centred(boxes: np.ndarray) -> np.ndarray:
    x, y, w, h = boxes.T
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=-1)


def yolo(output: np.ndarray) -> Decoded:
    return centred(output[0, :4].T) / SIDE, output[0, 4:].T


def end_to_end(output: np.ndarray) -> Decoded:
    return marked(output[0, :, :4] / SIDE, output[0, :, 4], output[0, :, 5], len(COCO))


def detr(logits: np.ndarray, boxes: np.ndarray) -> Decoded:
    powers = np.exp(logits[0] - logits[0].max(axis=1, keepdims=True))
    return centred(boxes[0]), (powers / powers.sum(axis=1, keepdims=True))[:, :-1]


def rt_detr(logits: np.ndarray, boxes: np.ndarray) -> Decoded:
    return centred(boxes[0]), 1 / (1 + np.exp(-logits[0]))


def faster_rcnn(boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> Decoded:
    return marked(boxes / SIDE, scores, labels - 1, len(OWN))


def torchvision(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> Decoded:
    return marked(boxes / SIDE, scores, labels - 1, len(OWN))


def fcos(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> Decoded:
    return marked(boxes / SIDE, scores, labels, len(OWN) + 1)


def marked(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, classes: int) -> Decoded:
    table = np.zeros((len(boxes), classes), np.float32)
    table[np.arange(len(boxes)), labels.astype(int)] = scores
    return boxes, table


DETECTORS: dict[str, tuple[Callable[..., Decoded], dict[str, Any], Rules]] = {
    "yolov8n": (yolo, {"classes": COCO}, Rules()),
    "yolo11n": (yolo, {}, Rules()),  # the file names its classes
    "yolov10n-end2end": (end_to_end, {"classes": COCO}, SUPPRESSED),
    "yolov8n-nms": (end_to_end, {"classes": COCO}, SUPPRESSED),
    "faster-rcnn": (faster_rcnn, {"classes": OWN}, SUPPRESSED),
    "ssdlite": (torchvision, {"classes": OWN}, SUPPRESSED),
    "fcos": (fcos, {"classes": (*OWN, "f"), "first_label": 0}, SUPPRESSED),
    "detr": (detr, {"classes": OWN}, SUPPRESSED),
    "rt-detr": (rt_detr, {"classes": OWN}, SUPPRESSED),
    "yolos": (detr, {"classes": OWN} | TOKENS, SUPPRESSED),
}


@pytest.fixture(scope="module", name="exports")
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not request.config.getoption("--detectors") or not PYTHON.exists():
        pytest.skip("THE IMPORT OF REAL DETECTORS IS NOT TESTED: `make import-detectors` does (6 GB)")
    folder = tmp_path_factory.mktemp("exports")
    script = Path(__file__).with_name("export_detectors.py")
    environment = os.environ | {"YOLO_CONFIG_DIR": str(folder), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [PYTHON, script, folder], capture_output=True, text=True, check=False, env=environment
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def drawn(number: int) -> bytes:
    """Return an image file with some discs and stripes, of another size for each number."""
    rng = np.random.default_rng(number)
    width, height = rng.integers(200, 640, 2)
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([255 * x / width, 255 * y / height, 127 + 120 * np.sin(x / (3 + number))], axis=-1)
    for _ in range(6):
        centre, radius = rng.random(2) * (height, width), rng.integers(10, 90)
        inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
        pixels[inside] = rng.integers(0, 256, 3)
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def tensor(name: str, framed: Framed) -> np.ndarray:
    """Return the input of an original model."""
    pixels = framed.pixels.astype(np.float32) / 255
    if name in ("detr", "yolos"):
        pixels = (pixels - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    image: np.ndarray = np.ascontiguousarray(pixels.astype(np.float32).transpose(2, 0, 1))
    return image if name in ("faster-rcnn", "ssdlite", "fcos") else image[np.newaxis]


def missing(rows: np.ndarray, others: np.ndarray) -> int:
    """Return how many used rows have no equal among others; the last score of a full table may tie."""
    used, others = (each[each[:, 4:].max(axis=1) > 0] for each in (rows, others))
    worst = others[:, 4:].max(axis=1).min(initial=1) + GAP if len(others) == len(rows) else 0.0
    used = used[used[:, 4:].max(axis=1) > worst]
    return sum(not (np.abs(others - row).max(axis=1) <= GAP).any() for row in used)


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.timeout(600)
def test_boxes_scores_and_classes_are_those_of_the_exporter(name: str, exports: Path, tmp_path: Path) -> None:
    decode, options, rules = DETECTORS[name]
    parts = check_import.read(exports / f"{name}.onnx", Options(Pixels(), **options))
    (tmp_path / "model.onnx").write_bytes(check_import.fitted(parts, parts.classes).model)
    scorer = OnnxScorer(tmp_path / "model.onnx")
    original = onnx.load(exports / f"{name}.onnx")
    session, image = open_session(original.SerializeToString()), original.graph.input[0].name
    used = 0

    for number in range(IMAGES):
        framed = scorer.preprocess(drawn(number))
        boxes, scores = decode(*session.run(None, {image: tensor(name, framed)}))
        raw = [table[np.newaxis].astype(np.float32) for table in (boxes, scores)]
        expected = np.concatenate(reference(raw[0], raw[1], rules), axis=2)[0]
        embedding, predicted = scorer.run(framed.pixels[np.newaxis])
        assert predicted is not None
        assert missing(expected, predicted[0]) == missing(predicted[0], expected) == 0
        assert np.isfinite(embedding).all()
        used += int((expected[:, 4:].max(axis=1) > 0).sum())

    print(f"{name}: {used} boxes compared; " + "; ".join(parts.recognised))
    assert used >= IMAGES
