"""MLflow as experiment tracker and model registry, limited to calls that DagsHub supports.

DagsHub has no logged-models API, so `mlflow.onnx.log_model` cannot be used. Instead, the model folder is
saved locally and logged as plain artefacts, and the version is created by name and source. MLflow takes
seconds to import, so it is imported at first use.
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
from octospoon.adapters.mlflow.epochs import EpochLog
from octospoon.adapters.mlflow.page_link import DESCRIPTION_TAG, description
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
    """Implements `octospoon.ports.training.Registry`; MLflow's own variables set server and sign-in."""

    def __init__(self, model_name: str, experiment: str) -> None:
        self._model_name = model_name
        self._experiment = experiment
        self._client: MlflowClient | None = None
        self._epochs = EpochLog()

    def begin(self, job_id: str, tags: Mapping[str, str], claim: Callable[[int], int]) -> ModelRun:
        """Open a job's run and reserve a model version; the same job gets the same run and version again."""
        with translated("opening the run"):
            client = self._connect()
            run_id = self._run(client, job_id)
            for key, value in tags.items():
                client.set_tag(run_id, key, value)
            run = self._version(client, run_id, job_id, claim)
            client.set_tag(run_id, DESCRIPTION_TAG, description(run.version))
            self._epochs.begin(job_id, run_id)
            return run

    def follow(self, job_id: str, epochs: Sequence[Mapping[str, float]]) -> None:
        """Log the epochs of a job's model so far, while it is trained."""
        with translated("logging the epochs"):
            self._epochs.log(self._connect(), self._epochs.run_of(job_id), epochs)

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
            client.log_batch(
                run.run_id,
                metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
                params=[Param(key, value[:_PARAM_LENGTH]) for key, value in params.items()],
            )
            self._epochs.log(client, run.run_id, epochs)
            client.log_artifacts(run.run_id, str(files))

    def trained_on(self, run: ModelRun, data: TrainingData) -> None:
        """Record the run's data set; do nothing if the server does not support data sets, such as DagsHub."""
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        source = json.dumps({"uri": data.uri})
        profile = json.dumps({"num_rows": data.images})
        dataset = Dataset(data.name, data.sha256[:_DIGEST_LENGTH], "s3", source, None, profile)
        with translated("recording the data set"):
            try:
                used = DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
                self._connect().log_inputs(run.run_id, [used])
            except MlflowException as error:
                _log.warning("the run has no data set, because the server refused it: %s", _described(error))

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
            for other in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
                if JOB_TAG in other.data.tags and other.info.run_id != run.run_id:
                    client.set_terminated(other.info.run_id, "KILLED")

    def _connect(self) -> MlflowClient:
        if self._client is None:
            self._client = connect()
        return self._client

    def _run(self, client: MlflowClient, job_id: str) -> str:
        experiment = experiment_id(client, self._experiment)
        runs = client.search_runs([experiment], f"tags.`{JOB_TAG}` = '{job_id}'", max_results=1)
        if runs:
            client.set_terminated(runs[0].info.run_id, "RUNNING")
            return str(runs[0].info.run_id)
        run = client.create_run(experiment, tags={JOB_TAG: job_id}, run_name=job_id)
        return str(run.info.run_id)

    def _version(
        self, client: MlflowClient, run_id: str, job_id: str, claim: Callable[[int], int]
    ) -> ModelRun:
        from mlflow.exceptions import MlflowException

        # read the run's own tags: DagsHub's search of versions is not reliable
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
        """Return True if the registry still has this run's version; after a reset it may be another run's."""
        from mlflow.exceptions import MlflowException

        try:
            return bool(client.get_model_version(self._model_name, number).run_id == run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise


def _number(run: ModelRun) -> str:
    """Return the registry's number of a run's version."""
    return str(run.registered or run.version)


def connect() -> MlflowClient:
    """Return a client of the server that MLflow's environment variables name.

    Raises:
        NotConfigured: no server is named, or the sign-in cannot be sent.
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
    """Set MLflow's environment variables so that no error can quote a secret; return the address."""
    for name, value in _LIMITS.items():
        os.environ.setdefault(name, value)
    if server.startswith("http"):
        server, sign_in = split_sign_in("MLFLOW_TRACKING_URI", server)
        os.environ["MLFLOW_TRACKING_URI"] = server
        for name, value in zip(_SIGN_IN, sign_in, strict=True):
            if value:
                os.environ.setdefault(name, value)
    for name in _SIGN_IN:
        if os.environ.get(name):
            os.environ[name] = checked_secret(name, os.environ[name])
    if os.environ.get(_TOKEN):
        os.environ[_TOKEN] = header_secret(_TOKEN, os.environ[_TOKEN])
    return server


def experiment_id(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment; create it if it is missing."""
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        with contextlib.suppress(MlflowException):  # another process may have created it just now
            return str(client.create_experiment(name))
        experiment = client.get_experiment_by_name(name)
    if experiment is None:
        raise PermanentError(f"MLflow has no experiment {name!r} and cannot create it")
    if experiment.lifecycle_stage != "active":
        raise PermanentError(
            f"MLflow's experiment {name!r} was deleted: restore it (`mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}`), or set another name with ExperimentName"
        )
    return str(experiment.experiment_id)


def _save_model(file: Path, folder: Path) -> None:
    """Write MLflow's model folder with `file` as its ONNX file, byte for byte."""
    import mlflow.onnx
    import onnx

    # with external data, onnxruntime could not open model.onnx on its own
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
    """Raise MLflow's errors as errors of `octospoon.domain.errors`."""
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
    """Return the server's message; for a request without an answer, only the type of the error."""
    text = str(error)
    if not text.startswith(_FAILED_REQUEST) and not isinstance(error, OSError):
        return hidden(text, *(os.environ.get(name, "") for name in (*_SIGN_IN, _TOKEN)))
    return described(error.__cause__ or error.__context__ or error)
