"""The routes of the page over a deployment in memory."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.page import CLASSES, PageWorld
from PIL import Image
from unit.ui.browser import Client

from octospoon.domain.labelling.consensus import Consensus
from octospoon.domain.labelling.manual import MANUAL
from octospoon.domain.pool.images import RETIRED, State
from octospoon.domain.pool.keys import image_id
from octospoon.ui import assets
from octospoon.ui.packing import unpack
from octospoon.ui.pages import Pages
from octospoon.ui.server import application

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = '../../<img src=x onerror=alert(1)>\n"; =cmd|.png'
FORBIDDEN = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=")


class Page:
    """The application over a world, after its pool was read."""

    def __init__(self, folder: Path, *, images: int = 30, read: bool = True) -> None:
        self.fake = PageWorld(folder, images)
        self.pages = Pages(self.fake.backend(), self.fake.world.clock)
        if read:
            self.pages.pool.refresh()
            assert self.pages.pool.progress.error == ""
        self.client = Client(application(self.pages, str), "http://127.0.0.1:8188")
        self.pool = self.fake.world.pool

    def act(self, name: str, keys: list[str]):
        return self.client.post(f"/do/{name}", json={"keys": keys})

    def label(self, key: str) -> None:
        self.fake.world.resolve(key, Consensus(key.partition("/")[0], 1.0, 1))


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path)


def test_the_pool_arrives_with_every_column(page: Page) -> None:
    header, arrays = unpack(page.client.get("/data/pool").content)
    assert sorted(header["keys"]) == sorted(page.pool.table)
    assert header["ids"] == [image_id(key, f"etag-{key}") for key in header["keys"]]
    assert header["counts"]["scored"] == header["total"] == 30
    predicted = [header["classes"][i] for i in arrays["predicted"]]
    assert predicted == [key.partition("/")[0] for key in header["keys"]]
    assert arrays["confidence"] == pytest.approx(np.full(30, 0.9), abs=1e-3)
    assert arrays["place"].shape == (30, 2)
    assert np.isfinite(arrays["place"]).all()
    assert header["method"] == "components"


def test_before_the_first_read_there_is_no_pool(tmp_path: Path) -> None:
    page = Page(tmp_path, read=False)
    assert page.client.get("/data/pool").status_code == 204
    state = page.client.get("/data/state").json()
    assert (state["snapshot"], state["read_at"], state["total"]) == (0, None, 0)


def test_an_empty_pool_without_a_model_is_shown(tmp_path: Path) -> None:
    page = Page(tmp_path, images=0)
    header, arrays = unpack(page.client.get("/data/pool").content)
    assert (header["keys"], header["model_version"], len(arrays["state"])) == ([], None, 0)
    assert page.client.get("/data/batch").json() == {"error": "there is no round yet"}
    assert "no model" in page.client.get("/data/preview").json()["error"]


def test_a_round_says_why_each_image_was_chosen(page: Page) -> None:
    page.fake.rank()()
    batch = page.client.get("/data/batch").json()
    assert (batch["number"], batch["last"], len(batch["images"])) == (1, 1, 10)
    audit = [each for each in batch["images"] if each["audit"]]
    chosen = [each for each in batch["images"] if not each["audit"]]
    assert len(audit) == 2
    assert all("at random" in each["why"] for each in audit)
    assert all(each["why"].startswith("Chosen by the strategy margin. Its score is") for each in chosen)
    assert page.client.get("/data/batch?round=1").json() == batch
    assert page.client.get("/data/batch?round=2").json() == {"error": "there is no round 2"}
    assert page.client.get("/data/batch?round=-1").status_code == 400


def test_a_blind_prediction_is_hidden_until_there_is_an_answer(page: Page) -> None:
    page.fake.rank()()
    blind = [each for each in page.client.get("/data/batch").json()["images"] if each["blind"]]
    assert len(blind) == 4
    assert {each["predicted"] for each in blind} == {None}

    page.label(blind[0]["key"])

    images = {each["key"]: each for each in page.client.get("/data/batch").json()["images"]}
    assert images[blind[0]["key"]]["predicted"] in CLASSES
    assert images[blind[1]["key"]]["predicted"] is None


def test_nearest_labelled_images_are_labelled_and_alike(page: Page) -> None:
    page.fake.rank()()
    labelled = [pick.key for pick in page.fake.world.rounds.read(1).picks][:6]
    for key in labelled:
        page.label(key)
    page.pages.pool.refresh()
    for each in page.client.get("/data/batch").json()["images"]:
        near = [other["key"] for other in each["nearest"]]
        assert len(near) == 3
        assert set(near) <= set(labelled) - {each["key"]}


def test_a_preview_stores_nothing(page: Page) -> None:
    preview = page.client.get("/data/preview").json()
    assert (preview["number"], len(preview["images"])) == (1, 10)
    assert page.fake.world.rounds.last_number() == 0
    assert {row.state for row in page.pool.table.values()} == {State.SCORED}
    page.fake.rank()()
    assert [each["key"] for each in preview["images"]] == [
        each["key"] for each in page.client.get("/data/batch").json()["images"]
    ]


def test_an_image_shows_its_story_and_its_nearest_images(page: Page) -> None:
    document = page.client.get("/data/image", params={"key": "cat/00000.png"}).json()
    assert document["trace"]["timeline"][0]["what"] == "uploaded"
    assert len(document["nearest"]) == 12
    assert [each["key"].partition("/")[0] for each in document["nearest"][:9]] == ["cat"] * 9
    distances = [each["distance"] for each in document["nearest"]]
    assert distances == sorted(distances)
    assert not any(each["near_copy"] for each in document["nearest"])


def test_near_copies_are_found(page: Page) -> None:
    vector = page.pool.table["cat/00000.png"].prediction.embedding
    page.fake.add("copy.png", vector * 1.001, 0)
    page.pages.pool.refresh()
    document = page.client.get("/data/image", params={"key": "copy.png"}).json()
    copies = [each["key"] for each in document["nearest"] if each["near_copy"]]
    assert copies == ["cat/00000.png"]


def test_a_selection_becomes_a_round_that_is_marked_as_manual(page: Page) -> None:
    keys = ["owl/00002.png", "cat/00000.png"]
    report = page.act("label", keys).json()
    assert report == {"round": 1, "images": 2, "left": 0, "exported": 2, "reason": ""}
    picks = page.fake.world.rounds.read(1).picks
    assert [pick.key for pick in picks] == keys
    assert {(pick.strategy, pick.audit, pick.draw_probability) for pick in picks} == {(MANUAL, False, None)}
    assert {page.pool.table[key].state for key in keys} == {State.EXPORTED}
    images = page.client.get("/data/batch").json()["images"]
    assert all("not drawn at random" in each["why"] for each in images)


def test_retired_images_are_chosen_by_no_round_until_restored(page: Page) -> None:
    keys = [key for key in page.pool.table if not key.startswith("owl")]
    assert page.act("retire", keys).json() == {"moved": 20, "left": 0}
    page.pages.pool.refresh()
    preview = page.client.get("/data/preview").json()["images"]
    assert {each["key"].partition("/")[0] for each in preview} == {"owl"}
    header, arrays = unpack(page.client.get("/data/pool").content)
    retired = [key for key, at in zip(header["keys"], arrays["reason"], strict=True) if at >= 0]
    assert (sorted(retired), header["reasons"]) == (sorted(keys), [RETIRED])
    assert np.isfinite(arrays["place"]).all()

    assert page.act("restore", [*keys, "owl/00002.png"]).json() == {"moved": 20, "left": 1}
    assert {row.state for row in page.pool.table.values()} == {State.SCORED}


def test_labelled_images_are_not_retired(page: Page) -> None:
    page.fake.rank()()
    key = page.fake.world.rounds.read(1).picks[0].key
    assert page.act("retire", [key]).json() == {"moved": 0, "left": 1}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"keys": 3}',
        b'{"keys": [3]}',
        b'{"keys": [], "more": 1}',
        b"\xff\xfe",
        b'{"keys": []}',
    ],
)
def test_a_body_that_is_no_selection_is_refused(page: Page, body: bytes) -> None:
    answer = page.client.post("/do/retire", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_too_many_images_are_refused(page: Page) -> None:
    assert "at most 500" in page.act("label", [f"k{i}" for i in range(501)]).json()["error"]
    assert "at most 20,000" in page.act("retire", ["k"] * 20_001).json()["error"]


def test_thumbnails_are_new_jpeg_files(page: Page) -> None:
    image = image_id("cat/00000.png", "etag-cat/00000.png")
    answer = page.client.get(f"/thumbnails/small/{image}.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).format == "JPEG"


@pytest.mark.parametrize(
    "path",
    [
        "/thumbnails/small/0000000000000000.jpg",
        "/thumbnails/huge/{image}.jpg",
        "/thumbnails/small/..%2F..%2Fpool.jpg",
        "/thumbnails/../pool",
        "/static/../pages.py",
        "/static/%2e%2e/pages.py",
        "/static/..%2Fpages.py",
        "/static//etc/passwd",
        "/static/js",
        "/static/js/",
        "/static/.%00./pages.py",
        "/static/JS/map.js",
    ],
)
def test_no_path_reaches_another_file(page: Page, path: str) -> None:
    answer = page.client.get(path.format(image=image_id("cat/00000.png", "etag-cat/00000.png")))
    assert answer.status_code == 404
    assert b"import" not in answer.content


def test_hostile_keys_and_names_stay_data(page: Page) -> None:
    page.fake.add(HOSTILE, np.zeros(16, np.float32), 0, b"<svg onload=alert(1)>")
    page.pages.pool.refresh()
    header, _ = unpack(page.client.get("/data/pool").content)
    assert HOSTILE in header["keys"]
    answer = page.client.get("/data/image", params={"key": HOSTILE})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["trace"]["key"] == HOSTILE
    refused = page.client.get(f"/thumbnails/small/{image_id(HOSTILE, f'etag-{HOSTILE}')}.jpg")
    assert refused.status_code == 404
    assert b"svg" not in refused.content


def test_an_unknown_image_is_an_error_in_words(page: Page) -> None:
    assert page.client.get("/data/image", params={"key": ""}).status_code == 400


def test_every_file_of_the_page_is_served(page: Page) -> None:
    for path, content in assets.files().items():
        answer = page.client.get(f"/static/{path}")
        assert (answer.status_code, answer.content) == (200, content)
    index = assets.files()["index.html"].decode()
    assert page.client.get("/").text == index


def test_the_page_names_only_its_own_files() -> None:
    files = {path: content.decode() for path, content in assets.files().items()}
    index = files["index.html"]
    named = {part.partition('"')[0] for part in index.split("static/")[1:]}
    assert {name for name in assets.files() if name.endswith((".js", ".css", ".svg"))} == named
    for path, text in files.items():
        for forbidden in FORBIDDEN:
            assert forbidden not in text, path
    assert "<script>" not in index
    assert "//" not in index.replace("<!--", "")
