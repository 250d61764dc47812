"""Connects `octospoon ui` to a deployment."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from octospoon.cli.failures import sentence
from octospoon.cli.operations import dead_letters, run_now
from octospoon.cli.operations.addresses import addresses_of
from octospoon.cli.operations.page_address import FOLDER, folder_of
from octospoon.cli.operations.prices import DYNAMODB_READ_UNIT
from octospoon.cli.operations.report import head_of
from octospoon.cli.operations.spending import spent
from octospoon.cli.operations.trace import trace
from octospoon.domain.errors import ServiceUnavailable
from octospoon.runtime.settings import STACK, RankSettings, load
from octospoon.runtime.wiring.rank import chooser
from octospoon.ui.backend import Backend

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from octospoon.cli.deployment import Deployment
    from octospoon.domain.labelling.tasks import Round

_ROW_BYTES = 3500
"""Bytes of a row of the pool with an embedding of 1,280 numbers."""
_HALF_UNIT_BYTES = 8192
"""Bytes that a read unit pays for in a scan, which is eventually consistent."""


def backend(deployment: Deployment, folder: Path = FOLDER) -> Backend:
    """Return a deployment as the page uses it.

    Args:
        deployment: the deployment.
        folder: for what the page keeps; each deployment gets a folder in it.
    """
    table = deployment.outputs["PoolTable"]
    where = deployment.endpoint_url or deployment.client("dynamodb").meta.endpoint_url
    local = deployment.endpoint_url is not None
    name = "local stack" if local else deployment.settings.get(STACK, table)
    return Backend(
        name=name,
        local=local,
        folder=folder_of(where, table, folder),
        storage=deployment,
        history=deployment.class_record().read,
        links=_Links(deployment),
        trace=partial(trace, deployment),
        preview=partial(preview, deployment),
        rank=partial(run_now.rank, deployment),
        head=partial(head_of, deployment),
        run=partial(run_address, deployment),
        dead_letters=lambda: msgspec.to_builtins(dead_letters.read(deployment, ())),
        spent=lambda: spent(deployment, name, datetime.now(UTC).date()),
        sentence=sentence,
        read_cost=1e6 * _ROW_BYTES / _HALF_UNIT_BYTES * DYNAMODB_READ_UNIT,
    )


def preview(deployment: Deployment) -> Round:
    """Choose the next round with the settings of `rank`, and store nothing.

    Raises:
        ServiceUnavailable: there is no model yet.
    """
    pointer = deployment.champions.pointer()
    if pointer is None:
        raise ServiceUnavailable("no model is in service yet: run `octospoon init-model` first")
    return chooser(load(RankSettings, deployment.settings_of("Rank")), deployment)(pointer[0])


def run_address(deployment: Deployment, version: int) -> str:
    """Return the address of the run in MLflow that made a version; empty without MLflow or such a run."""
    runs = deployment.runs
    return runs.of_version(version) if runs else ""


class _Links:
    """The pages of Label Studio and MLflow, asked for at most once a minute."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment, self._known, self._at = deployment, dict[str, str](), -60.0

    def __call__(self) -> Mapping[str, str]:
        if time.monotonic() - self._at >= 60.0:
            try:
                addresses = addresses_of(self._deployment)
                self._known = {"Label Studio": addresses.label_studio, "MLflow": addresses.mlflow}
            except Exception:  # noqa: BLE001 - the page works without them
                self._known = {}
            self._at = time.monotonic()
        return {name: link for name, link in self._known.items() if link.startswith(("http://", "https://"))}
