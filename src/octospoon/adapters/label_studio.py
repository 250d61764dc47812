"""Label Studio over plain HTTP: its SDK weighs 366 MB and retries what must not be retried."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx

from octospoon.domain.errors import BadRequest, NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from octospoon.domain.entities import Task

FROM_NAME = "label"
TO_NAME = "image"
_KEYS_PER_LOOKUP = 100  # a look-up travels in the URL
_TASKS_PER_IMPORT = 500
_ACCESS_TOKEN_LIFETIME = 240.0
_TIMEOUT = httpx.Timeout(30.0, connect=5.0)


class LabelStudioAuth(httpx.Auth):
    """Signs requests with either kind of token: a legacy one, or a personal access token (a JWT).

    Args:
        url: of Label Studio.
        token: gives the token; asked for every request, so that a rotation gets through.
    """

    requires_response_body = True

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self._refresh_url = f"{url}/api/token/refresh/"
        self._token = token
        self._access = ""
        self._expires = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header; a personal access token is first exchanged for a short-lived one."""
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
    """One connection to one Label Studio, with its errors translated into ours."""

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self.url = url.rstrip("/")
        self._client = httpx.Client(
            base_url=self.url, auth=LabelStudioAuth(self.url, token), timeout=_TIMEOUT
        )

    def call(self, method: str, path: str, **kwargs: Any) -> Any:  # noqa: ANN401 - JSON
        """Make one request, without retrying; return the decoded JSON, None for an empty answer.

        Raises:
            ServiceUnavailable: no answer, 429 or 5xx.
            NotConfigured: 401, 403 or 404: the token, its rights or the project is wrong.
            BadRequest: any other refusal.
        """
        try:
            answer = self._client.request(method, path, **kwargs)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise self._refused(method, path, error.response) from error
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"Label Studio at {self.url} does not answer: {error!r}") from error
        return answer.json() if answer.content else None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _refused(self, method: str, path: str, answer: httpx.Response) -> Exception:
        what = f"Label Studio answered {answer.status_code} to {method} {path}: {answer.text[:500]}"
        if answer.status_code == 429 or answer.status_code >= 500:
            return ServiceUnavailable(what)
        if answer.status_code in (401, 403, 404):
            return NotConfigured(f"{what} (check the Label Studio URL, project and token)")
        return BadRequest(what)


class LabelStudio:
    """Implements `octospoon.ports.Labeler` for one project."""

    def __init__(self, api: LabelStudioApi, project: int) -> None:
        self._api = api
        self._project = project

    def find(self, keys: Sequence[str]) -> dict[str, int]:
        """Return the task id of every image among `keys` that already has a task."""
        found: dict[str, int] = {}
        for start in range(0, len(keys), _KEYS_PER_LOOKUP):
            for task in self._look_up(keys[start : start + _KEYS_PER_LOOKUP]):
                key = task["data"]["key"]
                found[key] = min(task["id"], found.get(key, task["id"]))
        return found

    def _look_up(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        wanted = {
            "filter": "filter:tasks:data.key",
            "operator": "in_list",
            "type": "String",
            "value": list(keys),
        }
        answer = self._api.call(
            "GET",
            "/api/tasks",
            params={
                "project": self._project,
                "include": "id,data",
                "resolve_uri": "false",
                "page_size": 10 * len(keys),
                "query": json.dumps({"filters": {"conjunction": "or", "items": [wanted]}}),
            },
        )
        return [task for task in answer["tasks"] if task["data"].get("key") in set(keys)]

    def create(self, tasks: Sequence[Task], model_version: str) -> dict[str, int]:
        """Create tasks with predictions, once and without retrying; return their ids by key."""
        created: dict[str, int] = {}
        for start in range(0, len(tasks), _TASKS_PER_IMPORT):
            part = tasks[start : start + _TASKS_PER_IMPORT]
            answer = self._api.call(
                "POST",
                f"/api/projects/{self._project}/import",
                params={"return_task_ids": "true"},
                json=[_task(task, model_version) for task in part],
            )
            created |= dict(zip((task.key for task in part), answer["task_ids"], strict=True))
        return created

    def open_tasks(self) -> int:
        """Return how many tasks wait for an annotator."""
        project = self._api.call("GET", f"/api/projects/{self._project}")
        return int(project["task_number"] - project["finished_task_number"])

    def use_model_version(self, model_version: str) -> None:
        """Make this the version whose predictions Label Studio shows and sorts by."""
        self._api.call("PATCH", f"/api/projects/{self._project}", json={"model_version": model_version})


def _task(task: Task, model_version: str) -> dict[str, Any]:
    data = {"image": task.image_uri, "key": task.key, "etag": task.etag}
    if task.label is None:
        return {"data": data}
    result = {
        "from_name": FROM_NAME,
        "to_name": TO_NAME,
        "type": "choices",
        "value": {"choices": [task.label]},
    }
    prediction = {"model_version": model_version, "score": task.confidence, "result": [result]}
    return {"data": data, "predictions": [prediction]}
