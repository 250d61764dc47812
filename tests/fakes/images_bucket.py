"""A deployment whose bucket and pool are in memory, for labels in files."""

from __future__ import annotations

import hashlib
import io
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from botocore.exceptions import ClientError

from fakes.images import FakeImages
from fakes.imported_labels import FakeImportedLabels
from fakes.models import FakeChampions
from fakes.world import FakeWorld
from octospoon.cli.operations.label_import import Imported, Options, import_labels
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.model_spec import ChampionPointer
from octospoon.domain.pool.images import ImageRef, Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from octospoon.domain.task_types.task_type import TaskType

BACKBONE, VERSION = "b" * 64, 3


class Bucket:
    """The images bucket: uploads are scored at once, unless `scores` is False."""

    def __init__(
        self, world: FakeWorld, images: FakeImages, predicted: Sequence[float] | npt.NDArray[Any] = (0.5, 0.5)
    ) -> None:
        self.world, self.images, self.scores, self.puts = world, images, True, 0
        self.predicted = np.array(predicted, np.float32)

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        if Key not in self.images.objects:
            raise ClientError({"Error": {"Code": "404"}}, "HeadObject")
        data, etag = self.images.objects[Key][:2]
        return {"ContentLength": len(data), "ETag": f'"{etag}"'}

    def put_object(self, Bucket: str, Key: str, Body: Any, **_: str) -> None:  # noqa: N803 - boto3's names
        data = Body.read()
        self.puts += 1
        self.images.objects[Key] = (data, hashlib.md5(data, usedforsecurity=False).hexdigest())
        if self.scores:
            self.score(Key)

    def score(self, key: str) -> None:
        prediction = Prediction(VERSION, BACKBONE, np.zeros(4, np.float32), self.predicted)
        self.world.pool.put_score(ImageRef(key, self.images.objects[key][1], "1", 1), prediction)


def deployed(
    task_type: TaskType,
    classes: Sequence[str],
    files: Mapping[str, bytes],
    predicted: Sequence[float] | npt.NDArray[Any] = (0.5, 0.5),
) -> Any:
    """Return a deployment whose pool has these images, each with the prediction of one version."""
    world, images = FakeWorld(task_type=task_type), FakeImages()
    bucket = Bucket(world, images, predicted)
    for key, data in files.items():
        bucket.put_object("images", key, io.BytesIO(data))
    version = ChampionPointer.of(VERSION, BACKBONE, "m" * 64, "h" * 64, tuple(classes))
    return SimpleNamespace(
        world=world,
        task_type=task_type,
        task_type_record=SimpleNamespace(check=lambda: None, keep=lambda: None),
        outputs={"ImagesBucket": "images"},
        imported_labels=FakeImportedLabels(world.labels),
        pool_report=world.pool,
        champions=FakeChampions(versions={VERSION: version}),
        images=images,
        client=lambda _: bucket,
        class_record=lambda: SimpleNamespace(read=lambda: ClassHistory(tuple(classes))),
    )


def labels_of(deployment: Any) -> dict[str, str]:
    """Return the labels in the pool by key."""
    return {image.key: image.label for image in deployment.pool_report.labelled()}


def import_csv(deployment: Any, folder: Path, columns: str, *rows: str) -> Imported:
    """Write rows below these columns into a file, and import it."""
    source = folder / "labels.csv"
    source.write_text("\n".join([columns, *rows]))
    return import_labels(deployment, source, Options())
