"""The registry's champion alias, and the addresses of runs for people.

The registry has its own version numbers, which start at 1 again after a reset. The tag `VERSION_TAG` of a
registered version holds octospoon's number. Without the tag, both numbers are the same.
"""

from __future__ import annotations

from typing import Any

from octospoon.adapters.mlflow.rest import MlflowApi, MlflowRefused
from octospoon.domain.model_spec import VERSION_TAG

ALIAS = "champion"
_PATH = "registered-models/alias"
_PAGE = "200"
# MLflow's error codes for a model without this alias, and for a missing model or version
_GONE = "RESOURCE_DOES_NOT_EXIST"
_MISSING = {"INVALID_PARAMETER_VALUE", _GONE}


class MlflowVersions:
    """The registered versions of one model, by octospoon's version numbers.

    Args:
        api: of the tracking server.
        model: name of the registered model.
    """

    def __init__(self, api: MlflowApi, model: str) -> None:
        self._api = api
        self._model = model

    def find(self, version: int) -> dict[str, Any] | None:
        """Return the registered version with octospoon's number, or None if the registry no longer has it."""
        wanted = {"name": self._model, "version": str(version)}
        try:
            registered: dict[str, Any] = self._api.call("GET", "model-versions/get", params=wanted)[
                "model_version"
            ]
            if our_version(registered) == version:
                return registered
        except MlflowRefused as error:
            if error.reason not in _MISSING:
                raise
        return self._search(version)

    def _search(self, version: int) -> dict[str, Any] | None:
        wanted = {"filter": f"name='{self._model}'", "max_results": _PAGE}
        while True:
            answer = self._api.call("GET", "model-versions/search", params=wanted)
            for registered in answer.get("model_versions", []):
                if _tag(registered) == str(version):
                    return dict(registered)
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
        registered = self._versions.find(version)
        if registered is None:
            return False
        wanted = {"name": self._model, "alias": ALIAS, "version": str(registered["version"])}
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
        """Return the address of the run that made a version; empty if MLflow has no such version."""
        try:
            registered = self._versions.find(version)
            if registered is None:
                return ""
            run = self._api.call("GET", "runs/get", params={"run_id": registered["run_id"]})["run"]["info"]
        except MlflowRefused as error:
            if error.reason in _MISSING:
                return ""
            raise
        return f"{self._api.server}/#/experiments/{run['experiment_id']}/runs/{run['run_id']}"


class MlflowExperiments:
    """The web pages of experiments, for people."""

    def __init__(self, api: MlflowApi) -> None:
        self._api = api

    def table(self, name: str) -> str:
        """Return the address of an experiment's table of runs; create the experiment if it is missing.

        MLflow's pages have two modes. Without `workflowType` they open in the mode for language models.
        """
        try:
            answer = self._api.call("GET", "experiments/get-by-name", params={"experiment_name": name})
            number = answer["experiment"]["experiment_id"]
        except MlflowRefused as error:
            if error.reason not in _MISSING:
                raise
            number = self._api.call("POST", "experiments/create", json={"name": name})["experiment_id"]
        return f"{self._api.server}/#/experiments/{number}/runs?workflowType=machine_learning"


def our_version(registered: dict[str, Any]) -> int:
    """Return octospoon's number of a registered version."""
    return int(_tag(registered) or registered["version"])


def _tag(registered: dict[str, Any]) -> str:
    return next((str(tag["value"]) for tag in registered.get("tags", []) if tag["key"] == VERSION_TAG), "")
