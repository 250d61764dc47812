"""The generated pool table of `bench.ui`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bench.memory_dynamo import size_of

from octospoon.adapters.dynamodb.items import dump_item, pack
from octospoon.domain.pool import stored_boxes

if TYPE_CHECKING:
    from collections.abc import Iterator

DIMENSIONS, CLASSES, GROUPS = 1280, 20, 60
BACKBONE = "b" * 64
PAGE = 1_000_000
PIECES = 512
"""Different halves of predictions with boxes: two of them make those of an image."""
_UNIT = 8192
"""Bytes of a read unit in a scan, which is eventually consistent."""


class Table:
    """A pool table in memory, for scans and for reads by key. Rows are made when they are read.

    Args:
        rows: number of images.
        boxes: whether a detector has scored them, with up to 12 boxes of an image and as many faint ones.
    """

    def __init__(self, rows: int, *, boxes: bool = False) -> None:
        self.rows, self.boxes = rows, boxes
        self._boxes = [_boxes(seed) for seed in range(PIECES)] if boxes else []
        rng = np.random.default_rng(0)
        self._centres = np.abs(rng.normal(size=(GROUPS, DIMENSIONS))).astype(np.float32)
        self._noise = rng.normal(size=(4096, DIMENSIONS)).astype(np.float32) * 0.5
        self.requests, self.units = 0, 0.0

    def key(self, i: int) -> str:
        return f"camera-{i % 7}/2026-{1 + i % 12:02d}/{i:08d}.jpg"

    def item(self, i: int) -> dict[str, Any]:
        group = i * 7919 % GROUPS
        labelled = i % 50 == 0
        name = f"class {group % CLASSES}"
        label: dict[str, Any] = {
            "label": f'[["{name}",0.1,0.2,0.5,0.6]]' if self.boxes else name,
            "round": 1 + i % 40,
            "strategy": "margin",
        }
        return dump_item(
            {
                "key": self.key(i),
                "etag": f"{i:032x}",
                "state": "labelled" if labelled else "scored",
                "model_version": 1,
                "backbone": BACKBONE,
                "embedding": pack(self._centres[group] + self._noise[i * 31 % len(self._noise)]),
                **self._predicted(i),
                "top_class": group % CLASSES,
                "confidence": 0.3 + 0.7 * (i * 37 % 1000) / 1000,
                "arrival": f"2026-{1 + i % 12:02d}-{1 + i % 28:02d}/00",
            }
            | (label if labelled else {})
        )

    def _predicted(self, i: int) -> dict[str, bytes | None]:
        if not self.boxes:
            return {"probabilities": pack(np.full(CLASSES, 1 / CLASSES, np.float32))}
        first, second = self._boxes[i % PIECES], self._boxes[i // PIECES % PIECES]
        return {"boxes": first + second[stored_boxes.HEADER :]}

    def get_paginator(self, _operation: str) -> Table:
        return self

    def paginate(self, **_request: Any) -> Iterator[dict[str, Any]]:
        page, size = [], 0
        for i in range(self.rows):
            item = self.item(i)
            page.append(item)
            size += size_of(item)
            if size >= PAGE or i == self.rows - 1:
                self.requests, self.units = self.requests + 1, self.units + -(-size // _UNIT)
                yield {"Items": page}
                page, size = [], 0

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        ((table, asked),) = request["RequestItems"].items()
        keys = [each["key"]["S"] for each in asked["Keys"]]
        return {"Responses": {table: [self.item(int(key[-12:-4])) for key in keys]}, "UnprocessedKeys": {}}


def _boxes(seed: int) -> bytes:
    """Return up to 6 boxes and 6 faint ones in the form of a row."""
    rng = np.random.default_rng(seed)
    sure, faint = rng.integers(0, 7, 2).tolist()
    predicted = np.zeros((sure + faint, 4 + CLASSES), np.float32)
    low = rng.uniform(0, 0.8, (len(predicted), 2))
    predicted[:, :4] = np.concatenate([low, low + rng.uniform(0.05, 0.2, low.shape)], axis=1)
    scores = np.concatenate([rng.uniform(0.3, 1, sure), rng.uniform(0.05, 0.3, faint)])
    predicted[np.arange(len(predicted)), 4 + rng.integers(0, CLASSES, len(predicted))] = scores
    return stored_boxes.pack(predicted)
