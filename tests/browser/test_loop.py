"""From a lasso to ten tasks in Label Studio to a trained model, by browser alone, on the real local stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pytest
from bench.page import served
from conftest import BATCH
from e2e import helpers
from e2e.helpers import digit_label, digit_pictures, job_done, serving, task_ids, upload

from octospoon.cli.failures import sentence
from octospoon.cli.operations.ui import backend
from octospoon.domain.labelling.manual import MANUAL
from octospoon.domain.pool.images import State
from octospoon.runtime.aws import CLOCK
from octospoon.ui.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from browser.conftest import Tab

    from octospoon.cli.local.assemble import LocalStack

pytestmark = pytest.mark.stack
IMAGES = range(300, 360)


@pytest.fixture(scope="module")
def page(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pages, str]]:
    """The page over the stack, which holds scored images."""
    helpers.scored(stack.deployment, upload(stack.deployment, digit_pictures("page/", IMAGES)))
    folder: Path = tmp_path_factory.mktemp("page")
    pages = Pages(backend(stack.deployment, folder), CLOCK)
    pages.pool.refresh()
    assert pages.pool.progress.error == ""
    with served(pages, sentence) as address:
        yield pages, address


def around_lowest(pages: Pages, tab: Tab, n: int) -> tuple[float, float]:
    """Return the edges on the screen, in pixels, of the n selectable images lowest on the map."""
    snapshot = pages.pool.snapshot
    assert snapshot is not None
    places = snapshot.columns["place"]
    x, y = places[:, 0], places[:, 1]
    box = tab.page.locator(".map").bounding_box()
    width, height = np.nanmax(x) - np.nanmin(x), np.nanmax(y) - np.nanmin(y)
    scale = 0.92 * min(box["width"] / width, box["height"] / height)
    free = snapshot.columns["state"] == list(State).index(State.SCORED)
    screen = box["y"] + box["height"] / 2 - (y - (np.nanmin(y) + np.nanmax(y)) / 2) * scale
    order = np.sort(screen[free & np.isfinite(screen)])[::-1]
    return float(order[n - 1] + order[n]) / 2, float(order[0]) + 4


def draw(tab: Tab, top: float, bottom: float) -> None:
    box = tab.page.locator(".map").bounding_box()
    left, right = box["x"] + 2, box["x"] + box["width"] - 2
    tab.page.keyboard.press("l")
    tab.page.mouse.move(left, top)
    tab.page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom)):
        tab.page.mouse.move(x, y, steps=5)
    tab.page.mouse.up()


def sign_in(stack: LocalStack, tab: Tab) -> None:
    credentials = stack.servers.credentials
    tab.page.goto(f"{stack.servers.label_studio_url}/user/login/")
    tab.page.locator("input[name=email]").fill(credentials.email)
    tab.page.locator("input[name=password]").fill(credentials.password)
    tab.page.locator("button[type=submit]").first.click()
    tab.page.wait_for_url(lambda address: "login" not in address)


def stores(answered: Any, task: int) -> bool:
    """Return whether a response is that to a new annotation of a task."""
    path = f"/api/tasks/{task}/annotations"
    return answered.request.method == "POST" and path in answered.url


def answer(stack: LocalStack, tab: Tab, task: int, label: str) -> None:
    """Choose a class for a task in Label Studio, and submit."""
    project = stack.project.label_studio_project
    tab.page.goto(f"{stack.servers.label_studio_url}/projects/{project}/data?task={quote(str(task))}")
    tab.page.locator(".lsf-choices label, .lsf-choice").filter(has_text=label).first.click()
    with tab.page.expect_response(lambda answered: stores(answered, task)) as answered:
        tab.page.get_by_role("button", name="Submit").click()
    assert answered.value.ok


def test_a_lasso_becomes_tasks_and_a_trained_model(
    stack: LocalStack, page: tuple[Pages, str], tab: Any
) -> None:
    pages, address = page
    deployment, jobs = stack.deployment, stack.deployment.control.state().jobs
    opened = tab(address)
    opened.go("/map?colour=state", "Pool")
    opened.page.locator(".map .lasso").wait_for(state="attached")
    draw(opened, *around_lowest(pages, opened, BATCH))
    opened.page.get_by_role("button", name=f"Label {BATCH}", exact=True).click()
    opened.page.get_by_role("button", name="Send").click()
    opened.page.get_by_text(f"{BATCH} images were sent to the annotators").wait_for()
    opened.page.get_by_role("link", name="Show the round").click()
    opened.page.get_by_role("heading", name="Round ").wait_for()

    round_ = deployment.rounds.read(deployment.rounds.last_number())
    assert round_ is not None
    assert len(round_.picks) == BATCH
    assert {(pick.strategy, pick.audit) for pick in round_.picks} == {(MANUAL, False)}
    tasks = task_ids(stack, round_)
    assert len(tasks) == BATCH

    annotator = tab(f"{stack.servers.label_studio_url}/user/login/")
    sign_in(stack, annotator)
    for pick in round_.picks:
        answer(stack, annotator, tasks[pick.key], digit_label(pick.key))

    job_done(deployment, jobs + 1)
    opened.page.reload()
    opened.page.get_by_text(f"{BATCH} labelled so far").wait_for()
    assert serving(deployment).version >= 0
    opened.go("/next", "Next round")
    opened.go(f"/image/{quote(round_.picks[0].key, safe='')}", round_.picks[0].key)
    story = opened.page.locator(".timeline").inner_text()
    for event in ("uploaded", "scored", "chosen", "exported", "annotated", "label settled", "trained on"):
        assert event in story
