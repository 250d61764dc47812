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


def png(red: int, green: int, blue: int, size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (red, green, blue)).save(file, "PNG")
    return file.getvalue()


class PageWorld:
    """A pool of groups of images, one group for each class."""

    def __init__(self, folder: Path, images: int = 90, classes: tuple[str, ...] = CLASSES) -> None:
        self.world = FakeWorld()
        self.folder, self.classes, self.local = folder, classes, True
        self.task_type: TaskType = CLASSIFICATION
        self.records: dict[str, ImageRecord] = {}
        self.ranked: list[str] = []
        self.heads: dict[int, Any] = {}
        self.spent = Mock(return_value={"months": [{"month": "2026-01", "amount": 21.5, "unit": "USD"}]})
        self.runs: dict[int, str] = {}
        self.letters: list[dict[str, Any]] = []
        self.history = ClassHistory(classes)
        if images:
            pointer = ChampionPointer.of(1, BACKBONE, "a" * 64, "c" * 64, classes)
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
        probabilities = np.full(len(self.classes), 0.1 / (len(self.classes) - 1), np.float32)
        probabilities[group] = 0.9
        colour = [(200, 80, 40), (40, 120, 200), (60, 160, 80)][group % 3]
        self.world.images.objects[key] = (png(*colour) if data is None else data, f"etag-{key}")
        prediction = Prediction(1, BACKBONE, embedding, probabilities, 1)
        self.world.pool.put_score(ImageRef(key, f"etag-{key}", "1", 1), prediction)

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
