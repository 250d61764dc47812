"""The wiring that `score` and `predict` share: fast reads of images, and the scorer in service."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from urllib.request import getproxies

from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.adapters.s3.images import S3Images
from octospoon.adapters.s3.signed_gets import SignedGets
from octospoon.domain.task_types.named import check_kind
from octospoon.runtime import aws
from octospoon.runtime.settings import Buckets, load
from octospoon.runtime.wiring import model_files
from octospoon.runtime.wiring.buckets import BucketStorage
from octospoon.usecases.champion import CurrentModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from octospoon.domain.model_spec import ChampionPointer
    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.ports.models import Champions, Scorer


@cache
def images() -> S3Images:
    """Return the images bucket, for reading many images at once."""
    bucket, credentials = load(Buckets).images_bucket, aws.session().get_credentials()
    # signed GETs skip most of botocore's work, but cannot use a proxy
    gets = SignedGets(aws.s3(), credentials, bucket) if credentials and not getproxies() else None
    return S3Images(aws.s3(), bucket, gets)


def disconnect() -> None:
    """Close the connections of scoring; the next call opens new ones."""
    for connected in (images(), aws.s3(), aws.dynamodb()):
        connected.close()


def current_scorer(task_type: TaskType) -> Callable[[], Scorer]:
    """Return a function that gives the scorer in service."""
    champions = BucketStorage(load(Buckets)).champions
    return CurrentModel(champions, scorer_loader(champions, task_type), aws.CLOCK).get


def scorer_loader(champions: Champions, task_type: TaskType) -> Callable[[ChampionPointer], Scorer]:
    """Return a function that downloads, verifies, opens and checks a pointer's model."""

    def load_scorer(pointer: ChampionPointer) -> Scorer:
        path = champions.fetch(pointer, model_files.model_folder())
        scorer = OnnxScorer(path, pointer.generation)
        if scorer.spec.has_head:
            check_kind(task_type, scorer.spec)
        model_files.remove_old_models(path)
        return scorer

    return load_scorer
