"""The checks of `octospoon doctor` in Label Studio, MLflow and the HTTP interfaces of the stack."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import httpx

from octospoon.adapters.http_errors import described
from octospoon.adapters.label_studio.setup import ACTIONS, SAMPLING, SECRET_HEADER, LabelStudioSetup
from octospoon.adapters.label_studio.webhook import TEST_ACTION
from octospoon.adapters.mlflow.alias import MlflowAlias, MlflowVersions
from octospoon.adapters.mlflow.rest import MlflowRefused
from octospoon.adapters.tls import tls_settings
from octospoon.cli.deploy.urls import endpoint_for_label_studio, predict_url, webhook_url
from octospoon.cli.doctor.check import Check
from octospoon.cli.operations.labelling_tasks import open_tasks
from octospoon.cli.operations.predict import predict_secret
from octospoon.cli.operations.run_now import REMOVALS_ADVICE
from octospoon.cli.operations.status import describe_uncounted
from octospoon.domain.errors import NotConfigured, ServiceUnavailable
from octospoon.domain.health import (
    interface_problems,
    not_ours_problem,
    our_webhooks,
    removals_problem,
    webhook_problems,
)
from octospoon.domain.secrets import header_secret, hidden

if TYPE_CHECKING:
    from octospoon.adapters.mlflow.rest import MlflowApi
    from octospoon.cli.deployment import Deployment

_SECONDS = 35.0
_EXAMPLES = 3
_DELETE_NOT_OURS = (
    "delete them in the Data Manager (select them, then Delete Tasks), and do not press Sync Storage: "
    "octospoon makes its tasks itself"
)
_UNAUTHORIZED = 401
_CONNECT = "`octospoon label-studio-connect --url … --project …` registers it again"
_SETTINGS = "check the parameters of the stack, and deploy again"


def checks() -> list[Check]:
    """Return the independent checks of the services."""
    return [
        Check(
            "Label Studio",
            _label_studio,
            f"start it, or {_SETTINGS}: LabelStudioUrl, LabelStudioProject, LabelStudioTokenSecretArn",
        ),
        Check("tasks", _tasks, _DELETE_NOT_OURS),
        Check("labels", _labels, REMOVALS_ADVICE),
        Check("task type", _task_type, ""),
        Check(
            "labelling interface",
            _interface,
            "change it in the project's settings under Labeling Interface; or replace it: "
            "`octospoon label-studio-project --replace-interface`",
        ),
        Check(
            "answers",
            _answers,
            "open these tasks in Label Studio and update the answer; if the interface or the classes are "
            "wrong, correct them and run `octospoon reconcile --full`",
        ),
        Check("order of tasks", _order, "`octospoon label-studio-connect` sets it"),
        Check("webhook", _webhook, _CONNECT),
        Check("webhook's address", _webhook_address, "`octospoon logs webhook` shows its log"),
        Check("test delivery", _test_delivery, _CONNECT),
        Check("predict's address", _predict_address, "`octospoon logs predict` shows its log"),
        Check(
            "MLflow",
            _mlflow,
            f"start it, or {_SETTINGS}: MlflowTrackingUri, MlflowUsername, MlflowPasswordSecretArn",
        ),
    ]


def _label_studio(deployment: Deployment) -> str:
    project = deployment.label_studio_project
    with closing(deployment.label_studio()) as api:
        release = api.call("GET", "/api/version").get("release", "of unknown version")
    return f"version {release} at {api.url}, project {project}"


def _tasks(deployment: Deployment) -> str:
    with open_tasks(deployment) as tasks:
        counts, not_ours = tasks.counts(), tasks.not_ours(_EXAMPLES)
    if not_ours:
        raise NotConfigured(not_ours_problem(counts, [(task.id, task.data) for task in not_ours]))
    return f"{counts.waiting:,} wait, {counts.skipped:,} skipped, {counts.abandoned:,} abandoned"


def _labels(deployment: Deployment) -> str:
    proposal = deployment.proposals.read()
    if proposal.waits:
        raise NotConfigured(removals_problem(proposal))
    return "none waits for its removal"


def _task_type(deployment: Deployment) -> str:
    deployment.task_type_record.check()
    kept = deployment.task_type_record.read()
    return f"{deployment.task_type.name}, as all labels are" if kept else deployment.task_type.name


def _interface(deployment: Deployment) -> str:
    with closing(deployment.label_studio()) as api:
        labeler = deployment.labeler(api)
        interface = labeler.interface()
    history = deployment.class_record().read()
    if problems := interface_problems(interface, history) + labeler.control.problems(interface):
        raise NotConfigured("; ".join(problems))
    aliases = f", {len(interface.shown)} of them by an alias" if interface.shown else ""
    others = f"; answers to {', '.join(interface.others)} are not read" if interface.others else ""
    return f"offers all {len(history.names)} classes{aliases}{others}"


def _answers(deployment: Deployment) -> str:
    uncounted = deployment.labels.uncounted(_EXAMPLES)
    if uncounted.total:
        raise NotConfigured(f"{uncounted.total:,} answers do not count: {describe_uncounted(uncounted)}")
    return "every answer counts"


def _order(deployment: Deployment) -> str:
    """Check that tasks are labelled in the order of their creation, so that batches stay balanced."""
    with closing(deployment.label_studio()) as api:
        project = api.call("GET", f"/api/projects/{deployment.label_studio_project}")
    if project.get("sampling") != SAMPLING:
        raise NotConfigured(
            f"the project uses {project.get('sampling')}, so a half-labelled batch does not have every share "
            f"in proportion; it needs {SAMPLING}"
        )
    return f"{SAMPLING}, in the order of the batches"


def _webhook(deployment: Deployment) -> str:
    with closing(deployment.label_studio()) as api:
        hooks = LabelStudioSetup(api).webhooks(deployment.label_studio_project)
    url = webhook_url(deployment.outputs, endpoint_for_label_studio(deployment))
    problems = webhook_problems(hooks, url, SECRET_HEADER, ACTIONS)
    if problems:
        raise NotConfigured("; ".join(problems))
    return f"active, with its header, calls {url} for {len(ACTIONS)} actions"


def _test_delivery(deployment: Deployment) -> str:
    """Send a test request with the headers of Label Studio and a body that changes no label."""
    with closing(deployment.label_studio()) as api:
        hooks = LabelStudioSetup(api).webhooks(deployment.label_studio_project)
    registered = webhook_url(deployment.outputs, endpoint_for_label_studio(deployment))
    url = webhook_url(deployment.outputs, deployment.endpoint_url)
    ours = our_webhooks(hooks, registered, SECRET_HEADER)
    if not ours:
        raise NotConfigured("there is no webhook to test")
    headers = {name: header_secret(f"header {name}", value) for name, value in ours[0].headers.items()}
    answer = _asked("POST", url, headers, json={"action": TEST_ACTION})
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise NotConfigured(
            f"the webhook refuses the header {SECRET_HEADER} that Label Studio sends: it is not the secret "
            "of the stack, or the secret changed within the last five minutes"
        )
    if (answer.status_code, answer.text) != (httpx.codes.OK, "ignored"):
        text = hidden(answer.text, *headers.values())[:200]
        raise ServiceUnavailable(f"{url} answered {answer.status_code}, not 200 ignored: {text}")
    return f"{url} accepts what Label Studio sends"


def _webhook_address(deployment: Deployment) -> str:
    """Call without the secret: a refusal shows that the function answers."""
    url = webhook_url(deployment.outputs, deployment.endpoint_url)
    return _answered("POST", url, {}, _UNAUTHORIZED)


def _predict_address(deployment: Deployment) -> str:
    url = f"{predict_url(deployment.outputs, deployment.endpoint_url)}/health"
    return _answered("GET", url, {SECRET_HEADER: predict_secret(deployment)}, httpx.codes.OK)


def _answered(method: str, url: str, headers: dict[str, str], status: int) -> str:
    answer = _asked(method, url, headers)
    if answer.status_code != status:
        text = hidden(answer.text, *headers.values())[:200]
        raise ServiceUnavailable(f"{url} answered {answer.status_code}, not {status}: {text}")
    return f"{url} answers"


def _asked(
    method: str, url: str, headers: dict[str, str], json: dict[str, str] | None = None
) -> httpx.Response:
    try:
        return httpx.request(method, url, headers=headers, json=json, timeout=_SECONDS, verify=tls_settings())
    except httpx.HTTPError as error:
        raise ServiceUnavailable(f"{url} does not answer: {described(error)}") from None


def _mlflow(deployment: Deployment) -> str:
    api = deployment.mlflow
    if api is None:
        return "not configured: training jobs number the versions of the models"
    model = deployment.settings["OCTOSPOON_MODEL_NAME"]
    alias, serving = MlflowAlias(api, model).read(), deployment.champions.pointer()
    version = serving[0].version if serving else 0
    if version > 0 and MlflowVersions(api, model).find(version) is None:
        raise NotConfigured(
            f"version {version} of {model} is in service, but {api.server} does not have it: it was deleted, "
            "or the registry was reset. The version keeps serving. Restore the registry if you have a copy, "
            "roll back, or wait for the next promotion"
        )
    champion = "no champion yet" if alias is None else f"its champion is version {alias}"
    return f"{_version(api)} at {api.server}, {champion}"


def _version(api: MlflowApi) -> str:
    try:
        return f"version {api.version()}"
    except MlflowRefused:  # DagsHub does not have this address
        return "of unknown version"
