"""Label Studio over plain HTTP. Its SDK takes 366 MB and retries calls that must not be repeated."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import httpx
import msgspec

from octospoon.adapters.http_errors import described
from octospoon.adapters.label_studio import queries
from octospoon.adapters.label_studio.control import reduced_annotation
from octospoon.adapters.label_studio.interface import parse_interface
from octospoon.adapters.label_studio.results import prediction
from octospoon.adapters.tls import tls_settings
from octospoon.domain.errors import BadRequest, NotConfigured, ServiceUnavailable
from octospoon.domain.labelling.tasks import TaskCounts, project_name
from octospoon.domain.secrets import hidden, split_sign_in
from octospoon.ports.labelling import AnnotatedTask, AnnotationBody, TaskBody

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from octospoon.adapters.label_studio.control import Control
    from octospoon.domain.labelling.interface import Interface
    from octospoon.domain.labelling.tasks import Annotation, Task

LOG = logging.getLogger(__name__)
_TASKS_PER_IMPORT = 500
_ANNOTATED = {"fields": "all", "include": "id,data,annotations"}
_ACCESS_TOKEN_LIFETIME = 240.0
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)


class NotFound(NotConfigured):
    """Label Studio answered 404."""


class LabelStudioAuth(httpx.Auth):
    """Signs requests with either kind of token: a legacy token, or a personal access token (a JWT).

    Args:
        url: of Label Studio.
        token: returns the token; called for every request, so that a rotated token is used at once.
    """

    requires_response_body = True

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self._refresh_url = f"{url}/api/token/refresh/"
        self._token = token
        self._access = ""
        self._expires = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header; exchange a personal access token for a short-lived token first."""
        token = self._token()
        if token.count(".") != 2:
            request.headers["Authorization"] = f"Token {token}"
            yield request
            return
        if time.monotonic() > self._expires:
            answer = yield httpx.Request("POST", self._refresh_url, json={"refresh": token})
            answer.raise_for_status()
            self._access = answer.json()["access"]
            self._expires = time.monotonic() + _ACCESS_TOKEN_LIFETIME
        request.headers["Authorization"] = f"Bearer {self._access}"
        yield request


class LabelStudioApi:
    """A connection to one Label Studio."""

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self.url, _ = split_sign_in("the address of Label Studio", url)  # requests are signed with the token
        self._token = token
        self._client = httpx.Client(
            base_url=self.url, auth=LabelStudioAuth(self.url, token), timeout=_TIMEOUT, verify=tls_settings()
        )

    def call(self, method: str, path: str, **kwargs: Any) -> Any:  # noqa: ANN401 - JSON
        """Make one request, without retrying; return the decoded JSON, or None for an empty answer.

        Raises:
            ServiceUnavailable: no answer, 429 or 5xx.
            NotConfigured: 401, 403 or 404 (`NotFound`): the token, its rights or the project is wrong.
            BadRequest: any other refusal.
        """
        try:
            answer = self._client.request(method, path, **kwargs)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise self._refused(method, path, error.response) from None
        except httpx.HTTPError as error:
            raise ServiceUnavailable(
                f"Label Studio at {self.url} does not answer: {described(error)}"
            ) from None
        except (httpx.InvalidURL, UnicodeError) as error:
            raise NotConfigured(f"Label Studio cannot be asked: {described(error)}") from None
        return answer.json() if answer.content else None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _refused(self, method: str, path: str, answer: httpx.Response) -> Exception:
        text = hidden(answer.text, self._token())[:500]
        what = f"Label Studio answered {answer.status_code} to {method} {path}: {text}"
        if answer.status_code == 429 or answer.status_code >= 500:
            return ServiceUnavailable(what)
        if answer.status_code in (401, 403, 404):
            kind = NotFound if answer.status_code == 404 else NotConfigured
            return kind(f"{what} (check the Label Studio URL, project and token)")
        return BadRequest(what)


