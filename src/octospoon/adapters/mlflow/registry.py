"""MLflow as experiment tracker and model registry, by the calls that DagsHub answers too.

DagsHub has no logged-models API, so `mlflow.onnx.log_model` is out: the model folder is saved locally and
logged as plain artefacts, and the version is created by name and source. MLflow takes seconds to import,
so it is imported when first used.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.http_errors import described
from octospoon.domain.errors import NotConfigured, PermanentError, ServiceUnavailable
from octospoon.domain.model_spec import VERSION_TAG
from octospoon.domain.secrets import checked_secret, header_secret, hidden, split_sign_in
from octospoon.ports.training import ModelRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mlflow import MlflowClient

    from octospoon.ports.training import TrainingData

JOB_TAG = "octospoon.job_id"
_REGISTERED_TAG = "octospoon.registered"
MODEL_FOLDER = "model"
_REQUIREMENTS = ["mlflow", "numpy", "onnx", "onnxruntime"]
_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
_SIGN_IN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
_TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 - the variable's name
_FAILED_REQUEST = ("API request to http", "Invalid url")
_PARAM_LENGTH = 500
_DIGEST_LENGTH = 36
_log = logging.getLogger(__name__)


class MlflowRegistry:
    """Implements `octospoon.ports.training.Registry`; MLflow's own variables name server and password."""

    def __init__(self, model_name: str, experiment: str) -> None:
        self._model_name = model_name
        self._experiment = experiment
        self._client: MlflowClient | None = None

    def begin(self, job_id: str, tags: Mapping[str, str], claim: Callable[[int], int]) -> ModelRun:
        """Open a job's run and reserve a model version; the same job gets the same run and version again."""
        with translated("opening the run"):
            client = self._connect()
            run_id = self._run(client, job_id)
            for key, value in tags.items():
                client.set_tag(run_id, key, value)
            return self._version(client, run_id, job_id, claim)

    def log(
        self,
        run: ModelRun,
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        folder: Path,
        epochs: Sequence[Mapping[str, float]] = (),
    ) -> None:
        """Log every file under `folder` as an artefact, with ``model.onnx`` as the version's model."""
        from mlflow.entities import Metric, Param
        from mlflow.utils.time import get_current_time_millis

        with translated("logging the run"), tempfile.TemporaryDirectory() as scratch:
            client, now = self._connect(), get_current_time_millis()
            files = Path(scratch) / "files"
            shutil.copytree(folder, files, ignore=shutil.ignore_patterns("model.onnx"))
            if (folder / "model.onnx").exists():
                _save_model(folder / "model.onnx", files / MODEL_FOLDER)
            steps = [(metrics, 0), *((one, step) for step, one in enumerate(epochs))]
            client.log_batch(
                run.run_id,
                metrics=[Metric(key, value, now, step) for one, step in steps for key, value in one.items()],
                params=[Param(key, value[:_PARAM_LENGTH]) for key, value in params.items()],
            )
            client.log_artifacts(run.run_id, str(files))

    def trained_on(self, run: ModelRun, data: TrainingData) -> None:
        """Record the run's data set; a server without the call, as DagsHub's may be, is left without."""
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        source = json.dumps({"uri": data.uri})
        profile = json.dumps({"num_rows": data.images})
        found = Dataset(data.name, data.sha256[:_DIGEST_LENGTH], "s3", source, None, profile)
        with translated("recording the data set"):
            try:
                used = DatasetInput(found, [InputTag("mlflow.data.context", "training")])
                self._connect().log_inputs(run.run_id, [used])
            except MlflowException as error:
                _log.warning("the run is left without its data set: %s", _described(error))

    def tag(self, run: ModelRun, tags: Mapping[str, str]) -> None:
        """Tag the run and the reserved version."""
        with translated("tagging the model version"):
            client = self._connect()
            for key, value in tags.items():
                client.set_tag(run.run_id, key, value)
                client.set_model_version_tag(self._model_name, _number(run), key, value)

    def set_alias(self, alias: str, run: ModelRun) -> None:
        """Point an alias such as ``champion`` at a run's version."""
        with translated(f"setting the alias {alias}"):
            self._connect().set_registered_model_alias(self._model_name, alias, _number(run))

    def end(self, run: ModelRun, *, succeeded: bool) -> None:
        """Close the run."""
        with translated("closing the run"):
            self._connect().set_terminated(run.run_id, "FINISHED" if succeeded else "FAILED")

    def end_others(self, run: ModelRun) -> None:
        """Close the open runs of other jobs as killed. Only one job runs at a time, so those jobs died."""
        with translated("closing the runs of jobs that died"):
            client = self._connect()
            experiment = experiment_id(client, self._experiment)
            for found in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
                if JOB_TAG in found.data.tags and found.info.run_id != run.run_id:
                    client.set_terminated(found.info.run_id, "KILLED")

    def _connect(self) -> MlflowClient:
        if self._client is None:
            self._client = connect()
        return self._client

    def _run(self, client: MlflowClient, job_id: str) -> str:
        experiment = experiment_id(client, self._experiment)
        found = client.search_runs([experiment], f"tags.`{JOB_TAG}` = '{job_id}'", max_results=1)
        if found:
            client.set_terminated(found[0].info.run_id, "RUNNING")
            return str(found[0].info.run_id)
        run = client.create_run(experiment, tags={JOB_TAG: job_id}, run_name=job_id)
        return str(run.info.run_id)

    def _version(
        self, client: MlflowClient, run_id: str, job_id: str, claim: Callable[[int], int]
    ) -> ModelRun:
        from mlflow.exceptions import MlflowException

        # the run's own tags, because DagsHub's search of versions is not to be relied upon
        run = client.get_run(run_id)
        reserved = run.data.tags.get(VERSION_TAG, "")
        registered = run.data.tags.get(_REGISTERED_TAG, reserved)
        if reserved and self._is_of(client, registered, run_id):
            return ModelRun(run_id, int(reserved), int(registered))
        with contextlib.suppress(MlflowException):
            client.create_registered_model(self._model_name)
        source = f"{run.info.artifact_uri}/{MODEL_FOLDER}"
        created = client.create_model_version(
            self._model_name, source, run_id, tags={JOB_TAG: job_id}, await_creation_for=0
        )
        number = str(created.version)
        version = int(reserved) if reserved else claim(int(number))
        client.set_model_version_tag(self._model_name, number, VERSION_TAG, str(version))
        client.set_tag(run_id, _REGISTERED_TAG, number)
        client.set_tag(run_id, VERSION_TAG, str(version))
        return ModelRun(run_id, version, int(number))

    def _is_of(self, client: MlflowClient, number: str, run_id: str) -> bool:
        """Say whether the registry still has a run's version: after a reset, it has none, or another's."""
        from mlflow.exceptions import MlflowException

        try:
            return bool(client.get_model_version(self._model_name, number).run_id == run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise


def _number(run: ModelRun) -> str:
    """Return the registry's own number of a run's version."""
    return str(run.registered or run.version)


def connect() -> MlflowClient:
    """Return a client of the server that MLflow's own variables name.

    Raises:
        NotConfigured: they name none, or it cannot be signed in to by them.
    """
    server = os.environ.get("MLFLOW_TRACKING_URI")
    if not server:
        raise NotConfigured(
            "MLFLOW_TRACKING_URI is not set: it names the MLflow server or the DagsHub repository"
        )
    server = _prepared(server)
    from mlflow import MlflowClient

    return MlflowClient(server, server)


def _prepared(server: str) -> str:
    """Set MLflow's own variables so that no error of its client can quote a secret; return the address."""
    for name, value in _LIMITS.items():
        os.environ.setdefault(name, value)
    if server.startswith("http"):
        server, found = split_sign_in("MLFLOW_TRACKING_URI", server)
        os.environ["MLFLOW_TRACKING_URI"] = server
        for name, value in zip(_SIGN_IN, found, strict=True):
            if value:
                os.environ.setdefault(name, value)
    for name in _SIGN_IN:
        if os.environ.get(name):
            os.environ[name] = checked_secret(name, os.environ[name])
    if os.environ.get(_TOKEN):
        os.environ[_TOKEN] = header_secret(_TOKEN, os.environ[_TOKEN])
    return server


def experiment_id(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment, made where it is missing."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        with contextlib.suppress(MlflowException):  # somebody else may have just made it
            return str(client.create_experiment(name))
        found = client.get_experiment_by_name(name)
    if found is None:
        raise PermanentError(f"MLflow has no experiment {name!r} and cannot make one")
    if found.lifecycle_stage != "active":
        raise PermanentError(
            f"MLflow's experiment {name!r} was deleted: restore it (`mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`), or name another by ExperimentName"
        )
    return str(found.experiment_id)


def _save_model(file: Path, folder: Path) -> None:
    """Write MLflow's model folder, whose ONNX file is `file` byte for byte."""
    import mlflow.onnx
    import onnx

    # an external data file would leave a model.onnx that onnxruntime cannot open alone
    mlflow.onnx.save_model(
        onnx.load(file),
        str(folder),
        save_as_external_data=False,
        pip_requirements=_REQUIREMENTS,
        onnx_execution_providers=["CPUExecutionProvider"],
    )
    shutil.copyfile(file, folder / "model.onnx")


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Translate MLflow's errors into ours."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    try:
        yield
    except (PermanentError, ServiceUnavailable):
        raise
    except Exception as error:
        from mlflow.exceptions import MlflowException

        if not isinstance(error, MlflowException | OSError):
            raise
        status = error.get_http_status_code() if isinstance(error, MlflowException) else 503
        kind = ServiceUnavailable if status >= 500 or status == 429 else PermanentError
        raise kind(f"{doing} in MLflow: {_described(error)}") from None


def _described(error: Exception) -> str:
    """Return what MLflow's server said; of a request that failed otherwise, the type of the error alone."""
    text = str(error)
    if not text.startswith(_FAILED_REQUEST) and not isinstance(error, OSError):
        return hidden(text, *(os.environ.get(name, "") for name in (*_SIGN_IN, _TOKEN)))
    return described(error.__cause__ or error.__context__ or error)
