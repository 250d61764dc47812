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
from sklearn.neural_network import MLPClassifier

SIDE, HIDDEN, EPOCHS, PATIENCE = 16, 64, 100, 15
TINY = 1e-12


def read(data: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 [N, 3 * SIDE * SIDE] in [0, 1], and the labels.

    Labels are the position of the class, int64 [N]. Where an image may have several classes, they are int64
    [N, C], 1 for each of its classes.
    """
    table, files, labels = data / f"{part}.csv", [], []
    if table.exists():
        with table.open(newline="", encoding="utf-8") as lines:
            for file, *present in list(csv.reader(lines))[1:]:
                files.append(data / file)
                labels.append([int(value) for value in present])
    else:
        # names of folders begin with the position of the class, so their order is that of the classes
        for label, folder in enumerate(sorted((data / part).iterdir())):
            files += sorted(folder.iterdir())
            labels += [label] * (len(files) - len(labels))
    return np.array([pixels(file) for file in files]), np.array(labels)


def pixels(file: Path) -> np.ndarray:
    """Return an image as float32 [3 * SIDE * SIDE] in [0, 1]."""
    image = Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32).transpose(2, 0, 1).ravel() / 255


def log_loss(guesses: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean log loss of probabilities, of each class where there may be several."""
    if truth.ndim == 1:
        return float(-np.log(guesses[np.arange(len(truth)), truth] + TINY).mean())
    return float(-np.log(np.where(truth == 1, guesses, 1 - guesses) + TINY).mean())


def export(network: MLPClassifier, mean: np.ndarray, path: Path, last: str) -> None:
    """Write the network as ONNX: float32 [N, 3, SIDE, SIDE] in [0, 1] to probabilities."""
    (first, second), (before, after) = network.coefs_, network.intercepts_
    if last == "Softmax" and len(after) == 1:  # two classes have the logit of the second
        second, after = np.hstack([np.zeros_like(second), second]), np.append(0.0, after)
    values = {"first": first, "before": before - mean @ first, "second": second, "after": after}
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gemm", ["flat", "first", "before"], ["hidden"]),
        helper.make_node("Relu", ["hidden"], ["features"]),
        helper.make_node("Gemm", ["features", "second", "after"], ["logits"]),
        helper.make_node(last, ["logits"], ["probabilities"]),
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
    images, labels = read(data, "train")
    held_out, truth = read(data, "val")
    mean, last = images.mean(axis=0), "Softmax" if labels.ndim == 1 else "Sigmoid"
    network = MLPClassifier((HIDDEN,), alpha=1e-3, learning_rate_init=3e-3, batch_size=32, random_state=0)
    best, since = np.inf, 0
    with (output / "metrics.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "training_loss", "held_out_loss"])
        for epoch in range(EPOCHS):
            network.partial_fit(images - mean, labels, classes=np.arange(len(classes)))
            loss = log_loss(network.predict_proba(held_out - mean), truth)
            rows.writerow([epoch, network.loss_, loss])
            file.flush()
            if loss < best:
                best, since = loss, 0
                export(network, mean, output / "model.onnx", last)
            since += 1
            if since > PATIENCE or time.monotonic() > until:
                break
    # images are squeezed to a square here, while the default of octospoon is to crop them
    (output / "model.json").write_text(json.dumps({"resize": "squash"}))
    print(f"{len(labels)} images, {epoch + 1} epochs, loss {best:.3f} on {len(truth)} images held out")


if __name__ == "__main__":
    main()
