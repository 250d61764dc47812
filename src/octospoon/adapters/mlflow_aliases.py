"""The registry's aliases over plain HTTP: MLflow's own client is too heavy for a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from octospoon.domain.errors import NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

_PATH = "/api/2.0/mlflow/registered-models/alias"
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
_TIMEOUT = httpx.Timeout(20.0, connect=5.0)


class MlflowAliases:
    """Implements `octospoon.ports.Aliases`.

    Args:
        url: of the tracking server.
        model_name: the registered model.
        sign_in: gives user name and password; both empty for a server without sign-in.
    """

    def __init__(self, url: str, model_name: str, sign_in: Callable[[], tuple[str, str]]) -> None:
        self._url = url.rstrip("/")
        self._model_name = model_name
        self._sign_in = sign_in

    def version(self, alias: str) -> int | None:
        """Return the version that an alias points at, None where there is no such alias."""
        answer = self._call("GET", params={"name": self._model_name, "alias": alias})
        if answer.status_code in (400, 404) and _error_code(answer) in _ABSENT:
            return None
        return int(_checked(answer)["model_version"]["version"])

    def point(self, alias: str, version: int) -> None:
        """Point an alias at a version."""
        body = {"name": self._model_name, "alias": alias, "version": str(version)}
        _checked(self._call("POST", json=body))

    def _call(self, method: str, **kwargs: Any) -> httpx.Response:  # noqa: ANN401 - httpx's arguments
        user, password = self._sign_in()
        auth = httpx.BasicAuth(user, password) if user else None
        try:
            return httpx.request(method, self._url + _PATH, auth=auth, timeout=_TIMEOUT, **kwargs)
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"MLflow at {self._url} does not answer: {error!r}") from error


def _error_code(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("error_code", ""))
    except ValueError:
        return ""


def _checked(answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON
    if answer.is_success:
        return answer.json()
    what = f"MLflow answered {answer.status_code}: {answer.text[:300]}"
    if answer.status_code == 429 or answer.status_code >= 500:
        raise ServiceUnavailable(what)
    raise NotConfigured(f"{what} (check MLFLOW_TRACKING_URI, user name and password)")
