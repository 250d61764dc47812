"""The wiring of `predict`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.dynamodb.control.classes import CachedClasses, DynamoClassRecord
from octospoon.adapters.dynamodb.control.table import ControlTable
from octospoon.adapters.dynamodb.pool.blind_images import DynamoBlindImages
from octospoon.adapters.label_studio.controls import control_named
from octospoon.domain.pool.source import source_of
from octospoon.domain.task_types.named import task_type_named
from octospoon.runtime import aws
from octospoon.runtime.settings import Buckets, LabelSettings, PredictSettings, load
from octospoon.runtime.wiring.buckets import BucketStorage
from octospoon.runtime.wiring.scoring import current_scorer, images
from octospoon.usecases import predict as usecase

if TYPE_CHECKING:
    from octospoon.adapters.label_studio.control import Control


def predict() -> usecase.PredictImages:
    """Wire the predictions for single images."""
    config = load(PredictSettings)
    task_type = task_type_named(config.task_type)
    classes = DynamoClassRecord(ControlTable(aws.dynamodb(), config.control_table))
    return usecase.PredictImages(
        images=images(),
        inbox=BucketStorage(config, source=source_of(config.images_source, "")).inbox,
        model=current_scorer(task_type),
        task_type=task_type,
        blind=DynamoBlindImages(aws.dynamodb(), config.pool_table),
        history=CachedClasses(classes.read, aws.CLOCK.now),
    )


def control() -> Control:
    """Return the control that Label Studio asks with."""
    return control_named(load(LabelSettings).task_type)


def predict_secret() -> str:
    """Return the secret that callers of `predict` must send."""
    return aws.secret(load(PredictSettings).predict_secret)


def images_bucket() -> str:
    """Return the name of the images bucket."""
    return load(Buckets).images_bucket


def version_in_service() -> int:
    """Return the version of the champion pointer; raises ServiceUnavailable if there is no pointer yet."""
    return usecase.version_in_service(BucketStorage(load(Buckets)).champions)
