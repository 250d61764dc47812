"""The registry's champion alias, and where people find the run of a version."""

from __future__ import annotations

from octospoon.adapters.mlflow_rest import MlflowApi, MlflowRefused

ALIAS = "champion"
_PATH = "registered-models/alias"
# what MLflow calls a model without this alias, and a missing model or version
_GONE = "RESOURCE_DOES_NOT_EXIST"
_MISSING = {"INVALID_PARAMETER_VALUE", _GONE}


class MlflowAlias:
    """Implements `octospoon.ports.models.ChampionAlias`.

    Args:
        api: of the tracking server.
        model: name of the registered model.
    """

    def __init__(self, api: MlflowApi, model: str) -> None:
        self._api = api
        self._model = model

    def read(self) -> int | None:
        """Return the version that the alias names, None where there is no alias or no model yet."""
        try:
            answer = self._api.call("GET", _PATH, params={"name": self._model, "alias": ALIAS})
        except MlflowRefused as error:
            if error.reason in _MISSING:
                return None
            raise
        return int(answer["model_version"]["version"])

    def move(self, version: int) -> bool:
        """Point the alias at a version; False where the registry has no such version any more."""
        wanted = {"name": self._model, "alias": ALIAS, "version": str(version)}
        try:
            self._api.call("POST", _PATH, json=wanted)
        except MlflowRefused as error:
            if error.reason == _GONE:
                return False
            raise
        return True


class MlflowRuns:
    """Implements `octospoon.ports.training.RunAddresses`; see `MlflowAlias`."""

    def __init__(self, api: MlflowApi, model: str) -> None:
        self._api = api
        self._model = model

    def of_version(self, version: int) -> str:
        """Return the address of the run that made a version; empty where MLflow knows no such version."""
        wanted = {"name": self._model, "version": str(version)}
        try:
            found = self._api.call("GET", "model-versions/get", params=wanted)["model_version"]
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
