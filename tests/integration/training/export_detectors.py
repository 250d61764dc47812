"""Export detectors by their own exporters, with random weights: `python export_detectors.py FOLDER`.

test_exported_detectors.py runs this in the environment of `make import-detectors`. The weights of the layers
that give scores are drawn so that scores differ. ultralytics has the AGPL: it is a tool of this test alone.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torchvision
import transformers
from torch import nn
from torchvision.models import detection
from torchvision.models.detection import backbone_utils

SIDE, CLASSES, OPSET = 320, 5, 17
FOLDER = Path(sys.argv[1])
SCORING = ("cls_logits", "cls_score", "class_embed", "class_labels_classifier", "cv3", "classification_head")


def livened(model: nn.Module) -> nn.Module:
    """Return the model in inference mode, with scores that differ from box to box."""
    for name, layer in model.named_modules():
        last = isinstance(layer, (nn.Conv2d, nn.Linear))
        if last and layer.bias is not None and any(part in name for part in SCORING):
            nn.init.normal_(layer.weight, std=0.3)
            nn.init.constant_(layer.bias, -1.0)
    return model.eval()


class Answers(nn.Module):
    """A model of transformers that returns a tuple of tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and boxes."""
        output = self.model(pixel_values=image)
        return output.logits, output.pred_boxes


def of_transformers(name: str, model: nn.Module) -> None:
    """Export a model with any batch size."""
    names = ["logits", "pred_boxes"]
    axes = {each: {0: "batch"} for each in ("pixel_values", *names)}
    image = torch.rand(1, 3, SIDE, SIDE)
    torch.onnx.export(
        Answers(livened(model)),
        (image,),
        FOLDER / f"{name}.onnx",
        input_names=["pixel_values"],
        output_names=names,
        dynamic_axes=axes,
        opset_version=OPSET,
        dynamo=False,
    )


def of_torchvision(name: str, model: nn.Module) -> None:
    """Export a model of one image; Faster R-CNN alone gives its labels before its scores."""
    names = ["boxes", "labels", "scores"] if name == "faster-rcnn" else ["boxes", "scores", "labels"]
    torch.onnx.export(
        livened(model),
        ([torch.rand(3, SIDE, SIDE)],),
        FOLDER / f"{name}.onnx",
        input_names=["image"],
        output_names=names,
        opset_version=OPSET,
        dynamo=False,
    )


def of_ultralytics(name: str, **options: bool) -> None:
    """Export a model from its configuration."""
    from ultralytics import YOLO

    base = name.partition("-")[0]
    model = YOLO(f"{base}.yaml")
    livened(model.model)
    made = model.export(format="onnx", imgsz=SIDE, opset=OPSET, simplify=False, **options)
    Path(made).replace(FOLDER / f"{name}.onnx")


def small() -> nn.Module:
    """Return MobileNetV3's small form with a feature pyramid."""
    backbone = torchvision.models.mobilenet_v3_small(weights=None, norm_layer=nn.BatchNorm2d)
    return backbone_utils._mobilenet_extractor(backbone, True, 6)


def rt_detr() -> nn.Module:
    """Return a small RT-DETR."""
    maps = transformers.RTDetrResNetConfig(
        embedding_size=16,
        hidden_sizes=[64, 128, 256, 512],
        depths=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"],
    )
    config = transformers.RTDetrConfig(
        num_labels=CLASSES,
        backbone_config=maps,
        encoder_in_channels=[128, 256, 512],
        decoder_in_channels=[64] * 3,
        d_model=64,
        encoder_hidden_dim=64,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        decoder_layers=1,
        num_queries=60,
    )
    return transformers.RTDetrForObjectDetection(config)


def main() -> None:
    """Export every detector."""
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    os.chdir(FOLDER)
    for name, options in (
        ("yolov8n-nms", {"nms": True}),
        ("yolov8n", {}),
        ("yolo11n", {}),
        ("yolov10n-end2end", {"end2end": True}),
    ):
        of_ultralytics(name, **options)
    sizes = {"min_size": SIDE, "max_size": SIDE}
    given: dict[str, Any] = {"weights": None, "weights_backbone": None, "num_classes": CLASSES + 1}
    of_torchvision("faster-rcnn", detection.fasterrcnn_mobilenet_v3_large_320_fpn(**given, **sizes))
    of_torchvision("ssdlite", detection.ssdlite320_mobilenet_v3_large(**given))
    anchors = detection.anchor_utils.AnchorGenerator(((32,), (64,), (128,)), ((1.0,),) * 3)
    of_torchvision("fcos", detection.FCOS(small(), CLASSES + 1, anchor_generator=anchors, **sizes))
    transformers.utils.generic._is_mlx_available = False
    of_transformers("rt-detr", rt_detr())
    tiny = {"embedding_size": 16, "depths": [1, 1, 1, 1]}
    maps = transformers.ResNetConfig(
        hidden_sizes=[16, 32, 64, 128], layer_type="basic", out_features=["stage4"], **tiny
    )
    layers = dict.fromkeys(("encoder_layers", "decoder_layers"), 1)
    heads = dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4)
    config = transformers.DetrConfig(
        num_labels=CLASSES,
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone_config=maps,
        d_model=64,
        num_queries=50,
        **layers,
        **heads,
    )
    of_transformers("detr", transformers.DetrForObjectDetection(config))
    vision = transformers.YolosConfig(
        num_labels=CLASSES,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        image_size=[SIDE, SIDE],
        num_detection_tokens=30,
    )
    of_transformers("yolos", transformers.YolosForObjectDetection(vision))


if __name__ == "__main__":
    main()
