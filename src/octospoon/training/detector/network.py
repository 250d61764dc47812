"""The trained part of a detector: a feature pyramid and anchor-free heads on a backbone's feature maps.

The pyramid is that of Lin et al. 2017 (arXiv 1612.03144), the heads, losses and the assignment of cells to
boxes those of FCOS (Tian et al. 2019, arXiv 1904.01355): focal loss, GIoU, centreness, centre sampling. All
are torchvision's, with few channels and one convolution before each output, so that a CPU trains them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from octospoon.training.detector.maps import FeatureMap

CHANNELS = 64
"""Of the pyramid and the heads."""
CONVOLUTIONS = 1
"""Before the outputs of each of the two heads."""
LEAST_SPREAD = 1e-6


class _Pyramid(FeaturePyramidNetwork):  # type: ignore[misc]
    """The pyramid, as the backbone that torchvision's detector expects."""

    out_channels = CHANNELS


class Detector(torch.nn.Module):  # type: ignore[misc]
    """Maps float32 [N, C_i, H / s_i, W / s_i] -> boxes [N, M, 4] and scores [N, M, C], M the number of cells.

    Args:
        maps: the feature maps that it reads.
        classes: number of classes C.
        height: of the backbone's input in pixels.
        width: of the backbone's input in pixels.

    Attributes:
        mean: float32 [C_i, 1, 1] for each map, subtracted first.
        spread: float32 [C_i, 1, 1] for each map, divided by then.
        cells: float32 [M, 4], a square around each cell: x1, y1, x2, y2 in pixels of the input.
    """

    def __init__(self, maps: Sequence[FeatureMap], classes: int, height: int, width: int) -> None:
        super().__init__()
        strides = [feature_map.stride for feature_map in maps]
        self.height, self.width, self.classes = height, width, classes
        self.mean = [torch.zeros(feature_map.channels, 1, 1) for feature_map in maps]
        self.spread = [torch.ones(feature_map.channels, 1, 1) for feature_map in maps]
        self.fcos = FCOS(
            _Pyramid([feature_map.channels for feature_map in maps], CHANNELS),
            classes,
            anchor_generator=AnchorGenerator(tuple((s,) for s in strides), ((1.0,),) * len(strides)),
            head=FCOSHead(CHANNELS, 1, classes, CONVOLUTIONS),
        )
        self._counts = [(height // s) * (width // s) for s in strides]
        grids = [torch.zeros(1, 1, height // s, width // s) for s in strides]
        image = ImageList(torch.zeros(1, 3, height, width), [(height, width)])
        self.cells = self.fcos.anchor_generator(image, grids)[0]

    def place(self, device: torch.device) -> Detector:
        """Move everything to a device."""
        self.to(device)
        self.mean, self.spread = ([tensor.to(device) for tensor in part] for part in (self.mean, self.spread))
        self.cells = self.cells.to(device)
        return self

    def standardise(self, maps: Sequence[npt.NDArray[np.float32]]) -> None:
        """Set mean and spread of each channel to those of maps float32 [N, C_i, ., .]."""
        self.mean = [torch.from_numpy(values.mean((0, 2, 3)))[:, None, None] for values in maps]
        self.spread = [
            torch.from_numpy(np.maximum(values.std((0, 2, 3)), LEAST_SPREAD))[:, None, None]
            for values in maps
        ]

    def outputs(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return logits [N, M, C], sides [N, M, 4] and centreness [N, M, 1], as torchvision names them."""
        named = OrderedDict(
            (str(i), (value - mean) / spread)
            for i, (value, mean, spread) in enumerate(zip(maps, self.mean, self.spread, strict=True))
        )
        made: dict[str, torch.Tensor] = self.fcos.head(list(self.fcos.backbone(named).values()))
        return made

    def loss(self, maps: Sequence[torch.Tensor], targets: Sequence[npt.NDArray[np.float64]]) -> torch.Tensor:
        """Return the sum of the three losses of N images, a scalar; targets are float64 [B, 5] for each."""
        device = self.cells.device
        scale = torch.tensor([self.width, self.height] * 2, dtype=torch.float32, device=device)
        named = [
            {
                "boxes": torch.from_numpy(boxes[:, :4].astype(np.float32)).to(device) * scale,
                "labels": torch.from_numpy(boxes[:, 4].astype(np.int64)).to(device),
            }
            for boxes in targets
        ]
        parts = self.fcos.compute_loss(named, self.outputs(maps), [self.cells] * len(named), self._counts)
        total: torch.Tensor = sum(parts.values(), torch.zeros((), device=device))
        return total

    def forward(self, maps: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return boxes as shares of the input's sides, and scores in [0, 1], of every cell."""
        made = self.outputs(maps)
        scale = torch.tensor([self.width, self.height] * 2, dtype=torch.float32, device=self.cells.device)
        boxes = self.fcos.head.box_coder.decode(
            made["bbox_regression"], self.cells.expand(len(maps[0]), -1, -1)
        )
        scores = torch.sqrt(made["cls_logits"].sigmoid() * made["bbox_ctrness"].sigmoid())
        return boxes / scale, scores
