"""The registry's champion alias by MLflow's REST interface: its client would cost 69 MB and seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from octospoon.domain.errors import BadRequest, ServiceUnavailable, Unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable

ALIAS = "champion"
_PATH = "/api/2.0/mlflow/registered-models/alias"
_SECONDS = 10.0
# what MLflow calls a model without this alias, and a missing model
_MISSING = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}


class MlflowAlias:
    """Implements `octospoon.ports.ChampionAlias`.

    Args:
        server: address of the tracking server.
        model: name of the registered model.
        sign_in: gives user name and password when they are needed; empty for a server without sign-in.
    """

    def __init__(self, server: str, model: str, sign_in: Callable[[], tuple[str, str]]) -> None:
        self._url = server.rstrip("/") + _PATH
        self._model = model
        self._sign_in = sign_in

    def read(self) -> int | None:
        """Return the version that the alias names, None where there is no alias or no model yet."""
        answer = self._call("GET", params={"name": self._model, "alias": ALIAS})
        if answer.status_code in (400, 404) and _code(answer) in _MISSING:
            return None
        _check(answer)
        return int(answer.json()["model_version"]["version"])

    def move(self, version: int) -> None:
        """Point the alias at a version."""
        _check(self._call("POST", json={"name": self._model, "alias": ALIAS, "version": str(version)}))

    def _call(self, method: str, **options: dict[str, str]) -> httpx.Response:
        user, password = self._sign_in()
        auth = (user, password) if user or password else None
        try:
            return httpx.request(method, self._url, auth=auth, timeout=_SECONDS, **options)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"MLflow does not answer: {error!r}") from error


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("error_code", ""))
    except (ValueError, AttributeError):
        return ""


def _check(answer: httpx.Response) -> None:
    """Turn a failure into ours."""
    if answer.is_success:
        return
    said = f"MLflow answered {answer.status_code}: {answer.text[:300]}"
    if answer.status_code in (401, 403):
        raise Unauthorized(said)
    raise (ServiceUnavailable if answer.status_code >= 500 or answer.status_code == 429 else BadRequest)(said)
