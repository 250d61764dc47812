"""Asks Label Studio for the address at which new annotators sign up."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urljoin

if TYPE_CHECKING:
    from octospoon.cli.deployment import Deployment


def invitation(deployment: Deployment) -> str:
    """Return the address at which a person signs up.

    Raises:
        NotConfigured: the token of the deployment may not invite people.
        ServiceUnavailable: Label Studio does not answer.
    """
    with closing(deployment.label_studio()) as api:
        path = str(api.call("GET", "/api/invite")["invite_url"])
    return urljoin(deployment.label_studio_url, path)