class LabelStudio:
    """Implements `octospoon.ports.labelling.Labeler` for one project."""

    def __init__(self, api: LabelStudioApi, project: int, control: Control) -> None:
        self.api = api
        self.number = project
        self.control = control

    def find(self, etags: Mapping[str, str]) -> dict[str, int]:
        """Return the task ids by key of the images that have a task for these bytes (`etags` by key)."""
        tasks: dict[str, int] = {}
        for part in queries.parts(list(etags)):
            for task in self._look_up(part, include="id,data"):
                key = task["data"]["key"]
                if task["data"].get("etag") == etags[key]:
                    tasks[key] = min(task["id"], tasks.get(key, task["id"]))
        return tasks

    def tasks_of(self, keys: Sequence[str]) -> list[AnnotatedTask]:
        """Return every task of these images, for any of their versions, with its annotations."""
        listed = [task for part in queries.parts(keys) for task in self._look_up(part, **_ANNOTATED)]
        return self._annotated(listed)

    def delete(self, task_id: int) -> bool:
        """Delete a task unless somebody has begun to answer it; return True if it is gone."""
        path = f"/api/tasks/{task_id}/"
        try:
            task = self.api.call("GET", path)
            if task["annotations"] or task.get("drafts"):
                return False
            self.api.call("DELETE", path)
        except NotFound:
            LOG.info("task %d is gone already", task_id)
        return True

    def _look_up(self, keys: Sequence[str], **params: str) -> list[dict[str, Any]]:
        tasks = self._tasks(queries.with_keys(keys), 10 * len(keys), **params)
        asked = set(keys)
        return [task for task in tasks if task["data"].get("key") in asked]

    def create(self, tasks: Sequence[Task]) -> dict[str, int]:
        """Create tasks with their predictions, without retrying; return their ids by key."""
        stored = self.interface().stored
        created: dict[str, int] = {}
        for start in range(0, len(tasks), _TASKS_PER_IMPORT):
            part = tasks[start : start + _TASKS_PER_IMPORT]
            answer = self.api.call(
                "POST",
                f"/api/projects/{self.number}/import",
                params={"return_task_ids": "true"},
                json=[_task(self.control, task, stored) for task in part],
            )
            created |= dict(zip((task.key for task in part), answer["task_ids"], strict=True))
        return created

    def interface(self) -> Interface:
        """Return the parsed labelling interface. Label Studio itself does not check predictions against it.

        Raises:
            NotConfigured: octospoon cannot use this labelling interface.
        """
        try:
            return self.control.parsed(self._label_config())
        except BadRequest as error:
            raise NotConfigured(
                f"{error} (Label Studio project {self.number}): no annotation could be counted; "
                "set the interface up with `octospoon label-studio-project`"
            ) from error

    def _label_config(self) -> str:
        return str(self.api.call("GET", f"/api/projects/{self.number}").get("label_config") or "")

    def choices(self) -> frozenset[str]:
        """Return the choices of the labelling interface by the names that Label Studio stores."""
        return frozenset(choice.stored for choice in self.interface().choices)

    def task_counts(self, since: float = 0.0) -> TaskCounts:
        """Count the tasks by state."""
        unanswered = [*queries.ours(), *queries.unanswered()]
        return TaskCounts(
            waiting=self._count(queries.every(*unanswered, *queries.since("created_at", since))),
            skipped=self._count(queries.every(*queries.ours(), *queries.skipped())),
            abandoned=(
                self._count(queries.every(*unanswered, queries.before("created_at", since))) if since else 0
            ),
            not_ours=self._count(queries.not_ours()),
            not_ours_answered=self._count(queries.not_ours(queries.answered())),
        )

    def not_ours(self, limit: int) -> list[TaskBody]:
        """Return up to `limit` tasks that octospoon did not create, by ascending id."""
        tasks = self._tasks(queries.not_ours(), limit, fields="all", include="id,data")
        return msgspec.convert(tasks, list[TaskBody])

    def changed(self, since: float, after: int, limit: int) -> list[TaskBody]:
        """Return up to `limit` tasks that changed since a time, by ascending id.

        Propagated annotations do not change the `updated_at` of their tasks: `completed_at` is queried too.
        """
        changed = self._by_id(queries.since("updated_at", since), after, limit)
        completed = self._by_id(queries.since("completed_at", since), after, limit) if since else []
        both = {task.id: task for task in (*changed, *completed)}
        return sorted(both.values(), key=lambda task: task.id)[:limit]

    def waiting(self, after: int, limit: int, since: float = 0.0) -> list[TaskBody]:
        """Return up to `limit` tasks that nobody has answered or skipped, by ascending id."""
        return self._by_id([*queries.unanswered(), *queries.since("created_at", since)], after, limit)

    def _by_id(self, conditions: list[dict[str, Any]], after: int, limit: int) -> list[TaskBody]:
        query = queries.every(queries.after(after), *conditions, by_id=True)
        return msgspec.convert(self._tasks(query, limit, fields="all", include="id,data"), list[TaskBody])

    def _annotated(self, listed: Sequence[dict[str, Any]]) -> list[AnnotatedTask]:
        annotated = self._export([task["id"] for task in listed if task["annotations"]])
        shown = self._shown() if annotated else {}
        annotated = {
            task: [reduced_annotation(body, shown, self.control) for body in bodies]
            for task, bodies in annotated.items()
        }
        return [AnnotatedTask(task["id"], task["data"], annotated.get(task["id"], [])) for task in listed]

    def _shown(self) -> dict[str, str]:
        try:
            return parse_interface(self._label_config(), self.control.tags).shown
        except BadRequest as error:
            LOG.warning("%s", error)
            return {}

    def project(self) -> str:
        """Return the name of the project, read each time because a new project may get an old number."""
        project = self.api.call("GET", f"/api/projects/{self.number}")
        return project_name(self.number, project["created_at"])

    def has(self, annotation: Annotation) -> bool:
        """Return True if an annotation still exists."""
        try:
            stored = self.api.call("GET", f"/api/annotations/{annotation.number}/")
        except NotFound:
            return False
        # on SQLite, Label Studio may give the number of a deleted annotation to a new one
        there = self._export([stored["task"]]).get(stored["task"], [])
        return any(body.unique_id == annotation.annotation_id for body in there)

    def _export(self, ids: Sequence[int]) -> dict[int, list[AnnotationBody]]:
        """Return the annotations of these tasks, by task.

        Only an export has the ``unique_id`` of annotations. Label Studio keeps a copy of every export on its
        disk, so callers leave out tasks without annotations.
        """
        if not ids:
            return {}  # without ids, Label Studio would export all tasks
        answer = self.api.call(
            "GET",
            f"/api/projects/{self.number}/export",
            params={"exportType": "JSON", "download_all_tasks": "true", "ids[]": list(ids)},
        )
        return {task["id"]: msgspec.convert(task["annotations"], list[AnnotationBody]) for task in answer}

    def _tasks(self, query: queries.Query, limit: int, **params: str) -> list[dict[str, Any]]:
        return list(queries.page(self.api, self.number, query, limit, **params)["tasks"])

    def _count(self, query: queries.Query) -> int:
        return int(queries.page(self.api, self.number, query, 1, include="id")["total"])


def _task(control: Control, task: Task, stored: Mapping[str, str]) -> dict[str, Any]:
    data = {"image": task.image_uri, "key": task.key, "etag": task.etag}
    if task.label is None:
        return {"data": data}
    predicted = prediction(control, task.label, task.confidence, task.version, stored)
    if predicted is None:
        LOG.warning(
            "the task of %s has no prediction: the labelling interface does not offer the label %r",
            task.key,
            task.label,
        )
        return {"data": data}
    return {"data": data, "predictions": [predicted]}
