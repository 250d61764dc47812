"""Train a small detector with PyTorch, as the program of Trainer=command for labels with boxes.

It needs torch, torchvision, numpy, onnx and pillow. It begins with random weights, so it suits objects that
colours and simple shapes tell apart; for photos, take a pretrained detector. It goes on from the model in
service if that was made by this program:

    octospoon up --set TaskType=detection --set Trainer=command \
        --set "TrainerCommand=.octospoon/envs/finetune/bin/python examples/trainers/small_detector.py"
"""

import argparse
import csv
import json
import os
import random
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image
from torch import nn
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

STRIDE, CENTRE = 8, 0.5
"""Pixels of a cell, and the share of a box around its middle whose cells learn the box."""


class Detector(nn.Module):
    """For each cell of STRIDE pixels, the score of each class and the distances to the sides of a box."""

    def __init__(self, classes: int, height: int, width: int, channels: int = 48) -> None:
        super().__init__()
        # input channels, output channels, side of the kernel, stride
        steps = [(3, 24, 5, 4), (24, channels, 3, 2), *[(channels, channels, 3, 1)] * 4]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, k, s, k // 2) for a, b, k, s in steps)
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for _, b, _, _ in steps)
        self.classes = nn.Conv2d(channels, classes, 1)
        self.sides = nn.Conv2d(channels, 4, 1)
        nn.init.constant_(self.classes.bias, -4.0)  # at first, nearly every cell is background
        y, x = torch.meshgrid(torch.arange(height // STRIDE), torch.arange(width // STRIDE), indexing="ij")
        self.register_buffer("cells", (torch.stack([x, y], 2).reshape(-1, 2) + 0.5) * STRIDE)
        self.register_buffer("size", torch.tensor([width, height] * 2).float())

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return boxes [N, M, 4] as x1, y1, x2, y2 in shares of the image, logits [N, M, C], and features."""
        value = images - 0.5
        for layer, norm in zip(self.layers, self.norms, strict=True):
            made = torch.relu(norm(layer(value)))
            value = made + value if made.shape == value.shape else made
        logits = self.classes(value).flatten(2).transpose(1, 2)
        sides = nn.functional.softplus(self.sides(value)).flatten(2).transpose(1, 2) * STRIDE
        boxes = torch.cat([self.cells - sides[..., :2], self.cells + sides[..., 2:]], 2)
        return boxes / self.size, logits, value

    def loss(self, images: torch.Tensor, targets: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss on images, with targets [B, 5]: x1, y1, x2, y2 in shares and the class."""
        boxes, logits, _ = self(images)
        wanted, truth, places = torch.zeros_like(logits), torch.zeros_like(boxes), []
        for i, target in enumerate(targets):
            # small objects last, so that they keep the cells that a larger one has too
            for row in target[(target[:, 2:4] - target[:, :2]).prod(1).argsort(descending=True)]:
                middle, half = (row[:2] + row[2:4]) / 2, (row[2:4] - row[:2]) / 2
                reach = torch.maximum(half * CENTRE, STRIDE / 2 / self.size[:2])
                inside = ((self.cells / self.size[:2] - middle).abs() <= reach).all(1)
                wanted[i, inside] = 0
                wanted[i, inside, int(row[4])] = 1
                truth[i, inside] = row[:4]
            places.append(wanted[i].any(1))
        chosen = torch.stack(places)
        count = max(1, int(chosen.sum()))
        overlap = generalized_box_iou_loss(boxes[chosen], truth[chosen], reduction="sum")
        return (sigmoid_focal_loss(logits, wanted, reduction="sum") + overlap) / count


class Exported(nn.Module):
    """The detector with probabilities, in the form of an SSD."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return boxes, scores and features."""
        boxes, logits, features = self.detector(images)
        return boxes, logits.sigmoid(), features


def read(data: Path, part: str, size: tuple[int, int]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return images uint8 [N, 3, H, W] and targets float32 [B, 5], from a part in COCO's form."""
    coco = json.loads((data / "annotations" / f"{part}.json").read_text("utf-8"))
    images, targets = [], []
    for row in coco["images"]:
        image = Image.open(data / "images" / part / row["file_name"]).convert("RGB").resize(size)
        images.append(torch.from_numpy(np.array(image).transpose(2, 0, 1)))
        boxes = [each for each in coco["annotations"] if each["image_id"] == row["id"]]
        shares = [
            [x / row["width"], y / row["height"], (x + w) / row["width"], (y + h) / row["height"]]
            for x, y, w, h in (each["bbox"] for each in boxes)
        ]
        classes = [each["category_id"] - 1 for each in boxes]
        rows = [[*share, number] for share, number in zip(shares, classes, strict=True)]
        targets.append(torch.tensor(rows).float().reshape(-1, 5))
    return torch.stack(images), targets


def moved(image: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an image shifted by up to a sixth of its sides, brighter or darker, with its boxes."""
    height, width = image.shape[1:]
    down, right = (random.randint(-side // 6, side // 6) for side in (height, width))
    image = image.roll((down, right), (1, 2))  # what leaves on one side comes in on the other
    shift = torch.tensor([right / width, down / height] * 2)
    cut = (target[:, :4] + shift).clamp(0, 1)
    kept = (cut[:, 2:] - cut[:, :2] > 0.5 * (target[:, 2:4] - target[:, :2])).all(1)
    image = (image.float() * random.uniform(0.8, 1.2)).clamp(0, 255)
    return image, torch.cat([cut, target[:, 4:]], 1)[kept]


def begun(detector: Detector, champion: Path) -> bool:
    """Take the weights of the model in service; return whether it was made by this program."""
    weights = {
        tensor.name.rpartition("detector.")[2]: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(champion).graph.initializer
    }
    own = detector.state_dict()
    if any(name not in weights or weights[name].shape != value.shape for name, value in own.items()):
        return False
    detector.load_state_dict({name: weights[name] for name in own})
    return True


def export(detector: Detector, path: Path) -> None:
    """Write the detector as ONNX for one image; octospoon lets it take any number."""
    model = Exported(detector).eval()
    width, height = (int(side) for side in detector.size[:2])
    # without folding, the weights keep their names, by which `begun` finds them
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, height, width),),
        path,
        input_names=["image"],
        output_names=["boxes", "scores", "features"],
        do_constant_folding=False,
        dynamo=False,
    )


def main() -> None:
    """Train until all epochs are made or most of the time is used; keep the best on `val`."""
    options = argparse.ArgumentParser()
    options.add_argument("--width", type=int, default=256)
    options.add_argument("--height", type=int, default=192)
    options.add_argument("--epochs", type=int, default=40)
    chosen = options.parse_args()
    data, output = Path(os.environ["OCTOSPOON_DATA"]), Path(os.environ["OCTOSPOON_OUTPUT"])
    began = time.monotonic()
    seconds = 0.7 * float(os.environ["OCTOSPOON_SECONDS"])
    torch.manual_seed(0)
    random.seed(0)
    classes = json.loads((data / "data.json").read_text("utf-8"))["classes"]
    images, targets = read(data, "train", (chosen.width, chosen.height))
    others, truth = read(data, "val", (chosen.width, chosen.height))
    detector = Detector(len(classes), chosen.height, chosen.width)
    again = begun(detector, Path(os.environ["OCTOSPOON_CHAMPION"]))
    print(f"{len(images)} images, {'from the model in service' if again else 'from random weights'}")
    optimiser = torch.optim.AdamW(detector.parameters(), lr=2e-3, weight_decay=0.05)
    best, kept = float("inf"), detector.state_dict()
    with (output / "metrics.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "training_loss", "held_out_loss"])
        for epoch in range(chosen.epochs):
            share = max(epoch / chosen.epochs, (time.monotonic() - began) / seconds)
            optimiser.param_groups[0]["lr"] = 2e-3 * max(0.05, 1 - share)
            total = 0.0
            for batch in torch.randperm(len(images)).split(8):
                pairs = [moved(images[i], targets[i]) for i in batch.tolist()]
                loss = detector.loss(torch.stack([image for image, _ in pairs]) / 255, [t for _, t in pairs])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += float(loss.detach()) * len(batch)
            with torch.no_grad():
                held_out = float(detector.loss(others / 255, truth))
            rows.writerow([epoch, total / len(images), held_out])
            file.flush()
            print(f"epoch {epoch}: loss {total / len(images):.3f}, held out {held_out:.3f}")
            if held_out < best:
                best, kept = held_out, {name: value.clone() for name, value in detector.state_dict().items()}
            if time.monotonic() - began > seconds:
                break
    detector.load_state_dict(kept)
    export(detector, output / "model.onnx")
    # images are squeezed to the input; the mean of the features becomes the embedding
    (output / "model.json").write_text(json.dumps({"resize": "squash", "output": "features"}))


if __name__ == "__main__":
    main()
