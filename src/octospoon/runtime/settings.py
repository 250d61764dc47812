"""Settings from the environment: one typed struct per function, read when first needed, never at import.

msgspec checks types and ranges. Its import takes a tenth of pydantic's time, which matters in
a cold start.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec

from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "OCTOSPOON_"
STACK = "OCTOSPOON_STACK_NAME"
"""The environment variable that holds the name of the CloudFormation stack."""
T = TypeVar("T", bound=msgspec.Struct)

Name = Annotated[str, msgspec.Meta(min_length=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Quota = Annotated[float, msgspec.Meta(gt=0, le=1)]
Distance = Annotated[float, msgspec.Meta(ge=0, lt=2)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Days = Annotated[int, msgspec.Meta(ge=0)]
FirstBatch = Annotated[int, msgspec.Meta(ge=0)]
HalfWidth = Annotated[float, msgspec.Meta(ge=0, le=0.5)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
TaskTypes = Literal["classification", "multilabel", "detection"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all settings; a field ``pool_table`` is read from ``OCTOSPOON_POOL_TABLE``."""


class LabelSettings(Settings, frozen=True, kw_only=True):
    """The kind of label."""

    task_type: TaskTypes = "classification"


class Buckets(LabelSettings, frozen=True, kw_only=True):
    """The buckets of images and models, and the kind of label."""

    images_bucket: Name
    artifacts_bucket: Name


class Stores(Buckets, frozen=True, kw_only=True):
    """All buckets and tables."""

    pool_table: Name
    annotations_table: Name
    control_table: Name


class ScoreSettings(Stores, frozen=True, kw_only=True):
    """Settings of `score`."""

    strategy: Name = "margin_diverse"


class LabelStudioSettings(Settings, frozen=True, kw_only=True):
    """The Label Studio project; for `rank` and `reconcile`, besides their own settings."""

    label_studio_url: Name
    label_studio_project: int
    label_studio_token_secret: Name


class RankSettings(Stores, frozen=True, kw_only=True):
    """Settings of `rank`."""

    classes: Name
    batch_size: Count = 50
    first_batch_size: FirstBatch = 0
    audit_share: Share = 0.2
    audit_target: HalfWidth = 0.05
    control_share: Share = 0.0
    audit_predictions: Literal["hidden", "shown"] = "hidden"
    drift_share: Share = 0.1
    class_share: Share = 0.2
    min_distance: Distance = 0.003
    rare_classes: Literal["auto", "always", "never"] = "auto"
    class_quota: Quota = 1.0
    group_quota: Quota = 1.0
    strategy: Name = "margin_diverse"
    max_open_tasks: Count = 50
    open_task_days: Days = 14
    rescore_queue_url: Name


class MlflowSettings(Settings, frozen=True, kw_only=True):
    """The MLflow model whose alias `reconcile` syncs; without a server, there is none."""

    mlflow_url: str = ""
    mlflow_username: str = ""
    mlflow_password_secret: str = ""
    model_name: Name = "octospoon"


class WebhookSettings(LabelSettings, frozen=True, kw_only=True):
    """Settings of `webhook`."""

    webhook_secret: Name
    annotations_queue_url: Name


class PredictSettings(Buckets, frozen=True, kw_only=True):
    """Settings of `predict`."""

    pool_table: Name
    control_table: Name
    predict_secret: Name
    images_source: Literal["made", "existing"] = "made"


class CollectSettings(Stores, frozen=True, kw_only=True):
    """Settings of `collect`."""

    classes: Name
    trainer: Literal["head", "finetune", "command"] = "head"
    fine_tuning: str = ""
    class_weights: Literal["none", "balanced"] = "none"
    model_name: Name = "octospoon"
    experiment: Name = "octospoon"
    rank_function: str = ""
    training_threshold: Count = 50
    first_batch_size: FirstBatch = 0
    training_cool_down: Seconds = 6 * 3600.0
    trainings_per_day: Count = 24
    launcher: str = "queue"
    training_queue_url: str = ""
    ecs_cluster: str = ""
    ecs_task_definition: str = ""
    ecs_container: str = ""
    ecs_subnets: str = ""
    ecs_security_groups: str = ""
    ecs_capacity: str = "FARGATE"
    ecs_public_ip: Literal["ENABLED", "DISABLED"] = "ENABLED"
    batch_queue: str = ""
    batch_job_definition: str = ""


class ReconcileSettings(Stores, frozen=True, kw_only=True):
    """Settings of `reconcile`, besides those of `collect` and of Label Studio."""

    uploads_queue_url: Name
    images_source: Literal["made", "existing"] = "made"
    images_prefixes: str = ""
    event_bus: str = ""
    model_name: Name = "octospoon"
    mlflow_password_secret: str = ""


class RescoreSettings(Stores, frozen=True, kw_only=True):
    """Settings of `rescore`."""

    rescore_queue_url: Name
    uploads_queue_url: Name
    rescore_days: Days = 0
    reread_images: Annotated[int, msgspec.Meta(ge=0)] = 20_000
    rank_function: str = ""
    strategy: Name = "margin_diverse"


class WatchSettings(Stores, frozen=True, kw_only=True):
    """Settings of `watch`."""

    accuracy_floor: Share = 0.0


class TrainerSettings(Stores, frozen=True, kw_only=True):
    """Settings of the trainer's environment; each job brings its own settings (`JobSettings`)."""

    dagshub_repository: str = ""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    time_limit: Seconds = 0.0
    trainer_command: str = ""


class WorkerSettings(Settings, frozen=True, kw_only=True):
    """Settings of the training worker."""

    training_queue_url: Name


def load(kind: type[T], variables: Mapping[str, str] = os.environ) -> T:
    """Read settings from environment variables.

    Args:
        kind: the settings.
        variables: those of this process, or of a function.

    Raises:
        NotConfigured: a variable is missing or out of range; the message names it.
    """
    values = {
        field.name: variables[PREFIX + field.name.upper()]
        for field in msgspec.structs.fields(kind)
        if PREFIX + field.name.upper() in variables
    }
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise NotConfigured(
            f"the environment variables {PREFIX}… of {kind.__name__} are wrong: {error}"
        ) from error


def listed(text: str) -> tuple[str, ...]:
    """Split a comma-separated setting; strip the parts and drop empty ones."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
