"""Train a small network with scikit-learn, as the program of Trainer=command.

It needs numpy, onnx, pillow and scikit-learn, which octospoon's own training environment has. It suits small,
simple images such as digits. Locally, on the stack of `make up`:

    octospoon up --set Trainer=command \
        --set "TrainerCommand=.octospoon/envs/mlflow/bin/python examples/trainers/scikit_learn.py"
"""

import csv
import json
import os
import time
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save
from PIL import Image
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

SIDE, HIDDEN, EPOCHS, PATIENCE = 16, 64, 100, 15


def read(folder: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 [N, 3 * SIDE * SIDE] in [0, 1], and the positions of the classes, int64 [N].

    Names of folders begin with the position of the class, so their alphabetical order is that of the classes.
    """
    names = sorted(path for path in folder.iterdir() if path.is_dir())
    assert len(names) == classes, f"{folder} has {len(names)} folders for {classes} classes"
    pixels, labels = [], []
    for label, name in enumerate(names):
        for file in sorted(name.iterdir()):
            image = Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            pixels.append(np.asarray(image, np.float32).transpose(2, 0, 1).ravel() / 255)
            labels.append(label)
    return np.array(pixels), np.array(labels)


def export(network: MLPClassifier, mean: np.ndarray, path: Path) -> None:
    """Write the network as ONNX: float32 [N, 3, SIDE, SIDE] in [0, 1] to probabilities."""
    (first, second), (before, after) = network.coefs_, network.intercepts_
    values = {"first": first, "before": before - mean @ first, "second": second, "after": after}
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gemm", ["flat", "first", "before"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["features"]),
        helper.make_node("Gemm", ["features", "second", "after"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(after)])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    save(model, path)


def main() -> None:
    """Train until the validation part gets no better, or until most of the time is used."""
    data, output = Path(os.environ["OCTOSPOON_DATA"]), Path(os.environ["OCTOSPOON_OUTPUT"])
    until = time.monotonic() + 0.8 * float(os.environ["OCTOSPOON_SECONDS"])
    classes = json.loads((data / "data.json").read_text("utf-8"))["classes"]
    pixels, labels = read(data / "train", len(classes))
    held_out, truth = read(data / "val", len(classes))
    mean = pixels.mean(axis=0)
    network = MLPClassifier((HIDDEN,), alpha=1e-3, learning_rate_init=3e-3, batch_size=32, random_state=0)
    best, since = np.inf, 0
    with (output / "metrics.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "training_loss", "held_out_loss", "held_out_accuracy"])
        for epoch in range(EPOCHS):
            network.partial_fit(pixels - mean, labels, classes=np.arange(len(classes)))
            guesses = network.predict_proba(held_out - mean)
            loss = log_loss(truth, guesses, labels=range(len(classes)))
            accuracy = (guesses.argmax(axis=1) == truth).mean()
            rows.writerow([epoch, network.loss_, loss, accuracy])
            file.flush()
            if loss < best:
                best, since = loss, 0
                export(network, mean, output / "model.onnx")
            since += 1
            if since > PATIENCE or time.monotonic() > until:
                break
    # images are squeezed to a square here, while the default of octospoon is to crop them
    (output / "model.json").write_text(json.dumps({"resize": "squash"}))
    print(f"{len(labels)} images, {epoch + 1} epochs, loss {best:.3f} on {len(truth)} images held out")


if __name__ == "__main__":
    main()
