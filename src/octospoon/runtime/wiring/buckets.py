"""The adapters over a stack's buckets, for functions, the trainer and the command line.

Each adapter is imported when it is first asked for: a function must not load the adapters of all others.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from octospoon.domain.pool.source import MADE, ImagesSource
from octospoon.runtime import aws

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3 import S3Client

    from octospoon.adapters.s3.artifacts import S3Artifacts, S3Champions
    from octospoon.adapters.s3.drift_references import S3References
    from octospoon.adapters.s3.images import S3Images
    from octospoon.adapters.s3.inbox import ClosedInbox, S3Inbox
    from octospoon.adapters.s3.removals import S3MissingAnnotations
    from octospoon.adapters.s3.rounds import S3Snapshots
    from octospoon.adapters.s3.training_records import S3TrainingRecords
    from octospoon.adapters.s3.versions import S3Versions


class BucketNames(Protocol):
    """The names of a stack's buckets; `octospoon.runtime.settings.Buckets` has them."""

    @property
    def images_bucket(self) -> str:
        """The bucket of the images."""

    @property
    def artifacts_bucket(self) -> str:
        """The bucket of models, rounds and snapshots."""


class StorageNames(BucketNames, Protocol):
    """The names of a stack's buckets and tables; `octospoon.runtime.settings.Stores` has them."""

    @property
    def pool_table(self) -> str:
        """The table of the images."""

    @property
    def annotations_table(self) -> str:
        """The table of the annotations."""

    @property
    def control_table(self) -> str:
        """The table of everything that exists once, such as the training job."""

    @property
    def task_type(self) -> str:
        """The name of the kind of label."""


class BucketStorage:
    """The adapters over a stack's buckets.

    Args:
        buckets: their names.
        s3: returns the client.
        source: the part of the images bucket that is read, and whether it is only read.
    """

    def __init__(
        self,
        buckets: BucketNames,
        s3: Callable[[], S3Client] = aws.s3,
        source: ImagesSource = MADE,
    ) -> None:
        self._buckets = buckets
        self._s3 = s3
        self._source = source

    @cached_property
    def images(self) -> S3Images:
        """The images bucket."""
        from octospoon.adapters.s3.images import S3Images

        return S3Images(self._s3(), self._buckets.images_bucket, source=self._source)

    @property
    def inbox(self) -> S3Inbox | ClosedInbox:
        """The images bucket, for adding images."""
        from octospoon.adapters.s3.inbox import ClosedInbox, S3Inbox

        if self._source.existing:
            return ClosedInbox()
        return S3Inbox(self._s3(), self._buckets.images_bucket)

    @property
    def image_versions(self) -> S3Versions:
        """The previous versions of objects in the images bucket."""
        from octospoon.adapters.s3.versions import S3Versions

        return S3Versions(self._s3(), self._buckets.images_bucket)

    @cached_property
    def artifacts(self) -> S3Artifacts:
        """The artifacts bucket."""
        from octospoon.adapters.s3.artifacts import S3Artifacts

        return S3Artifacts(self._s3(), self._buckets.artifacts_bucket)

    @property
    def champions(self) -> S3Champions:
        """The champion pointer and the model files."""
        from octospoon.adapters.s3.artifacts import S3Champions

        return S3Champions(self.artifacts)

    @property
    def references(self) -> S3References:
        """The drift references of models."""
        from octospoon.adapters.s3.drift_references import S3References

        return S3References(self.artifacts)

    @property
    def training_records(self) -> S3TrainingRecords:
        """The images that each version was trained on."""
        from octospoon.adapters.s3.training_records import S3TrainingRecords

        return S3TrainingRecords(self.artifacts)

    @property
    def snapshots(self) -> S3Snapshots:
        """The training data of each training job."""
        from octospoon.adapters.s3.rounds import S3Snapshots

        return S3Snapshots(self.artifacts)

    @property
    def missing_annotations(self) -> S3MissingAnnotations:
        """The annotations that the last full audit missed in Label Studio."""
        from octospoon.adapters.s3.removals import S3MissingAnnotations

        return S3MissingAnnotations(self.artifacts)
