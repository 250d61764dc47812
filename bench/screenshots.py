"""Take the screenshots of the page that the documentation shows: the loop runs first, on real images.

    python -m bench.screenshots NAME [--images DIR] [--most 900] [--rounds 4] [--out docs/img] [--export DIR]

The images are scikit-learn's digits, or those of a folder with one folder for each class. A simulated
annotator labels each round, and models are trained, on a local stack of its own. The files are
`page-NAME-VIEW.webp` of the wide views and `page-NAME-narrow.webp` of all views on a phone. `--export` also
writes the static export.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from bench.page import chromium, served
from PIL import Image

from octospoon.cli.datasets import digits
from octospoon.cli.demo.oracle import annotate
from octospoon.cli.failures import sentence
from octospoon.cli.local.assemble import assemble
from octospoon.cli.operations import run_now
from octospoon.cli.operations.ui import backend
from octospoon.cli.operations.upload import run_all
from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack import start
from octospoon.domain.pool.keys import SHARDS
from octospoon.domain.training.jobs import JobStatus
from octospoon.runtime.aws import CLOCK
from octospoon.ui.export import export
from octospoon.ui.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from octospoon.cli.local.assemble import LocalStack

ROOT = Path(__file__).parents[1]
PARAMETERS = {"RankTriggers": "schedule", "FirstBatchSize": "50", "BatchSize": "50", "ControlShare": "0.2"}
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
TALLEST = 1500
"""Pixels of a wide screenshot at most; a longer view is cut."""
LASSO = 75
"""Pixels from the middle of the lasso to its edge."""
QUALITY = 72
BROKEN = {"broken/report.png": b"not an image", "broken/empty.jpg": b""}
VIEWS = ("map", "batch", "next", "image", "model", "watch")
READY = {
    "map": ".legend li, .legend .bar",
    "batch": ".card img",
    "next": ".card img",
    "image": ".timeline",
    "model": "svg[role=img]",
    "watch": "svg[role=img]",
}


@dataclass(frozen=True, slots=True)
class Images:
    """Labelled images: files and labels by key, and the classes."""

    files: dict[str, bytes]
    labels: dict[str, str]
    classes: tuple[str, ...]


def of_digits(most: int) -> Images:
    keys = {f"digits/{index:04d}.png": index for index in range(min(most, len(digits.labels())))}
    labels = digits.labels()
    return Images(
        {key: digits.png_bytes(index) for key, index in keys.items()},
        {key: digits.CLASSES[labels[index]] for key, index in keys.items()},
        digits.CLASSES,
    )


def of_folder(folder: Path, most: int) -> Images:
    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    chosen = sorted(np.random.default_rng(0).permutation(len(paths))[:most].tolist())
    labels = {f"photos/{paths[i].name}": paths[i].parent.name for i in chosen}
    files = {f"photos/{paths[i].name}": paths[i].read_bytes() for i in chosen}
    return Images(files, labels, tuple(sorted(set(labels.values()))))


def run_loop(stack: LocalStack, images: Images, rounds: int) -> None:
    """Upload the images, and label and train that many times; then measure the newest model."""
    client, bucket = stack.deployment.client("s3"), stack.project.outputs["ImagesBucket"]
    files = {**images.files, **BROKEN}

    def put(key: str) -> None:
        client.put_object(Bucket=bucket, Key=key, Body=files[key])

    run_all(put, sorted(files), "Uploading")
    report = stack.deployment.pool_report
    wait_for(
        "the uploads to be scored",
        lambda: sum(report.counts().values()) == len(files) or None,
        seconds=600,
        interval=2,
    )
    for number in range(1, rounds + 1):
        label_round(stack, images, number)
        print(f"round {number} is labelled and trained on")
    run_now.watch(stack.deployment)


def label_round(stack: LocalStack, images: Images, number: int) -> None:
    deployment = stack.deployment
    run_now.rank(deployment)
    round_ = deployment.rounds.read(number)
    assert round_ is not None
    tasks = deployment.labeler(stack.label_studio).find({pick.key: pick.etag for pick in round_.picks})
    for pick in round_.picks:
        annotate(stack.label_studio, tasks[pick.key], images.labels[pick.key])

    def trained() -> bool | None:
        state = deployment.control.state()
        assert state.status is not JobStatus.FAILED, state.reason
        return True if state.jobs >= number and state.status is JobStatus.IDLE else None

    wait_for(f"training job {number}", trained, seconds=300)
    pointer = deployment.champions.pointer()
    assert pointer is not None
    done = (pointer[0].version, SHARDS)
    wait_for("re-scoring", lambda: True if deployment.rescoring.progress() == done else None, seconds=300)


class Camera:
    """Takes screenshots of a page.

    Args:
        browser: Playwright's browser.
        address: of the page, with the token or of an export.
        key: of the image that the view Image shows.
    """

    def __init__(self, browser: Any, address: str, key: str) -> None:
        self._browser, self._address = browser, address
        self._hashes = {view: f"/{view}" for view in VIEWS} | {"image": f"/image/{quote(key, safe='')}"}

    def shots(
        self, viewport: dict[str, int], scheme: str, *, whole: bool
    ) -> Iterator[tuple[str, Image.Image]]:
        """Yield the screenshot of each view; `whole` has all of it up to `TALLEST` pixels."""
        context = self._browser.new_context(viewport=viewport, color_scheme=scheme)
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.goto(self._address)
        for view in VIEWS:
            page.evaluate("address => { location.hash = address; }", self._hashes[view])
            page.wait_for_selector(READY[view])
            if view == "map" and whole:
                lasso(page)
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(1500)  # the map is drawn after its legend, and figures are read again
            if (newer := page.get_by_role("button", name="Show it", exact=True)).is_visible():
                newer.click()
            height = min(TALLEST, page.evaluate("document.documentElement.scrollHeight"))
            if whole and view not in ("map", "next"):
                page.set_viewport_size({**viewport, "height": max(viewport["height"], height)})
                page.wait_for_timeout(500)
                page.wait_for_load_state("networkidle")
            yield view, Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            page.set_viewport_size(viewport)
        context.close()


def lasso(page: Any) -> None:
    """Select the images around the one that has the most neighbours on the map."""
    box = page.locator(".map").bounding_box()
    page.wait_for_timeout(1500)
    places = np.array(page.evaluate("octospoon.pool().then((pool) => [...pool.columns.place])")).reshape(
        -1, 2
    )
    places = places[np.isfinite(places).all(axis=1)]
    size = (places.max(axis=0) - places.min(axis=0)) / 0.92  # the map shows everything, and a margin
    scale = min(box["width"] / size[0], box["height"] / size[1])
    centre = np.array([box["width"], box["height"]]) / 2
    at = (places - (places.max(axis=0) + places.min(axis=0)) / 2) * [scale, -scale] + centre
    near = np.linalg.norm(at[:, np.newaxis] - at, axis=2) < LASSO
    middle = at[near[near.sum(axis=1).argmax()]].mean(axis=0)
    page.keyboard.press("l")
    for i, angle in enumerate(np.linspace(0, 2 * np.pi, 24)):
        x, y = middle + LASSO * np.array([np.cos(angle), np.sin(angle)])
        page.mouse.move(box["x"] + x, box["y"] + y, steps=2)
        if i == 0:
            page.mouse.down()
    page.mouse.up()
    page.keyboard.press("l")


def beside(shots: list[Image.Image], gap: int = 24) -> Image.Image:
    """Return screenshots of one height side by side."""
    width = sum(shot.width for shot in shots) + gap * (len(shots) - 1)
    result = Image.new("RGB", (width, shots[0].height), (127, 127, 127))
    at = 0
    for shot in shots:
        result.paste(shot, (at, 0))
        at += shot.width + gap
    return result


def take(address: str, name: str, key: str, out: Path, schemes: tuple[str, str]) -> None:
    """Write all screenshots of a page; `schemes` are the themes of the wide and of the narrow ones."""
    out.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        camera = Camera(browser, address, key)
        for view, shot in camera.shots(WIDE, schemes[0], whole=True):
            shot.save(out / f"page-{name}-{view}.webp", quality=QUALITY, method=6)
        narrow = [shot for _, shot in camera.shots(NARROW, schemes[1], whole=False)]
        beside(narrow).save(out / f"page-{name}-narrow.webp", quality=QUALITY, method=6)
    for path in sorted(out.glob(f"page-{name}-*.webp")):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--most", type=int, default=900)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/img")
    parser.add_argument("--export", type=Path)
    chosen = parser.parse_args()
    images = of_folder(chosen.images, chosen.most) if chosen.images else of_digits(chosen.most)
    schemes = ("light", "dark") if chosen.images else ("dark", "light")
    with (
        start(ROOT, progress=print, fresh=True, name="screenshots") as servers,
        tempfile.TemporaryDirectory() as folder,
    ):
        stack = assemble(servers, images.classes, print, PARAMETERS)
        run_loop(stack, images, chosen.rounds)
        pages = Pages(backend(stack.deployment, Path(folder)), CLOCK)
        pages.pool.refresh()
        for document in pages.documents.values():
            document.now()
        last = stack.deployment.rounds.read(chosen.rounds)
        assert last is not None
        if chosen.export:
            export(pages, chosen.export)
        with served(pages, sentence, port=None) as address:  # where the links of runs lead
            take(address, chosen.name, last.picks[0].key, chosen.out, schemes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
