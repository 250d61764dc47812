"""Labelled images for simulations: the digits, a folder of images, or the labels of a project."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import track
from sklearn.model_selection import train_test_split

from octospoon.adapters.imaging.file_kinds import EXTENSIONS
from octospoon.adapters.onnx.scorer import OnnxScorer
from octospoon.cli.datasets import digits
from octospoon.domain.errors import BadImage, BadRequest
from octospoon.training.backbone.catalogue import SCATTERING
from octospoon.training.data.dataset import as_stored
from octospoon.training.graph.parts import widths
from octospoon.training.head.task_types import HEAD_TASKS, activation_of
from octospoon.training.model import check_import, model_file
from octospoon.training.model.optimize import cold_start
from octospoon.training.simulation import Labelled, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from octospoon.cli.deployment import Deployment
    from octospoon.training.model.check_import import Options

    Check = Callable[[int], None]

HELD_OUT = 1 / 3
_FEWEST_AUDIT = 20
_FEWEST_EACH = 3


def no_check(_: int) -> None:
    """Accept any number of images."""


@dataclass(frozen=True, slots=True)
class Source:
    """Labelled images and their origin.

    Attributes:
        title: for tables and plots.
        data: the embeddings and labels.
        backbone: that made the embeddings, in words.
        audit: positions of the audit share, which is the held-out part of a project; None otherwise.
        notes: what a reader of the results must know.
    """

    title: str
    data: Labelled
    backbone: str
    audit: npt.NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()

    def split(self, seed: int) -> Split:
        """Return the split of a seed: the audit share is held out, or else a third of each class."""
        every = np.arange(len(self.data.labels))
        if self.audit is not None:
            return Split(np.setdiff1d(every, self.audit), self.audit)
        pool, held_out = train_test_split(
            every, test_size=HELD_OUT, stratify=self.data.strata(), random_state=seed
        )
        return Split(np.sort(pool), np.sort(held_out))


def pool_size(images: int) -> int:
    """Return how many images can be labelled, which are those that are not held out.

    Args:
        images: number of all images.
    """
    return images - math.ceil(images * HELD_OUT)


def model_of(path: Path, options: Options) -> bytes:
    """Return a model that embeds, from a model file of octospoon or another ONNX file.

    Args:
        path: of the file.
        options: describe an ONNX file from elsewhere.

    Raises:
        BadRequest: the file does not exist, or the options do not fit it.
        BadModel: the file cannot be used; the message says why.
    """
    if not path.is_file():
        raise BadRequest(f"{path} does not exist")
    parts = check_import.read(path, options)
    return cold_start(parts.backbone, parts.resize)


@dataclass(frozen=True, slots=True)
class Embedder:
    """A model that embeds images.

    Attributes:
        name: of the backbone, or of its file.
        model: the content of an ONNX file; None for the starter backbone.
    """

    name: str
    model: bytes | None

    @property
    def parts(self) -> tuple[int, ...]:
        """Lengths of the parts of its embedding; empty if it has only one."""
        return () if self.model is None else widths(self.model)


STARTER = Embedder(SCATTERING, None)


def of_digits(embedder: Embedder = STARTER, check: Check = no_check) -> Source:
    """Return scikit-learn's digits.

    Args:
        embedder: makes the embeddings.
        check: receives the number of images that can be labelled, before an image is embedded.
    """
    check(pool_size(len(digits.labels())))
    files = [digits.png_bytes(index) for index in range(len(digits.labels()))]
    embeddings, _ = embed(files, embedder.model)
    data = Labelled(embeddings, digits.labels(), len(digits.CLASSES), embedder.parts)
    return Source("scikit-learn's digits", data, embedder.name)


def of_folder(folder: Path, embedder: Embedder = STARTER, check: Check = no_check) -> Source:
    """Return the images of a folder that has a subfolder for each class.

    Args:
        folder: its path.
        embedder: makes the embeddings.
        check: receives the number of images that can be labelled, before an image is embedded.

    Raises:
        BadRequest: the folder has fewer than two subfolders, or a class has too few images.
    """
    if not folder.is_dir():
        raise BadRequest(f"there is no folder {folder}")
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in EXTENSIONS]
    names = [path.relative_to(folder).parts[0] for path in paths]
    classes = sorted({name for name, path in zip(names, paths, strict=True) if path.parent != folder})
    if len(classes) < 2:
        raise BadRequest(f"{folder} must have at least two folders of images, a folder for each class")
    known = [(path, name) for path, name in zip(paths, names, strict=True) if path.parent != folder]
    labels = np.array([classes.index(name) for _, name in known], np.int64)
    check_counts(np.bincount(labels, minlength=len(classes)), classes)
    check(pool_size(len(known)))
    embeddings, kept = embed([path.read_bytes() for path, _ in known], embedder.model)
    labels = labels[kept]
    check_counts(np.bincount(labels, minlength=len(classes)), classes)
    data = Labelled(embeddings, labels, len(classes), embedder.parts)
    return Source(folder.name, data, embedder.name, None, unread(len(known) - len(kept)))


def unread(images: int) -> tuple[str, ...]:
    """Return a note on files that are no images; empty if there is none."""
    return (f"{images} images could not be read and are left out",) if images else ()


def of_project(deployment: Deployment) -> Source:
    """Return the labelled images of a deployed project, with their stored embeddings.

    Raises:
        BadRequest: the project has too few labels.
    """
    classes, task_type = deployment.classes, deployment.task_type
    activation, named = activation_of(task_type), task_type.labels.classes
    images = [image for image in deployment.labels.labelled() if set(named(image.label)) <= set(classes)]
    rows = deployment.pool.rows([image.key for image in images])
    backbones = [rows[image.key].backbone for image in images if image.key in rows]
    newest = max(set(backbones), key=backbones.count, default="")
    used = [image for image in images if image.key in rows and rows[image.key].backbone == newest]
    audit = np.array([i for i, image in enumerate(used) if image.audit], np.int64)
    if len(audit) < _FEWEST_AUDIT:
        raise BadRequest(
            f"{len(audit)} audit images are labelled, and models are measured on them. Label at least "
            f"{_FEWEST_AUDIT} first, or simulate on a folder of labelled images"
        )
    labels = task_type.evaluator.targets([image.label for image in used], classes)
    embeddings = np.stack([rows[image.key].embedding for image in used])
    metric = HEAD_TASKS[activation].evaluator.metric_title
    return Source(
        "this project's labels",
        Labelled(embeddings, labels, len(classes), _stored_parts(deployment, newest), activation),
        "the stored embeddings",
        audit,
        (
            f"{metric} is measured on the {len(audit)} labelled images of the audit share",
            "the pool is what this project chose to label, so random means random among those images",
        ),
    )


def _stored_parts(deployment: Deployment, backbone: str) -> tuple[int, ...]:
    """Return the parts of stored embeddings; empty unless their backbone is in service."""
    stored = deployment.champions.pointer()
    if stored is None or stored[0].backbone != backbone:
        return ()
    with TemporaryDirectory() as folder:
        return widths(deployment.champions.fetch(stored[0], Path(folder)).read_bytes())


def embed(files: Sequence[bytes], model: bytes | None) -> tuple[npt.NDArray[np.float32], list[int]]:
    """Embed images as the pool stores them.

    Args:
        files: contents of N image files.
        model: the content of an ONNX file; None for the starter backbone.

    Returns:
        Embeddings float32 [K, D] of the K files that can be read, and the positions of these files.

    Raises:
        BadRequest: no file can be read as an image.
    """
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.onnx"
        path.write_bytes(model_file.starter_model() if model is None else model)
        scorer = OnnxScorer(path)

    def embedding(data: bytes) -> npt.NDArray[np.float32] | None:
        try:
            return scorer.predict(scorer.preprocess(data).pixels[np.newaxis])[0].embedding
        except BadImage:
            return None

    embeddings = _on_all_cores(embedding, files)
    kept = [i for i, row in enumerate(embeddings) if row is not None]
    if not kept:
        raise BadRequest("none of the files could be read as an image")
    rows = np.stack([row for row in embeddings if row is not None])
    return as_stored(rows), kept


def _on_all_cores(
    work: Callable[[bytes], npt.NDArray[np.float32] | None], files: Sequence[bytes]
) -> list[npt.NDArray[np.float32] | None]:
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(
            track(threads.map(work, files), description="Embedding", total=len(files), transient=True)
        )


def check_counts(counts: npt.NDArray[np.int64], classes: Sequence[str]) -> None:
    """Raise BadRequest if a class has too few images, int64 [C]."""
    few = [name for name, count in zip(classes, counts, strict=True) if count < _FEWEST_EACH]
    if few:
        raise BadRequest(
            f"each class needs at least {_FEWEST_EACH} readable images: {', '.join(few)} has fewer"
        )
