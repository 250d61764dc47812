"""octospoon rescore: fresh scores for the pool, from stored embeddings or from the images themselves.

Embeddings are worth nothing to a model with another backbone, and give no boxes: the images are read and
scored again. What that costs is estimated first, from some of the images, with the model in service, on this
machine.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from octospoon.cli.operations import prices
from octospoon.domain.errors import BadImage, BadRequest, NotConfigured
from octospoon.domain.pool.stored_boxes import DETECTIONS
from octospoon.runtime.wiring.triggers import queue_sender
from octospoon.usecases.rescore_segment import EVERY
from octospoon.usecases.scoring.predict_image import predict_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.pool.images import ImageRef
    from octospoon.ports.images import ImageStore
    from octospoon.ports.models import Scorer

MEASURED = 20
BATCH = 10
"""Images of one call of `score` in the estimate: the most messages that SQS hands over at once."""


@dataclass(frozen=True)
class Estimate:
    """The size, time and cost of scoring some images again.

    Attributes:
        images: how many.
        megabytes: of their files.
        seconds: of one core for one image, measured on this machine.
        measured: images that were measured.
        dim: numbers in an embedding.
        boxes: boxes in a row, at most; 0 for a model that predicts none.
    """

    images: int
    megabytes: float
    seconds: float
    measured: int
    dim: int = 0
    boxes: int = 0

    def dollars(self) -> float:
        """Return the price of all images, at the rate of x86_64."""
        scoring = prices.lambda_dollars(self.seconds, prices.MB_A_CORE, BATCH, "x86_64")
        return self.images * (
            scoring + prices.around_dollars(BATCH, prices.write_units(self.dim, self.boxes))
        )

    def __str__(self) -> str:
        """Return the estimate as a line."""
        hours = self.images * self.seconds / 3600
        return (
            f"{self.images:,} images, {self.megabytes:,.0f} MB: {hours:.2f} hours of one core, "
            f"about {self.dollars():.2f} dollars ({1000 * self.seconds:.0f} ms an image, "
            f"of {self.measured} measured here; {prices.SOURCE}, read {prices.READ})"
        )


def shards(deployment: Deployment, days: int = 0) -> ChampionPointer:
    """Have every shard re-scored from stored embeddings by the model in service; return its pointer.

    Rows that it has scored already are left as they are, so that this may be done at any time.

    Args:
        deployment: the deployment.
        days: only uploads of so many days, today included; 0 for all.

    Raises:
        NotConfigured: there is no model.
        BadRequest: the model in service knows no classes, or predicts boxes, which no embedding gives.
    """
    pointer = serving(deployment)
    if pointer.detects:
        raise BadRequest(
            "the model in service predicts boxes, which no embedding can give: `octospoon rescore --full` "
            "reads the images again, and says first what that costs"
        )
    if not pointer.head_key:
        raise BadRequest("the model in service has no classes yet: there is nothing to score with")
    url = deployment.outputs["RescoreQueueUrl"]
    queue_sender(deployment.client("sqs"), url, "queueing the re-scoring")(json.dumps({"days": days}))
    return pointer


def stale_images(deployment: Deployment) -> list[ImageRef]:
    """Return the selectable images that must be read again for the model in service (reads the whole pool).

    These have an embedding of another backbone, or boxes of another detector. The newest uploads come first.

    Raises:
        NotConfigured: there is no model.
    """
    pointer = serving(deployment)
    return list(deployment.pool_report.of_others(pointer.backbone, pointer.reads_since))


def estimate(deployment: Deployment, images: Sequence[ImageRef]) -> Estimate:
    """Return the cost of scoring these images again; downloads the model, and some of the images.

    Raises:
        BadRequest: none of those that were tried can be read.
    """
    from octospoon.adapters.onnx.scorer import OnnxScorer  # an optional package: see cli/extras.py

    pointer = serving(deployment)
    with tempfile.TemporaryDirectory() as folder:
        scorer = OnnxScorer(deployment.champions.fetch(pointer, Path(folder)))
        return measured(scorer, deployment.images, images)


def measured(scorer: Scorer, store: ImageStore, images: Sequence[ImageRef]) -> Estimate:
    """Return the cost of scoring these images with a model, measured on some of them.

    Raises:
        BadRequest: none of those that were tried can be read.
    """
    spent = _seconds(scorer, store, images[:: max(1, len(images) // MEASURED)])
    if not spent:
        raise BadRequest(
            "none of the images can be read: `octospoon reconcile --full` removes images that are gone"
        )
    size = sum(image.size for image in images) / 1e6
    boxes = min(scorer.spec.boxes, DETECTIONS)
    return Estimate(len(images), size, float(np.mean(spent)), len(spent), scorer.spec.dim, boxes)


def measured_seconds(deployment: Deployment, images: Sequence[ImageRef]) -> list[float]:
    """Return the seconds of one core in which the model in service scores each of these images, here.

    Images that cannot be read are left out. The extra ``models`` must be installed.

    Raises:
        NotConfigured: there is no model.
    """
    from octospoon.adapters.onnx.scorer import OnnxScorer  # an optional package: see cli/extras.py

    pointer = serving(deployment)
    with tempfile.TemporaryDirectory() as folder:
        scorer = OnnxScorer(deployment.champions.fetch(pointer, Path(folder)))
        return _seconds(scorer, deployment.images, images)


def read_again(deployment: Deployment) -> ChampionPointer:
    """Have `rescore` read every image again that must be, the newest first; return the pointer in service.

    May be done again at any time: images with a score of the model in service are left as they are.

    Raises:
        NotConfigured: there is no model.
    """
    pointer, url = serving(deployment), deployment.outputs["RescoreQueueUrl"]
    body = json.dumps({"days": 0, "images": EVERY})
    queue_sender(deployment.client("sqs"), url, "queueing the re-scoring")(body)
    return pointer


def serving(deployment: Deployment) -> ChampionPointer:
    """Return the pointer of the model in service; raises NotConfigured if there is none."""
    champion = deployment.champions.pointer()
    if champion is None:
        raise NotConfigured("there is no model yet: run `octospoon init-model` first")
    return champion[0]


def _seconds(scorer: Scorer, store: ImageStore, images: Sequence[ImageRef]) -> list[float]:
    spent = []
    for image in images:
        try:
            data = store.read(image.key).data
            began = time.thread_time()
            predict_image(scorer, scorer.preprocess(data))
        except BadImage:
            continue
        spent.append(time.thread_time() - began)
    return spent
