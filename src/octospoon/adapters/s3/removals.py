"""The annotations that reconciliation did not find in Label Studio, in the artifacts bucket."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.aws.errors import translated
from octospoon.domain.labelling.tasks import Annotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.adapters.s3.artifacts import S3Artifacts


class S3MissingAnnotations:
    """Implements `octospoon.ports.reconciliation.MissingAnnotations`: an object for each page of a walk."""

    def __init__(self, artifacts: S3Artifacts) -> None:
        self._artifacts = artifacts

    def add(self, walk: str, page: str, annotations: Sequence[Annotation]) -> None:
        """Store the missing annotations of one page, unless the page is stored already."""
        name = hashlib.sha256(page.encode()).hexdigest()[:16]
        body = b"\n".join(msgspec.json.encode(annotation) for annotation in annotations)
        self._artifacts.write_new(f"{self._prefix(walk)}{name}.jsonl", body)

    def of(self, walk: str) -> list[Annotation]:
        """Return every annotation that a walk did not find, ordered by key."""
        annotations: dict[str, Annotation] = {}
        for key in self._keys(walk):
            stored = self._artifacts.read(key)
            for line in stored[0].splitlines() if stored else ():
                annotation = msgspec.json.decode(line, type=Annotation)
                annotations[annotation.annotation_id] = annotation
        return sorted(annotations.values(), key=lambda annotation: (annotation.key, annotation.annotation_id))

    def _keys(self, walk: str) -> list[str]:
        with translated("listing the missing annotations"):
            pages = self._artifacts.client.get_paginator("list_objects_v2").paginate(
                Bucket=self._artifacts.bucket, Prefix=self._prefix(walk)
            )
            return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    @staticmethod
    def _prefix(walk: str) -> str:
        return f"removals/{walk}/"
