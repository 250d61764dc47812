"""Score images with three simple designs, each in the environment that has its libraries.

Each design reads, decodes in full and predicts one image after another, and writes one item after another.
It uses boto3, Pillow, and onnxruntime, MLflow or PyTorch with their defaults. This module does not import
octospoon, so it runs in environments without it.

    python -P bench/score_peers.py naive|mlflow|torch MODEL IMAGES_TO_SCORE IMAGES_TO_WARM_UP
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Predict = Callable[[npt.NDArray[np.uint8]], list[npt.NDArray[np.float32]]]

SIDE = 224


def naive(model: str) -> Predict:
    import onnxruntime as ort

    session = ort.InferenceSession(model)
    return lambda pixels: list(session.run(["embedding", "probabilities"], {"image": pixels}))


def mlflow(model: str) -> Predict:
    import mlflow
    import onnx

    folder = Path(model).with_suffix(".mlflow")
    if not folder.exists():
        mlflow.onnx.save_model(onnx.load(model), folder, save_as_external_data=False)
    loaded = mlflow.pyfunc.load_model(str(folder))

    def predict(pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        outputs = loaded.predict({"image": pixels})
        return [outputs["embedding"], outputs["probabilities"]]

    return predict


def pytorch(model: str) -> Predict:
    import torch

    torch.set_grad_enabled(False)
    layers, head = torch_layers(model)

    def predict(pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        x = torch.from_numpy(pixels.astype(np.float32) / 255).permute(0, 3, 1, 2)
        embedding = layers(x).mean(dim=(2, 3))
        return [embedding.numpy(), torch.softmax(embedding @ head, dim=1).numpy()]

    return predict


def torch_layers(model: str) -> tuple[Any, Any]:
    """Return the same network in PyTorch. Its weights and strides are in files next to the ONNX file."""
    import torch

    with np.load(Path(model).with_suffix(".npz")) as stored:
        count = int(stored["n"])
        convolutions = [(stored[f"w{i}"], int(stored[f"s{i}"]), int(stored[f"g{i}"])) for i in range(count)]
        head = torch.from_numpy(stored["head"])
    layers = []
    for weights, stride, groups in convolutions:
        out, into, kernel, _ = weights.shape
        conv = torch.nn.Conv2d(
            into * groups, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        conv.weight.data = torch.from_numpy(weights)
        layers += [conv, torch.nn.ReLU(inplace=True)]
    return torch.nn.Sequential(*layers).eval(), head


def decode(data: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        scale = SIDE / min(image.size)
        small = image.convert("RGB").resize(
            (round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR
        )
    left, top = (small.width - SIDE) // 2, (small.height - SIDE) // 2
    return np.asarray(small.crop((left, top, left + SIDE, top + SIDE)))[np.newaxis]


def score(predict: Predict, s3: Any, table: Any, key: str) -> None:
    data = s3.get_object(Bucket=os.environ["OCTOSPOON_IMAGES_BUCKET"], Key=key)["Body"].read()
    embedding, probabilities = predict(decode(data))
    table.put_item(
        Item={
            "key": key,
            "embedding": [Decimal(str(value)) for value in embedding[0]],
            "probabilities": [Decimal(str(value)) for value in probabilities[0]],
            "confidence": Decimal(str(probabilities[0].max())),
        }
    )


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e6


def main() -> None:
    design, model, count, warm = sys.argv[1:]
    predict = {"naive": naive, "mlflow": mlflow, "torch": pytorch}[design](model)
    s3 = boto3.client("s3")
    table = boto3.resource("dynamodb").Table(os.environ["OCTOSPOON_POOL_TABLE"])
    for i in range(int(warm)):
        score(predict, s3, table, f"warm/{i}")
    wall, cpu = time.perf_counter(), time.process_time()
    for i in range(int(count)):
        score(predict, s3, table, f"uploads/{i}")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": wall / int(count), "cpu": cpu / int(count), "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
