"""A deployment in memory for the page, with generated images."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import numpy as np
from PIL import Image

from fakes.pool import FakeEntries
from fakes.world import FakeWorld
from octospoon.domain.batch.compose import BatchRules
from octospoon.domain.errors import ServiceUnavailable
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, Prediction
from octospoon.domain.pool.keys import image_id
from octospoon.domain.task_types.classification import CLASSIFICATION
from octospoon.domain.trace import ImageRecord, Trace, Upload
from octospoon.ui.backend import Backend

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.domain.labelling.tasks import Round
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.usecases.rank import Rank

CLASSES = ("cat", "dog", "owl")
BACKBONE = "b" * 64
DIM = 16
LEFT, RIGHT = (0.1, 0.25, 0.4, 0.75), (0.6, 0.25, 0.9, 0.75)


def png(red: int, green: int, blue: int, size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (red, green, blue)).save(file, "PNG")
    return file.getvalue()


class PageWorld:
    """A pool of groups of images, one group for each class.

    With boxes, the model finds an object in the left half of each image. In every fourth image, it is in
    doubt whether there is an owl in the right half.
    """

    def __init__(
        self,
        folder: Path,
        images: int = 90,
        classes: tuple[str, ...] = CLASSES,
        task_type: TaskType = CLASSIFICATION,
    ) -> None:
        self.world = FakeWorld(task_type=task_type)
        self.folder, self.classes, self.local = folder, classes, True
        self.task_type = task_type
        self.records: dict[str, ImageRecord] = {}
        self.ranked: list[str] = []
        self.heads: dict[int, Any] = {}
        self.spent = Mock(return_value={"months": [{"month": "2026-01", "amount": 21.5, "unit": "USD"}]})
        self.runs: dict[int, str] = {}
        self.letters: list[dict[str, Any]] = []
        self.history = ClassHistory(classes)
        if images:
            pointer = ChampionPointer.of(1, BACKBONE, "a" * 64, self.head(1), classes)
            self.world.champions.set(pointer)
            self.world.champions.keep(pointer)
            self.fill(images)

    def fill(self, images: int) -> None:
        rng = np.random.default_rng(0)
        centres = rng.normal(size=(len(self.classes), DIM)) * 4
        for i in range(images):
            group = i % len(self.classes)
            key = f"{self.classes[group]}/{i:05d}.png"
            self.add(key, (centres[group] + rng.normal(size=DIM)).astype(np.float32), group)

    def add(self, key: str, embedding: np.ndarray, group: int, data: bytes | None = None) -> None:
        colour = [(200, 80, 40), (40, 120, 200), (60, 160, 80)][group % 3]
        self.world.images.objects[key] = (png(*colour) if data is None else data, f"etag-{key}")
        prediction = Prediction(1, BACKBONE, embedding, self.predicted(key, group), 1)
        self.world.pool.put_score(ImageRef(key, f"etag-{key}", "1", 1), prediction)

    def head(self, version: int) -> str:
        """Return the hash of a version's head; empty for a detector."""
        return f"{version + 4}" * 64 if self.task_type.activation else ""

    def predicted(self, key: str, group: int) -> np.ndarray:
        """Return what the model predicts: probabilities [C], or boxes [K, 4 + C]."""
        count = len(self.classes)
        if self.task_type.activation:
            probabilities = np.full(count, 0.1 / (count - 1), np.float32)
            probabilities[group] = 0.9
            return probabilities
        boxes = np.zeros((3, 4 + count), np.float32)
        boxes[0, :4], boxes[0, 4 + group] = LEFT, 0.9
        if int(key.rpartition("/")[2].partition(".")[0]) % 4 == 0:
            boxes[1, :4], boxes[1, -1] = RIGHT, 0.4
        return boxes

    def backend(self) -> Backend:
        world = self.world
        storage: Any = SimpleNamespace(
            pool=world.pool,
            pool_report=world.pool,
            entries=FakeEntries(world.pool),
            champions=world.champions,
            observations=world.observations,
            rounds=world.rounds,
            control=world.control,
            history=world.history,
            labels=world.labels,
            training_records=world.training_records,
            images=world.images,
            task_type=self.task_type,
            records=SimpleNamespace(record=self.records.get),
        )
        return Backend(
            name="a test",
            local=self.local,
            folder=self.folder,
            storage=storage,
            history=lambda: self.history,
            links=lambda: {"Label Studio": "http://127.0.0.1:8080/"},
            trace=self.trace,
            preview=self.preview,
            rank=self.rank(),
            head=lambda pointer: self.heads[pointer.version],
            run=lambda version: self.runs.get(version, ""),
            dead_letters=lambda: self.letters,
            spent=self.spent,
            sentence=str,
            read_cost=0.06,
        )

    def rank(self) -> Rank:
        rules = BatchRules(size=10, audit_share=0.2)
        rank = self.world.build_rank(rules, "margin", days=14, max_open_tasks=50, refresh=lambda: 0)
        in_order: Any = Mock(return_value=0)
        return replace(rank, reorder=in_order)

    def preview(self) -> Round:
        pointer = self.world.champions.pointer()
        if pointer is None:
            raise ServiceUnavailable("no model is in service yet")
        return self.rank().choose(pointer[0])

    def trace(self, key: str) -> Trace:
        row = self.world.pool.table[key]
        image = image_id(key, row.etag)
        upload = Upload(image, row.etag, 1.0)
        return Trace(key, image, row.state, (upload,), (), (), None, (), None, row.reason, "", None, (), ())
