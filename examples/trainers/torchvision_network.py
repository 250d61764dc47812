"""Train a network of torchvision, as the program of Trainer=command.

It needs torch, torchvision and onnx. Without --weights the network begins with random weights: enough
for digits. For photos, --weights DEFAULT begins with those of ImageNet, which torchvision downloads.

    TrainerCommand=/opt/trainer/bin/python /opt/trainer/torchvision_network.py --size 224 --weights DEFAULT
"""

import argparse
import csv
import json
import os
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import models, transforms
from torchvision.datasets import ImageFolder

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def parts(data: Path, size: int) -> tuple[ImageFolder, ImageFolder]:
    """Return the images for training and for validation; a class may have no image yet."""
    last = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    whole = [transforms.Resize(size), transforms.CenterCrop(size)]
    varied = [transforms.RandomResizedCrop(size, scale=(0.7, 1.0)), transforms.ColorJitter(0.2, 0.2)]
    return (
        ImageFolder(data / "train", transforms.Compose([*varied, *last]), allow_empty=True),
        ImageFolder(data / "val", transforms.Compose([*whole, *last]), allow_empty=True),
    )


def epoch(
    network: nn.Module, images: DataLoader, optimiser: torch.optim.Optimizer | None
) -> tuple[float, float]:
    """Go through images once, and learn if there is an optimiser; return the mean loss and the accuracy."""
    network.train(optimiser is not None)
    device, total, right, count = next(network.parameters()).device, 0.0, 0, 0
    with torch.set_grad_enabled(optimiser is not None):
        for pixels, labels in images:
            logits, truth = network(pixels.to(device)), labels.to(device)
            loss = nn.functional.cross_entropy(logits, truth)
            if optimiser is not None:
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            total += float(loss.detach()) * len(truth)
            right += int((logits.argmax(dim=1) == truth).sum())
            count += len(truth)
    return total / count, right / count


def export(network: nn.Module, size: int, path: Path) -> None:
    """Write the network as ONNX, which gives logits for any number of images."""
    network.eval()
    example = torch.zeros(1, 3, size, size, device=next(network.parameters()).device)
    torch.onnx.export(
        network,
        (example,),
        path,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        dynamo=False,
    )


def main() -> None:
    """Train until the validation part gets no better, or until most of the time is used."""
    options = argparse.ArgumentParser()
    options.add_argument("--network", default="resnet18")
    options.add_argument("--weights", help="such as DEFAULT; random without it")
    options.add_argument("--size", type=int, default=64)
    options.add_argument("--epochs", type=int, default=40)
    options.add_argument("--patience", type=int, default=6)
    chosen = options.parse_args()
    data, output = Path(os.environ["OCTOSPOON_DATA"]), Path(os.environ["OCTOSPOON_OUTPUT"])
    until = time.monotonic() + 0.8 * float(os.environ["OCTOSPOON_SECONDS"])
    torch.manual_seed(0)
    train, held_out = parts(data, chosen.size)
    network = models.get_model(chosen.network, weights=chosen.weights)
    network.fc = nn.Linear(network.fc.in_features, len(train.classes))
    network.to("cuda" if torch.cuda.is_available() else "cpu")
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)
    images, others = DataLoader(train, 32, shuffle=True, drop_last=len(train) > 32), DataLoader(held_out, 64)
    best, since = float("inf"), 0
    with (output / "metrics.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "training_loss", "held_out_loss", "held_out_accuracy"])
        for number in range(chosen.epochs):
            began = time.monotonic()
            loss, _ = epoch(network, images, optimiser)
            now, accuracy = epoch(network, others, None)
            rows.writerow([number, loss, now, accuracy])
            file.flush()
            print(f"epoch {number}: loss {loss:.3f}, held out {now:.3f}, accuracy {accuracy:.3f}")
            since = 0 if now < best else since + 1
            if now < best:
                best = now
                export(network, chosen.size, output / "model.onnx")
            if since >= chosen.patience or 2 * time.monotonic() - began > until:
                break
    # the names of the folders, in the order of the outputs; octospoon knows which class each one is
    described = {"classes": train.classes, "mean": MEAN, "std": STD, "resize": "cover"}
    (output / "model.json").write_text(json.dumps(described))


if __name__ == "__main__":
    main()
