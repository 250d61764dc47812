"""A person corrects predicted boxes in the real Label Studio, and octospoon reads what they drew."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from browser.test_loop import sign_in, stores
from PIL import Image, ImageDraw

from octospoon.adapters.label_studio.api import LabelStudio
from octospoon.adapters.label_studio.rectangle_labels import RectangleLabels
from octospoon.adapters.label_studio.results import prediction
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.task_types.detection.label import Boxes

if TYPE_CHECKING:
    from browser.conftest import Tab

    from octospoon.cli.local.assemble import LocalStack
    from octospoon.domain.labelling.answers import Answer

pytestmark = pytest.mark.stack
CONTROL = RectangleLabels()
CLASSES = ClassHistory(("cat", "dog")).rename("cat", "kitten", 1.0)
RED, BLUE = (0.25, 0.25, 0.5, 0.75), (0.625, 0.125, 0.875, 0.375)
PREDICTED = Boxes().read('[["dog",0.625,0.125,0.875,0.375],["kitten",0.25,0.25,0.5,0.75]]')
ORIENTATION, TURNED = 0x0112, 6
WINDOW = {"width": 1600, "height": 1000}
"""Large enough for the whole image: in a smaller one, Label Studio shows a part of it."""


class Project(NamedTuple):
    """A project in Label Studio with boxes, and its tasks by the key of their image."""

    labeler: LabelStudio
    tasks: dict[str, int]

    def read(self, key: str) -> tuple[Answer, list[dict[str, Any]]]:
        """Return the answer for an image as octospoon reads it, and the result as Label Studio stores it."""
        (task,) = self.labeler.tasks_of([key])
        (annotation,) = task.annotations
        stored = self.labeler.api.call("GET", f"/api/tasks/{self.tasks[key]}")["annotations"][0]["result"]
        return CONTROL.read(annotation.result, CLASSES), stored


def drawing(*, turned: bool) -> bytes:
    """Return an image with a red and a blue rectangle; if asked, as a JPEG that its EXIF data turns."""
    image = Image.new("RGB", (640, 480), "white")
    pen, file = ImageDraw.Draw(image), io.BytesIO()
    for colour, (x1, y1, x2, y2) in (("red", RED), ("blue", BLUE)):
        pen.rectangle((640 * x1, 480 * y1, 640 * x2, 480 * y2), fill=colour)
    if turned:
        exif = Image.Exif()
        exif[ORIENTATION] = TURNED
        image.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", exif=exif)
    else:
        image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def project(stack: LocalStack) -> Project:
    api = stack.label_studio
    config = CONTROL.written(["kitten", "dog"], {"kitten": "cat"})
    made = api.call("POST", "/api/projects", json={"title": "boxes", "label_config": config})
    assert CONTROL.wrote(made["label_config"], CLASSES)
    path, tasks = f"/api/projects/{made['id']}", {}
    for key, turned in (("moved.png", False), ("none.png", False), ("turned.jpg", True)):
        uploaded = {"file": (key, drawing(turned=turned))}
        answer = api.call("POST", f"{path}/import?return_task_ids=true", files=uploaded)
        (tasks[key],) = answer["task_ids"]
        (image,) = api.call("GET", f"/api/tasks/{tasks[key]}")["data"].values()
        data = {"image": image, "key": key, "etag": "e"}
        api.call("PATCH", f"/api/tasks/{tasks[key]}", json={"data": data})
    guess = prediction(CONTROL, Boxes().write(PREDICTED), 0.7, "v1", CONTROL.parsed(config).stored)
    assert guess is not None
    body = [{"task": task} | guess for task in tasks.values()]
    assert api.call("POST", f"{path}/import/predictions", json=body) == {"created": len(tasks)}
    api.call("PATCH", path, json={"model_version": "v1"})
    return Project(LabelStudio(api, made["id"], CONTROL), tasks)


class Editor:
    """Label Studio's editor with a task: places are shares of the image.

    Args:
        stack: whose Label Studio it is.
        tab: signed in.
        project: of the task.
        key: of its image.
    """

    def __init__(self, stack: LocalStack, tab: Tab, project: Project, key: str) -> None:
        self._page, self._task = tab.page, project.tasks[key]
        number = project.labeler.number
        self._page.goto(f"{stack.servers.label_studio_url}/projects/{number}/data?task={self._task}")
        self._page.locator(".konvajs-content canvas").first.wait_for()
        self._page.get_by_text("kitten").nth(1).wait_for()  # beside its button, the predicted box is listed
        self._page.wait_for_timeout(1000)  # the image is drawn

    def _at(self, x: float, y: float) -> tuple[float, float]:
        image = self._page.locator("img[src^='blob:']").first.bounding_box()
        return image["x"] + x * image["width"], image["y"] + y * image["height"]

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, move and release the mouse."""
        middle = (begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2
        self._page.mouse.move(*self._at(*begin))
        self._page.mouse.down()
        for place in (middle, end):
            self._page.mouse.move(*self._at(*place), steps=8)
        self._page.mouse.up()

    def click(self, x: float, y: float) -> None:
        """Select a box."""
        self._page.mouse.click(*self._at(x, y))

    def press(self, key: str) -> None:
        """Press a key."""
        self._page.keyboard.press(key)

    def submit(self) -> None:
        """Submit the annotation."""
        with self._page.expect_response(lambda answered: stores(answered, self._task)) as answered:
            self._page.get_by_role("button", name="Submit").first.click()
        assert answered.value.ok


def same(read: Answer, stored: list[dict[str, Any]]) -> bool:
    """Return whether the boxes that octospoon reads are Label Studio's, to 1e-6 of the side."""
    sides = [[region["value"][side] / 100 for side in ("x", "y", "width", "height")] for region in stored]
    expected = sorted((x, y, x + width, y + height) for x, y, width, height in sides)
    given = sorted(box[1:] for box in Boxes().read(read.label or ""))
    return given == [pytest.approx(box, abs=1e-6) for box in expected]


def test_a_moved_box_is_read_where_it_is(stack: LocalStack, project: Project, tab: Any) -> None:
    opened = tab(stack.servers.label_studio_url, WINDOW)
    sign_in(stack, opened)
    editor = Editor(stack, opened, project, "moved.png")

    editor.click(0.375, 0.5)
    editor.drag((0.375, 0.5), (0.475, 0.55))
    editor.submit()

    read, stored = project.read("moved.png")
    assert same(read, stored)
    moved, kept = Boxes().read(read.label or "")
    assert moved.name == "cat", "the class by its first name"
    assert moved[1:] == pytest.approx((0.35, 0.3, 0.6, 0.8), abs=0.01)
    assert kept == PREDICTED[0], "what nobody touched is as it was predicted"


def test_deleted_boxes_leave_an_image_without_objects(stack: LocalStack, project: Project, tab: Any) -> None:
    opened = tab(stack.servers.label_studio_url, WINDOW)
    sign_in(stack, opened)
    editor = Editor(stack, opened, project, "none.png")

    for x, y in ((0.375, 0.5), (0.75, 0.25)):
        editor.click(x, y)
        editor.press("Backspace")
    editor.submit()

    read, stored = project.read("none.png")
    assert stored == []
    assert (read.label, read.problem) == ("[]", "")


def test_a_turned_image_is_labelled_as_it_is_shown(stack: LocalStack, project: Project, tab: Any) -> None:
    opened = tab(stack.servers.label_studio_url, WINDOW)
    sign_in(stack, opened)
    editor = Editor(stack, opened, project, "turned.jpg")

    editor.press("2")
    editor.drag((0.05, 0.8), (0.2, 0.95))
    editor.submit()

    read, stored = project.read("turned.jpg")
    assert same(read, stored)
    assert {(region["original_width"], region["original_height"]) for region in stored} == {(640, 480)}
    cat, drawn, dog = Boxes().read(read.label or "")
    assert (cat[1:], dog[1:]) == (RED, BLUE)
    assert drawn.name == "dog"
    assert drawn[1:] == pytest.approx((0.05, 0.8, 0.2, 0.95), abs=0.01)
