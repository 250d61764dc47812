"""The registry's champion alias, and where people find the run of a version.

The registry counts its versions by itself, from 1 again after a reset. Ours is in the tag `VERSION_TAG` of a
registered version; one without the tag is of an earlier release, and its number is ours.
"""

from __future__ import annotations

from typing import Any

from octospoon.adapters.mlflow.rest import MlflowApi, MlflowRefused
from octospoon.domain.model_spec import VERSION_TAG

ALIAS = "champion"
_PATH = "registered-models/alias"
_PAGE = "200"
# what MLflow calls a model without this alias, and a missing model or version
_GONE = "RESOURCE_DOES_NOT_EXIST"
_MISSING = {"INVALID_PARAMETER_VALUE", _GONE}


class MlflowVersions:
    """The registered versions of one model, by our numbers.

    Args:
        api: of the tracking server.
        model: name of the registered model.
    """

    def __init__(self, api: MlflowApi, model: str) -> None:
        self._api = api
        self._model = model

    def find(self, version: int) -> dict[str, Any] | None:
        """Return what the registry says of our version; None where it has it no more."""
        wanted = {"name": self._model, "version": str(version)}
        try:
            found: dict[str, Any] = self._api.call("GET", "model-versions/get", params=wanted)[
                "model_version"
            ]
            if our_version(found) == version:
                return found
        except MlflowRefused as error:
            if error.reason not in _MISSING:
                raise
        return self._search(version)

    def _search(self, version: int) -> dict[str, Any] | None:
        wanted = {"filter": f"name='{self._model}'", "max_results": _PAGE}
        while True:
            answer = self._api.call("GET", "model-versions/search", params=wanted)
            for found in answer.get("model_versions", []):
                if _tag(found) == str(version):
                    return dict(found)
            if not answer.get("next_page_token"):
                return None
            wanted["page_token"] = answer["next_page_token"]


class MlflowAlias:
    """Implements `octospoon.ports.models.ChampionAlias`; see `MlflowVersions`."""

    def __init__(self, api: MlflowApi, model: str) -> None:
        self._api = api
        self._model = model
        self._versions = MlflowVersions(api, model)

    def read(self) -> int | None:
        """Return the version that the alias names, or None if there is no alias or model yet."""
        try:
            answer = self._api.call("GET", _PATH, params={"name": self._model, "alias": ALIAS})
        except MlflowRefused as error:
            if error.reason in _MISSING:
                return None
            raise
        return our_version(answer["model_version"])

    def move(self, version: int) -> bool:
        """Point the alias at a version; return False if the registry no longer has this version."""
        found = self._versions.find(version)
        if found is None:
            return False
        wanted = {"name": self._model, "alias": ALIAS, "version": str(found["version"])}
        try:
            self._api.call("POST", _PATH, json=wanted)
        except MlflowRefused as error:
            if error.reason == _GONE:
                return False
            raise
        return True


class MlflowRuns:
    """Implements `octospoon.ports.training.RunAddresses`; see `MlflowVersions`."""

    def __init__(self, api: MlflowApi, model: str) -> None:
        self._api = api
        self._versions = MlflowVersions(api, model)

    def of_version(self, version: int) -> str:
        """Return the address of the run that made a version; empty where MLflow knows no such version."""
        try:
            found = self._versions.find(version)
            if found is None:
                return ""
            run = self._api.call("GET", "runs/get", params={"run_id": found["run_id"]})["run"]["info"]
        except MlflowRefused as error:
            if error.reason in _MISSING:
                return ""
            raise
        return f"{self._api.server}/#/experiments/{run['experiment_id']}/runs/{run['run_id']}"


class MlflowExperiments:
    """Where MLflow shows the runs of an experiment to people."""

    def __init__(self, api: MlflowApi) -> None:
        self._api = api

    def table(self, name: str) -> str:
        """Return the address of an experiment's table of runs; the experiment is made where there is none.

        MLflow's pages have two modes. Without `workflowType` they open in the one for language models.
        """
        try:
            found = self._api.call("GET", "experiments/get-by-name", params={"experiment_name": name})
            number = found["experiment"]["experiment_id"]
        except MlflowRefused as error:
            if error.reason not in _MISSING:
                raise
            number = self._api.call("POST", "experiments/create", json={"name": name})["experiment_id"]
        return f"{self._api.server}/#/experiments/{number}/runs?workflowType=machine_learning"


def our_version(found: dict[str, Any]) -> int:
    """Return our number of a registered version."""
    return int(_tag(found) or found["version"])


def _tag(found: dict[str, Any]) -> str:
    return next((str(tag["value"]) for tag in found.get("tags", []) if tag["key"] == VERSION_TAG), "")
