"""The connection to the MLflow server, for functions and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from octospoon.adapters.mlflow.rest import MlflowApi

if TYPE_CHECKING:
    from collections.abc import Callable


def mlflow_api(
    url: str, username: str, password_secret: str, read_password: Callable[[str], str]
) -> MlflowApi | None:
    """Return a connection to the MLflow server; None if no server is configured.

    Args:
        url: of the server; empty if there is none.
        username: empty if the server asks for none.
        password_secret: name of the secret that holds the password; empty if there is none.
        read_password: returns a secret by its name; called at every sign-in.
    """

    def sign_in() -> tuple[str, str]:
        return username, read_password(password_secret) if password_secret else ""

    return MlflowApi(url, sign_in) if url else None
