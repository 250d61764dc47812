"""The images bucket, the inbox and the queue of uploads, in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from octospoon.domain.errors import BadImage
from octospoon.domain.pool.backfill import Backfill
from octospoon.domain.pool.images import ARCHIVED, ImageBytes, ImageRef, StoredObject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.domain.trace import StoredVersion


_EXTENSIONS = {b"\xff\xd8": "jpg", b"\x89PNG\r\n\x1a\n": "png"}


@dataclass
class FakeImages:
    objects: dict[str, tuple[bytes, str] | tuple[bytes, str, str]] = field(default_factory=dict)

    def read(self, key: str) -> ImageBytes:
        if key not in self.objects:
            raise BadImage("gone", "the object was deleted before it was read")
        return ImageBytes(*self.objects[key])

    def uri(self, key: str) -> str:
        return f"s3://images/{key}"


@dataclass
class FakeInbox:
    added: dict[str, bytes] = field(default_factory=dict)

    def add(self, data: bytes) -> str:
        extension = next((name for magic, name in _EXTENSIONS.items() if data.startswith(magic)), None)
        if extension is None:
            raise BadImage("not-an-image", "neither a JPEG nor a PNG file")
        key = f"predict/{hashlib.sha256(data).hexdigest()}.{extension}"
        self.added.setdefault(key, data)
        return key


@dataclass
class FakeBucket:
    objects: dict[str, StoredObject] = field(default_factory=dict)

    def listing(self, after: str, limit: int, prefix: str = "") -> list[StoredObject]:
        keys = sorted(key for key in self.objects if key > after and key.startswith(prefix))
        return [self.objects[key] for key in keys[:limit]]

    def problem(self, key: str) -> BadImage | None:
        if key not in self.objects:
            return BadImage("gone", "there is no such object")
        return BadImage(ARCHIVED, "") if self.objects[key].archived else None


@dataclass
class FakeUploads:
    sent: list[ImageRef] = field(default_factory=list)

    def send(self, image: ImageRef) -> None:
        self.sent.append(image)

    def send_all(self, images: Sequence[ImageRef]) -> None:
        for image in images:
            self.send(image)


@dataclass
class FakeBackfills:
    backfill: Backfill = field(default_factory=Backfill)

    def read(self) -> Backfill:
        return self.backfill

    def save(self, before: Backfill, backfill: Backfill) -> bool:
        if self.backfill.revision != before.revision:
            return False
        self.backfill = replace(backfill, revision=before.revision + 1)
        return True


@dataclass
class FakeBacklog:
    time: float | None = None

    def until(self, now: float) -> float:
        self.time = now if self.time is None else self.time
        return self.time

    def reach(self, since: float) -> None:
        self.time = since if self.time is None else min(self.time, since)


@dataclass
class FakeVersions:
    stored: dict[str, list[StoredVersion]] = field(default_factory=dict)

    def versions(self, key: str) -> list[StoredVersion]:
        return list(self.stored.get(key, ()))
