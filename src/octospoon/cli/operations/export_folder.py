"""Writes labelled images into a folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from octospoon.adapters.files import check_new, draft_of
from octospoon.adapters.label_files.folders import MANIFEST
from octospoon.adapters.label_files.writers import described
from octospoon.cli.operations.upload import run_each
from octospoon.domain.errors import BadImage

if TYPE_CHECKING:
    from pathlib import Path

    from octospoon.adapters.label_files.folders import Layout
    from octospoon.adapters.label_files.spool import Spool
    from octospoon.domain.labelling.tasks import LabelledImage
    from octospoon.ports.images import ImageStore

CHANGED = "changed since it was labelled"


def check_folder(to: Path) -> None:
    """Raise BadRequest if a folder cannot be written: it holds a whole export, or its parent is missing."""
    check_new(to / MANIFEST) if to.is_dir() else check_new(to)


@dataclass(frozen=True, slots=True)
class ExportFolder:
    """A folder of labelled images. An interrupted export can be repeated.

    Attributes:
        images: the bytes.
        to: the folder.
        layout: of the files.
    """

    images: ImageStore
    to: Path
    layout: Layout

    def write(self, labelled: Spool[LabelledImage]) -> tuple[int, dict[str, int]]:
        """Download the images with their labels, then write the manifest.

        Returns:
            The number of images in the folder, and that of those that are not, by reason.
        """
        left_out: dict[str, int] = {}
        rows = 0
        self.to.mkdir(exist_ok=True)
        with draft_of(self.to / MANIFEST) as draft, draft.open("wb") as manifest:
            for image, problem in run_each(self._fetch, labelled, "Downloading", len(labelled)):
                if problem:
                    left_out[problem] = left_out.get(problem, 0) + 1
                    continue
                row = {"file": self.layout.place(image)} | described(image)
                manifest.write(msgspec.json.encode(row) + b"\n")
                rows += 1
            self._write(self.layout.description())
        return rows, left_out

    def _fetch(self, image: LabelledImage) -> str:
        """Write one image and its label; return why the image cannot be had, or an empty text."""
        if not (problem := self._download(image)):
            self._write(self.layout.label_file(image))
        return problem

    def _download(self, image: LabelledImage) -> str:
        file = self.to / self.layout.place(image)
        if file.exists() and hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() == image.etag:
            return ""
        try:
            stored = self.images.read(image.key)
        except BadImage as error:
            return error.reason
        if not stored.matches(image.etag):
            return CHANGED
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft_of(file, forced=False) as draft:  # its etag is checked when the export is repeated
            draft.write_bytes(stored.data)
        return ""

    def _write(self, named: tuple[str, str] | None) -> None:
        if named:
            path, text = named
            file = self.to / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
