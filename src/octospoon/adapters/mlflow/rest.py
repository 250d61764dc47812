"""MLflow's REST API. The functions use it because MLflow's client takes 69 MB and seconds to load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from octospoon.adapters.http_errors import described
from octospoon.adapters.tls import tls_settings
from octospoon.domain.errors import BadRequest, NotConfigured, ServiceUnavailable, Unauthorized
from octospoon.domain.secrets import hidden, split_sign_in

if TYPE_CHECKING:
    from collections.abc import Callable

_PATH = "/api/2.0/mlflow/"
_SECONDS = 10.0


class MlflowApi:
    """A connection to one tracking server.

    Args:
        server: address of the tracking server, with or without user name and password.
        sign_in: returns user name and password, called for every request; both empty for no sign-in.
    """

    def __init__(self, server: str, sign_in: Callable[[], tuple[str, str]]) -> None:
        self.server, self._in_address = split_sign_in("the address of the MLflow server", server)
        self._sign_in = sign_in

    def call(self, method: str, path: str, **options: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
        """Make one request below ``/api/2.0/mlflow/``, without retrying; return the decoded answer.

        Raises:
            ServiceUnavailable: no answer, 429 or 5xx.
            Unauthorized: 401 or 403.
            NotConfigured: the address or the sign-in cannot be sent.
            MlflowRefused: any other refusal.
        """
        return self.checked(method, _PATH + path, **options).json()

    def version(self) -> str:
        """Return the server's version; raises the same errors as `call`."""
        return self.checked("GET", "/version").text.strip()

    def checked(self, method: str, path: str, **options: dict[str, str]) -> httpx.Response:
        """Make one request; return the answer, undecoded. Raises the same errors as `call`."""
        given = self._sign_in()
        auth = given if any(given) else self._in_address
        try:
            answer = httpx.request(
                method,
                self.server + path,
                auth=auth if any(auth) else None,
                timeout=_SECONDS,
                verify=tls_settings(),
                **options,  # type: ignore[arg-type]
            )
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"MLflow does not answer: {described(error)}") from None
        except (httpx.InvalidURL, UnicodeError) as error:
            raise NotConfigured(f"MLflow cannot be asked: {described(error)}") from None
        _check(answer, auth[1])
        return answer


class MlflowRefused(BadRequest):
    """MLflow refused a request.

    Attributes:
        reason: MLflow's error code; empty if the answer has none.
    """

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


def _check(answer: httpx.Response, password: str) -> None:
    """Raise the error of a failed answer, without the password."""
    if answer.is_success:
        return
    message = f"MLflow answered {answer.status_code}: {hidden(answer.text, password)[:300]}"
    if answer.status_code in (401, 403):
        raise Unauthorized(message)
    if answer.status_code >= 500 or answer.status_code == 429:
        raise ServiceUnavailable(message)
    raise MlflowRefused(message, _code(answer))


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("error_code", ""))
    except (ValueError, AttributeError):
        return ""
