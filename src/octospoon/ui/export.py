"""Write the page as static files that open from disk: the map, the batches, the figures, and thumbnails."""

from __future__ import annotations

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from octospoon.domain.errors import BadImage, BadRequest, OctospoonError, ServiceUnavailable
from octospoon.domain.pool.keys import image_id
from octospoon.ui import assets
from octospoon.ui.galleries import story
from octospoon.ui.layout import nearest
from octospoon.ui.thumbnails import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from octospoon.domain.trace import Trace
    from octospoon.ui.pages import Pages
    from octospoon.ui.snapshot import Snapshot

IMAGES = 2000
"""Images with a thumbnail, unless another number is asked for."""
NEIGHBOURS = 8
STORIES = 100
"""Images with their story; each costs some reads for every round and every training job."""
SOURCE = "js/source.js"
_SOURCE = b'"use strict";\nvar octospoon = { live: false, thumbnails: "thumbnails/" };\n'
_POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file:; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class Written:
    """What an export holds.

    Attributes:
        images: images on the map.
        thumbnails: images with a thumbnail.
        left_out: images that cannot be shown, among those that were to have a thumbnail.
        size: of all files, in bytes.
    """

    images: int
    thumbnails: int
    left_out: int
    size: int


def export(pages: Pages, folder: Path, images: int = IMAGES) -> Written:
    """Write the page into a new or empty folder.

    Addresses, annotators and dead letters are left out: an export may be shown to other people.

    Args:
        pages: the views of the deployment.
        folder: for the files.
        images: most images with a thumbnail.

    Raises:
        BadRequest: the folder holds files, or it cannot be made.
        ServiceUnavailable: the pool could not be read.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadRequest(f"{folder} is not an empty folder: name another, or empty it first")
    snapshot = _snapshot(pages)
    batches = {name: batch for name, read in _BATCHES.items() if (batch := _if_any(pages, read))}
    figures = {"model": pages.model(now=True), "watch": _without_letters(pages.watch(now=True))}
    first = [*_keys_of(batches.values()), *_keys_of_figures(**figures)]
    chosen = _with_thumbnail(snapshot, first, images)
    folder.mkdir(parents=True, exist_ok=True)
    keys = [snapshot.keys[i] for i in chosen]
    views = {**batches, **figures, "stories": _stories(pages, keys[:STORIES]), "boxes": pages.boxes(keys)}
    for name, content in _files(pages, snapshot, views, chosen):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    shown = _thumbnails(pages, snapshot, chosen, folder / "thumbnails" / "small")
    (folder / assets.INDEX).write_bytes(_index())
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Written(len(snapshot.keys), shown, len(chosen) - shown, size)


_BATCHES: dict[str, Callable[[Pages], dict[str, Any]]] = {
    "batch": lambda pages: pages.batch(None),
    "preview": lambda pages: pages.preview(),
}


def _snapshot(pages: Pages) -> Snapshot:
    """Return the snapshot of the pool, read now if it is too old."""
    if pages.pool.snapshot is None or pages.pool.next_at() <= time.time():
        pages.pool.refresh()
    if pages.pool.snapshot is None:
        raise ServiceUnavailable(f"the pool could not be read: {pages.pool.progress.error}")
    return pages.pool.snapshot


def _if_any(pages: Pages, read: Callable[[Pages], dict[str, Any]]) -> dict[str, Any] | None:
    """Return a batch; None where there is no round, or no model that could choose one."""
    try:
        return read(pages)
    except (BadRequest, ServiceUnavailable):
        return None


def _keys_of(batches: Iterable[dict[str, Any]]) -> Iterator[str]:
    for batch in batches:
        for image in batch["images"]:
            yield image["key"]
            yield from (near["key"] for near in image["nearest"])


def _without_letters(watch: dict[str, Any]) -> dict[str, Any]:
    """Return the view Watch without costs and messages, whose texts are not for other people."""
    document = {name: part for name, part in (watch["document"] or {}).items() if name != "dead_letters"}
    return {**watch, "document": document or None, "cost": None}


def _keys_of_figures(model: dict[str, Any], watch: dict[str, Any]) -> Iterator[str]:
    observed, pool = (watch["document"] or {}).get("observed", {}), watch["pool"]
    for images in (
        (model["document"] or {}).get("images", ()),
        observed.get("images", ()),
        pool["quarantine"]["images"],
    ):
        yield from (image["key"] for image in images)


def _with_thumbnail(snapshot: Snapshot, first: Sequence[str], images: int) -> list[int]:
    """Return the positions of images that get a thumbnail: those of batches, the labelled, then others."""
    at = {key: i for i, key in enumerate(snapshot.keys)}
    labelled = np.flatnonzero(snapshot.columns["label"] >= 0).tolist()
    order = [*(at[key] for key in first if key in at), *labelled, *range(len(snapshot.keys))]
    return list(dict.fromkeys(order))[:images]


def _stories(pages: Pages, keys: Sequence[str]) -> dict[str, Any]:
    """Return the stories of images by key; an image whose story cannot be told is left out."""

    def story_of(key: str) -> tuple[str, dict[str, Any] | None]:
        try:
            return key, story(_for_others(pages.story(key)))
        except OctospoonError:
            return key, None

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return {key: document for key, document in threads.map(story_of, keys) if document is not None}


def _for_others(trace: Trace) -> Trace:
    """Return a story without annotators, addresses of tasks and runs, and notes that hold an address."""
    return replace(
        trace,
        export=trace.export and replace(trace.export, address=""),
        annotations=tuple(replace(annotation, annotator="") for annotation in trace.annotations),
        trainings=tuple(replace(training, snapshot="", run="") for training in trace.trainings),
        notes=tuple(note for note in trace.notes if "://" not in note),
    )


def _files(
    pages: Pages, snapshot: Snapshot, views: dict[str, Any], chosen: Sequence[int]
) -> Iterator[tuple[str, bytes]]:
    for path, content in assets.files().items():
        if path != assets.INDEX:
            yield f"static/{path}", _SOURCE if path == SOURCE else content
    state = {**pages.state(), "links": {}, "exported_at": time.time(), "error": ""}
    for name, document in {"state": state, **views}.items():
        yield f"data/{name}.js", _script(name, msgspec.json.encode(document))
    document = base64.b64encode(_with_neighbours(snapshot, chosen).document())
    yield "data/pool.js", _script("pool", b'"' + document + b'"')


def _script(name: str, value: bytes) -> bytes:
    return f'octospoon.arrived("{name}", '.encode() + value + b");\n"


def _with_neighbours(snapshot: Snapshot, chosen: Sequence[int]) -> Snapshot:
    """Return the snapshot with the nearest images of the chosen ones, int32 [N, NEIGHBOURS], else -1."""
    near = np.full((len(snapshot.keys), NEIGHBOURS), -1, np.int32)
    known = np.array([i for i in chosen if np.isfinite(snapshot.reduced[i]).all()], np.int64)
    for i in known.tolist():
        closest = known[nearest(snapshot.reduced[i : i + 1], snapshot.reduced[known], NEIGHBOURS + 1)[0]]
        others = closest[closest != i][:NEIGHBOURS]
        near[i, : len(others)] = others
    return replace(snapshot, columns={**snapshot.columns, "near": near})


def _thumbnails(pages: Pages, snapshot: Snapshot, chosen: Sequence[int], folder: Path) -> int:
    """Write the thumbnails; return how many images can be shown."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [image_id(snapshot.keys[i], snapshot.etags[i]) for i in chosen]

    def write(name: str) -> bool:
        try:
            data = pages.thumbnail(name, "small")
        except BadImage:
            return False
        if data is None:
            return False
        (folder / f"{name}.jpg").write_bytes(data)
        return True

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return sum(threads.map(write, names))


def _index() -> bytes:
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    return assets.files()[assets.INDEX].replace(b"<head>", f"<head>\n  {policy}".encode(), 1)
