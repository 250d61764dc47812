"""Labelling rounds and training snapshots, in the artifacts bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from octospoon.domain.errors import PermanentError
from octospoon.domain.labelling.tasks import LabelledImage, Round

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.adapters.s3.artifacts import S3Artifacts

_LONGEST_LINE = 16_384
"""Upper bound in bytes for a line of a snapshot: a key has up to 1,024 bytes, escaped up to six-fold."""
_WINDOW = 8 * _LONGEST_LINE


class _Named(msgspec.Struct):
    key: str


class S3Snapshots:
    """Implements `octospoon.ports.training.Snapshots`: JSON lines, one for each image."""

    def __init__(self, artifacts: S3Artifacts) -> None:
        self._artifacts = artifacts

    def read(self, job_id: str) -> list[LabelledImage] | None:
        """Return the snapshot of a job, or None before it is written."""
        stored = self._artifacts.read(self._key(job_id))
        if stored is None:
            return None
        return [msgspec.json.decode(line, type=LabelledImage) for line in stored[0].splitlines()]

    def write(self, job_id: str, rows: Sequence[LabelledImage]) -> list[LabelledImage]:
        """Write the snapshot of a job once; if it exists already, return the stored snapshot."""
        body = b"\n".join(msgspec.json.encode(row) for row in rows)
        if self._artifacts.write_new(self._key(job_id), body):
            return list(rows)
        return self.read(job_id) or []

    def find(self, job_id: str, key: str) -> LabelledImage | None:
        """Return one image of a job's snapshot, or None if the image or the snapshot does not exist.

        Snapshots are ordered by key, so a long snapshot is searched by bisection and not read whole.
        """
        first = self._artifacts.part(self._key(job_id), 0, _WINDOW)
        if first is None:
            return None
        lines, size = first
        start, end = 0, size
        while end - start > _WINDOW:
            start, end = self._halved(job_id, key, start, end)
            lines = b""
        if not lines:
            lines, _ = self._part(job_id, start, end - start)
        images = (msgspec.json.decode(line, type=LabelledImage) for line in lines.splitlines())
        return next((image for image in images if image.key == key), None)

    def _halved(self, job_id: str, key: str, start: int, end: int) -> tuple[int, int]:
        """Return the half of a byte range that contains a key's line, if the key exists."""
        middle = (start + end) // 2
        probe, _ = self._part(job_id, middle, 2 * _LONGEST_LINE)
        begins = probe.index(b"\n") + 1
        line = probe[begins:].partition(b"\n")[0]
        border = middle + begins
        return (border, end) if msgspec.json.decode(line, type=_Named).key <= key else (start, border)

    def _part(self, job_id: str, start: int, length: int) -> tuple[bytes, int]:
        part = self._artifacts.part(self._key(job_id), start, length)
        if part is None:
            raise PermanentError(f"the snapshot of {job_id} was deleted while it was read")
        return part

    def uri(self, job_id: str) -> str:
        """Return the s3:// address of a job's snapshot."""
        return f"s3://{self._artifacts.bucket}/{self._key(job_id)}"

    @staticmethod
    def _key(job_id: str) -> str:
        return f"snapshots/{job_id}.jsonl"


class RoundFiles:
    """The labelling rounds as files that are written once."""

    def __init__(self, artifacts: S3Artifacts) -> None:
        self._artifacts = artifacts

    def read(self, number: int) -> Round | None:
        """Return a round, or None if there is no such round."""
        stored = self._artifacts.read(self._key(number))
        return None if stored is None else msgspec.json.decode(stored[0], type=Round)

    def write(self, round_: Round) -> Round:
        """Write a round once; if its number is taken, return the stored round."""
        if self._artifacts.write_new(self._key(round_.number), msgspec.json.encode(round_)):
            return round_
        return self.read(round_.number) or round_

    @staticmethod
    def _key(number: int) -> str:
        return f"rounds/{number:06d}.json"
