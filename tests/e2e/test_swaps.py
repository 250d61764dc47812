"""The champion changes again and again while images are scored, every other time to a model that is no good.

The real handler, on real batches, over the real S3 and the real tables; only its clock runs faster, so that
the pointer is asked for many times a second. 500 images and 10 changes; with ``--soak`` 5,000 and 50.
"""

from __future__ import annotations

import importlib.util
import io
import json
import random
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from contract.conftest import copy_table
from PIL import Image

from octospoon.adapters.dynamodb.pool.rows import DynamoRows
from octospoon.adapters.s3.artifacts import S3Artifacts, S3Champions
from octospoon.cli.deployment.session import LOCAL_KEY, LOCAL_REGION
from octospoon.domain.errors import BadModel
from octospoon.domain.model_spec import CHAMPION_KEY, ChampionPointer, model_key
from octospoon.domain.pool.images import State
from octospoon.runtime import aws
from octospoon.runtime.wiring import scoring
from octospoon.training.model.model_file import (
    assemble,
    extract_backbone,
    head_file,
    read_spec,
    sha256,
    starter_model,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack

HANDLER = Path(__file__).parents[2] / "functions" / "score" / "app.py"
BATCH = 100
CLASSES = ("cat", "dog")
FASTER = 100


class FastClock:
    def now(self) -> float:
        return FASTER * time.time()


def odds(version: int) -> float:
    """The probability of a dog for every image; it differs for each version."""
    return -3 + version / 10


def probability(version: int) -> float:
    return 1 / (1 + np.exp(-odds(version)))


class Context:
    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


class Models:
    """Valid models with distinct predictions, and damaged models."""

    def __init__(self) -> None:
        starter = starter_model()
        self.backbone, self.cold = extract_backbone(starter), read_spec(starter)

    def sound(self, version: int, bias: float | None = None) -> bytes:
        spec = replace(self.cold, classes=CLASSES, version=version)
        bias = odds(version) if bias is None else bias
        weights = np.zeros((spec.dim, 2), np.float32)
        return assemble(self.backbone, head_file(weights, np.array([0, bias], np.float32), spec), spec)

    def spoilt(self, version: int) -> dict[str, bytes]:
        sound = self.sound(version)
        dim, other = (b"dim\x12\x03%d" % size for size in (self.cold.dim, self.cold.dim - 1))
        return {
            "truncated": sound[: len(sound) // 2],
            "corrupt": sound[:5000] + bytes(2000) + sound[7000:],
            "empty": b"",
            "no contract": sound.replace(b"octospoon/1", b"octospoon/9"),
            "another shape": sound.replace(dim, other),
            "not finite": self.sound(version, float("nan")),
        }


@dataclass
class World:
    handler: Callable[[dict[str, Any], object], dict[str, Any]]
    artifacts: S3Artifacts
    images: str
    pool: DynamoRows
    models: Models

    def put(self, version: int, file: bytes, sha: str = "") -> None:
        """Make any file the champion, if requested with a wrong sha256."""
        key = model_key(sha or sha256(file))
        self.artifacts.client.put_object(Bucket=self.artifacts.bucket, Key=key, Body=file)
        champions = S3Champions(self.artifacts)
        try:
            stored = champions.pointer()
        except BadModel:  # a pointer that cannot be read cannot be swapped
            self.artifacts.client.delete_object(Bucket=self.artifacts.bucket, Key=CHAMPION_KEY)
            stored = None
        pointer = ChampionPointer(
            version, sha or sha256(file), key, self.models.cold.backbone, classes=CLASSES
        )
        assert champions.promote(pointer.after(stored[0] if stored else None), stored[1] if stored else None)

    def upload(self, count: int) -> list[str]:
        generator = np.random.default_rng(0)
        images = []
        for _ in range(50):
            buffer = io.BytesIO()
            Image.fromarray(generator.integers(0, 256, (24, 24), np.uint8)).save(buffer, "PNG")
            images.append(buffer.getvalue())
        keys = [f"{i:05d}.png" for i in range(count)]

        def put(i: int) -> None:
            self.artifacts.client.put_object(Bucket=self.images, Key=keys[i], Body=images[i % 50])

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(put, range(count)))
        return keys


@pytest.fixture
def world(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    s3, dynamodb = stack.deployment.client("s3"), stack.deployment.client("dynamodb")
    images, artifacts = (f"swaps-{uuid.uuid4().hex}" for _ in range(2))
    for bucket in (images, artifacts):
        s3.create_bucket(Bucket=bucket)
    table = copy_table(dynamodb, stack.deployment.outputs["PoolTable"])
    environment = {
        "AWS_ENDPOINT_URL": stack.deployment.endpoint_url,
        "AWS_ACCESS_KEY_ID": LOCAL_KEY,
        "AWS_SECRET_ACCESS_KEY": LOCAL_KEY,
        "AWS_DEFAULT_REGION": LOCAL_REGION,
        "POWERTOOLS_SERVICE_NAME": "score",
        "OCTOSPOON_IMAGES_BUCKET": images,
        "OCTOSPOON_ARTIFACTS_BUCKET": artifacts,
        "OCTOSPOON_POOL_TABLE": table,
        "OCTOSPOON_ANNOTATIONS_TABLE": "none",
        "OCTOSPOON_CONTROL_TABLE": "none",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(aws, "CLOCK", FastClock())
    for cached in (aws.session, aws.s3, aws.dynamodb, scoring.images):
        cached.cache_clear()
    spec = importlib.util.spec_from_file_location("score_app", HANDLER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield World(module.handler, S3Artifacts(s3, artifacts), images, DynamoRows(dynamodb, table), Models())
    scoring.disconnect()
    for cached in (aws.session, aws.s3, aws.dynamodb, scoring.images):
        cached.cache_clear()


def changes(world: World, count: int) -> tuple[list[Callable[[], None]], set[int]]:
    """Return steps that make valid and damaged files champion in turn, and the valid versions."""
    models, steps, sound = world.models, [], {0}
    for version in range(1, count + 1):
        if version % 2 == 0:
            sound.add(version)
            steps.append(lambda version=version: world.put(version, models.sound(version)))
            continue
        spoilt = models.spoilt(version)
        kind = [*spoilt, "another's sum", "no pointer"][version // 2 % (len(spoilt) + 2)]
        if kind == "another's sum":
            steps.append(lambda version=version: world.put(version, models.sound(version), "c" * 64))
        elif kind == "no pointer":
            steps.append(
                lambda: world.artifacts.client.put_object(  # type: ignore[arg-type, misc]
                    Bucket=world.artifacts.bucket, Key=CHAMPION_KEY, Body=b'{"version": '
                )
            )
        else:
            steps.append(lambda version=version, file=spoilt[kind]: world.put(version, file))  # type: ignore[misc]
    return steps, sound  # type: ignore[return-value]


def batch(keys: list[str]) -> dict[str, Any]:
    objects = [{"key": key, "size": 500, "eTag": "e", "sequencer": "1"} for key in keys]
    bodies = [json.dumps({"Records": [{"s3": {"object": entry}}]}) for entry in objects]
    return {"Records": [{"messageId": str(i), "body": body} for i, body in enumerate(bodies)]}


def test_every_row_is_valid_and_says_which_model_scored_it(
    world: World, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    soak = request.config.getoption("--soak")
    images, swaps = (5000, 50) if soak else (500, 10)
    world.put(0, world.models.sound(0))
    keys = world.upload(images)
    steps, sound = changes(world, swaps)
    batches = [keys[start : start + BATCH] for start in range(0, images, BATCH)]
    lasted, draw = 0.5, random.Random(0)
    for number, part in enumerate(batches):
        now = steps[number * swaps // len(batches) : (number + 1) * swaps // len(batches)]
        changing = threading.Timer(draw.random() * lasted, lambda now=now: [step() for step in now])
        began = time.monotonic()
        changing.start()
        assert world.handler(batch(part), Context) == {"batchItemFailures": []}
        lasted = time.monotonic() - began
        changing.join()

    rows = world.pool.rows(keys)
    assert len(rows) == images
    assert {row.state for row in rows.values()} == {State.SCORED}
    for row in rows.values():
        assert row.model_version in sound
        assert np.isfinite(row.embedding).all()
        assert row.probabilities is not None
        assert row.probabilities[1] == pytest.approx(probability(row.model_version), abs=2e-3)
    versions = Counter(row.model_version for row in rows.values())
    with capfd.disabled():
        print(f"\n{images} images, {swaps} changes of the champion, images by version: {dict(versions)}")
    if soak:  # a change a batch: every sound model but the last was in service for a while
        assert versions.keys() >= sound - {swaps}
    assert len(versions) > 1
