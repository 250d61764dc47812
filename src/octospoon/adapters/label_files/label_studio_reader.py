"""Read labels from Label Studio's exports ``JSON`` and ``JSON_MIN``; its ``CSV`` is read as any CSV."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from octospoon.adapters.label_files.boxes import regions
from octospoon.adapters.label_files.csv_reader import LABELS
from octospoon.adapters.label_files.json_stream import elements
from octospoon.adapters.label_files.rows import NO_IMAGE, NO_LABEL, SEVERAL, LabelRow
from octospoon.adapters.label_studio.choices import choices_by_control
from octospoon.adapters.label_studio.interface import FROM_NAME
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.labelling.tasks import UNKNOWN_ANNOTATOR, Annotation
from octospoon.domain.task_types.multilabel.label import ClassNames
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from octospoon.domain.task_types.task_type import TaskType

_UPLOADED = re.compile(r"^/?data/upload/\d+/(?:[0-9a-f]{8}-)?(?P<name>.+)$")
_LOCAL = "/data/local-files/"
_ABOUT_TASKS = frozenset(("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"))
NO_BOXES = "without a list of boxes"
_WAITING = "that nobody has answered"


def read(path: Path, control: str, task_type: TaskType) -> Iterator[LabelRow]:
    """Yield a row for each task, with the label on which its annotators agree.

    Args:
        path: of the file.
        control: name of the control with the classes; empty for octospoon's own, or the only one of a task.
        task_type: the kind of label.

    Raises:
        BadRequest: the file is not an export of Label Studio.
    """
    for number, (name, task) in enumerate(elements(path), 1):
        if name or not isinstance(task, dict):
            raise BadRequest(f"{path} is not an export of Label Studio, which is a list of tasks")
        data = task.get("data")
        if isinstance(data, dict):
            yield _of_task(f"task {task.get('id', number)}", data, task, control, task_type)
        else:
            yield _of_flat(f"task {task.get('id', number)}", task, control, task_type)


def _of_task(
    place: str, data: Mapping[str, Any], task: Mapping[str, Any], control: str, task_type: TaskType
) -> LabelRow:
    image, key = _image(data), data.get("key")
    if not image:
        return LabelRow(place, "", problem=NO_IMAGE)
    if not (given := _given(task)):
        return LabelRow(place, image, problem=_WAITING)
    reader = _boxes if task_type.name == TaskTypeName.DETECTION else _choices
    answers = [reader(body, control, task_type, place) for body in given]
    votes = [
        _vote(body, i, answer.label) for i, (body, answer) in enumerate(zip(given, answers, strict=True))
    ]
    label = (task_type.consensus(votes, ClassHistory()).label or "").strip()
    etag = data.get("etag")
    return LabelRow(
        place,
        image,
        label,
        "" if label else answers[0].problem,
        key if isinstance(key, str) else "",
        etag if isinstance(etag, str) else "",
        left_out=tuple(part for answer in answers for part in answer.left_out),
    )


def _given(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the answers of a task."""
    bodies = task.get("annotations", task.get("completions"))
    return [body for body in bodies or () if isinstance(body, dict) and not body.get("was_cancelled")]


def _boxes(body: Mapping[str, Any], control: str, task_type: TaskType, place: str) -> regions.Read:
    del task_type
    result = body.get("result")
    return regions.read(result if isinstance(result, list) else (), control, place)


def _choices(body: Mapping[str, Any], control: str, task_type: TaskType, place: str) -> regions.Read:
    """Return the classes of one answer, or why there are none."""
    del place
    result = body.get("result")
    names, problem = _names(result, control)
    elsewhere = bool(result) and not (isinstance(result, list) and choices_by_control(result))
    label = None if problem or elsewhere else _label(names, task_type)
    return regions.Read(label, problem or (SEVERAL if names else NO_LABEL))


def _label(names: set[str], task_type: TaskType) -> str | None:
    """Return the label that these choices mean; None if they mean none."""
    if task_type.name == TaskTypeName.MULTILABEL:
        return ClassNames().write(frozenset(name.strip() for name in names))
    return next(iter(names)) if len(names) == 1 else None


def _vote(body: Mapping[str, Any], number: int, label: str | None) -> Annotation:
    person = body.get("completed_by")
    if isinstance(person, dict):
        person = person.get("id")
    annotator = UNKNOWN_ANNOTATOR if person is None else str(person)
    return Annotation("", "", str(number), number, str(body.get("updated_at", "")), annotator, label)


def _names(result: Any, control: str) -> tuple[set[str], str]:  # noqa: ANN401 - JSON
    """Return the classes in one answer, and why there is none if several controls could mean it."""
    controls = choices_by_control(result if isinstance(result, list) else ())
    if control:
        return controls.get(control, set()), ""
    if FROM_NAME in controls:
        return controls[FROM_NAME], ""
    if len(controls) > 1:
        return set(), regions.SEVERAL_CONTROLS
    return next(iter(controls.values()), set()), ""


def _of_flat(place: str, task: Mapping[str, Any], control: str, task_type: TaskType) -> LabelRow:
    image = _image(task)
    if not image:
        return LabelRow(place, "", problem=NO_IMAGE)
    named = {name: value for name, value in task.items() if name not in _ABOUT_TASKS}
    wanted = [control] if control else [FROM_NAME, *LABELS]
    value = next((named[name] for name in wanted if name in named), None)
    if task_type.name == TaskTypeName.DETECTION:
        return _of_list(place, image, value)
    if isinstance(value, dict):
        value = value.get("choices")
    if task_type.name == TaskTypeName.MULTILABEL and isinstance(value, (str, list)):
        given = [value] if isinstance(value, str) else value
        return LabelRow(place, image, _label(set(map(str, given)), task_type) or "")
    if isinstance(value, list):
        return LabelRow(place, image, problem=SEVERAL if value else NO_LABEL)
    label = value.strip() if isinstance(value, str) else ""
    return LabelRow(place, image, label, "" if label else NO_LABEL)


def _of_list(place: str, image: str, value: Any) -> LabelRow:  # noqa: ANN401 - JSON
    """Return the row of a flat task, which has a list of rectangles, or nothing for no objects."""
    if value is not None and not isinstance(value, list):
        return LabelRow(place, image, problem=NO_BOXES)
    answer = regions.read(regions.flat(value or ()), FROM_NAME, place)
    return LabelRow(place, image, answer.label or "", answer.problem, left_out=answer.left_out)


def _image(data: Mapping[str, Any]) -> str:
    """Return the image of a task as a path, an object key or an address."""
    values = [data.get("image"), *data.values()]
    address = next((value for value in values if isinstance(value, str) and value), "")
    if uploaded := _UPLOADED.match(address):
        return unquote(uploaded["name"])
    if address.startswith(_LOCAL):
        return "".join(parse_qs(urlsplit(address).query).get("d", [""]))
    return address
