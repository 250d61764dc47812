"""Requests predictions of the model in service from the deployed function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from octospoon.adapters.http_errors import described
from octospoon.adapters.tls import tls_settings
from octospoon.cli.deploy.urls import predict_url
from octospoon.domain.errors import BadRequest, NotConfigured, ServiceUnavailable
from octospoon.runtime.rest import LARGEST_IMAGE, SECRET_HEADER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.cli.deployment import Deployment

_LONGER_THAN_THE_FUNCTION = 35.0
_OF_THE_IMAGE = (413, 422)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer about one file.

    Attributes:
        file: its path.
        label: what the image most likely shows, in its stored form; empty if there is no answer.
        confidence: the model's certainty of it.
        model_version: of the model that answered.
        key: under which the image joins the pool; empty if it does not.
        error: why there is no answer.
    """

    file: Path
    label: str = ""
    confidence: float = 0.0
    model_version: int = -1
    key: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class SeveralClasses(Answer):
    """The answer about one file, of a deployment whose images have several classes.

    Attributes:
        labels: every class that is likely.
    """

    labels: tuple[str, ...] = ()


def predict(deployment: Deployment, paths: Sequence[Path], *, add: bool = False) -> list[Answer]:
    """Ask the deployed function about each file, in order.

    Args:
        deployment: the deployment.
        paths: of image files.
        add: let them join the pool.

    Raises:
        BadRequest: a path is no file.
        NotConfigured: the secret is refused, or the model has no classes yet.
        ServiceUnavailable: there is no model, or no answer.
    """
    for path in paths:
        if not path.is_file():
            raise BadRequest(f"{path} is no file")
    url = f"{predict_url(deployment.outputs, deployment.endpoint_url)}/predict"
    headers = {SECRET_HEADER: predict_secret(deployment), "Content-Type": "application/octet-stream"}
    with httpx.Client(headers=headers, timeout=_LONGER_THAN_THE_FUNCTION, verify=tls_settings()) as client:
        return [_ask(client, f"{url}?add=true" if add else url, path) for path in paths]


def predict_secret(deployment: Deployment) -> str:
    """Return the secret that requests for predictions must carry."""
    return deployment.secret(deployment.outputs["PredictSecretArn"])


def _ask(client: httpx.Client, url: str, path: Path) -> Answer:
    if (size := path.stat().st_size) > LARGEST_IMAGE:
        return Answer(path, error=_too_large(size))
    try:
        answer = client.post(url, content=path.read_bytes())
    except httpx.HTTPError as error:
        raise ServiceUnavailable(f"the predict function does not answer: {described(error)}") from None
    content = _json(answer)
    if answer.status_code in _OF_THE_IMAGE:
        return Answer(path, error=str(content.get("error") or content.get("message")))
    if answer.is_success:
        given = content["label"], content["confidence"], content["model_version"], content.get("key", "")
        if "labels" in content:
            return SeveralClasses(path, *given, labels=tuple(content["labels"]))
        return Answer(path, *given)
    why = f"the predict function answered {answer.status_code}: {content.get('error') or answer.text[:500]}"
    raise NotConfigured(why) if answer.status_code < 500 else ServiceUnavailable(why)


def _too_large(size: int) -> str:
    limit = f"{LARGEST_IMAGE / 1e6:.1f} MB"
    return (
        f"it has {size / 1e6:.2f} MB, and a request has room for an image of {limit}: upload it with "
        "`octospoon drop`, which takes larger files"
    )


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
