"""Start the local stack with the data that it had when it stopped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from octospoon.adapters.aws.errors import translated
from octospoon.cli.deploy.deployer import check_order
from octospoon.cli.deployment import local_project, remember
from octospoon.cli.local import saved_settings
from octospoon.cli.local.assemble import BY_PATH, Addresses, assemble, deploy_template
from octospoon.cli.stack import attach, start
from octospoon.cli.stack.credentials import credentials
from octospoon.cli.stack.services import LABEL_STUDIO, LOCALSTACK, MLFLOW
from octospoon.runtime.settings import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from octospoon.cli.deployment import Deployment
    from octospoon.cli.local.assemble import LocalStack
    from octospoon.cli.local.saved_settings import UpSettings
    from octospoon.cli.stack.layout import Layout


def start_with_data(
    layout: Layout,
    settings: UpSettings,
    progress: Callable[[str], None],
    first_model: Callable[[], bytes],
) -> LocalStack:
    """Start the servers that do not run, with their data, and deploy octospoon onto them.

    Args:
        layout: of the checkout.
        settings: of the stack.
        progress: receives a line of text for each step.
        first_model: returns the model that a new stack begins with.

    Raises:
        NotConfigured: the class names do not fit the labels of the data.
        ServiceUnavailable: a server does not start.
    """
    resumption = Resumption(layout, settings, progress)
    if attach(layout.root) is None:
        saved_settings.remember(layout, settings)  # in case this is killed later
    servers = start(
        layout.root, progress=progress, detached=True, when_ready=resumption, listen=settings.host
    )
    stack = assemble(
        servers, settings.classes, progress, settings.parameters, first_model, resumption.outputs
    )
    for path in (layout.resumed_project, layout.project):
        remember(stack.project, path)
    resumption.repair(stack.deployment)
    return stack


class Resumption:
    """Deploys the template as soon as LocalStack answers: Label Studio needs longer to start.

    Args:
        layout: of the checkout.
        settings: of the stack.
        progress: receives a line of text for each step.

    Attributes:
        outputs: of the deployed template; None if LocalStack was not started, or if there are no data yet.

    Raises:
        NotConfigured: the class names do not fit the labels of the data.
    """

    def __init__(self, layout: Layout, settings: UpSettings, progress: Callable[[str], None]) -> None:
        self._layout, self._settings, self._progress = layout, settings, progress
        self._project = local_project(layout.resumed_project)
        self._ended_by_down = not layout.detached.exists()
        self.outputs: dict[str, str] | None = None
        if self._project is not None:
            check_order(listed(self._project.outputs.get("Classes", "")), settings.classes)

    def __call__(self, name: str, urls: Mapping[str, str]) -> None:
        """Deploy the template if the server that is ready is LocalStack, and if its data are complete."""
        if name != LOCALSTACK or self._project is None or not self._layout.resumed_project.exists():
            return
        token = credentials(self._layout.credentials).token
        addresses = Addresses(urls[LOCALSTACK], urls[LABEL_STUDIO], urls[MLFLOW], token)
        project_id = self._project.label_studio_project
        self._progress("giving functions, tables, buckets and queues their data again")
        before = self._project.outputs
        self.outputs = deploy_template(
            addresses, self._settings, project_id, BY_PATH, lambda _: None, before=before
        )

    def repair(self, deployment: Deployment) -> None:
        """Run `reconcile` in the background, after a crash with a full audit.

        Label Studio has what annotators did; the pool may lack the last seconds.
        """
        if self.outputs is None:
            return
        repair(deployment, self._progress, full=not self._ended_by_down)


def repair(deployment: Deployment, progress: Callable[[str], None], *, full: bool) -> None:
    """Run `reconcile` in the background, which repairs what a stop interrupted.

    Args:
        deployment: the stack, which has started with its data.
        progress: receives a line of text.
        full: whether every task is looked at, as after a crash.
    """
    progress("reconcile repairs in the background what the stop interrupted")
    with translated("starting reconcile"):
        deployment.client("lambda").invoke(
            FunctionName=deployment.outputs["ReconcileFunctionName"],
            InvocationType="Event",
            Payload=json.dumps({"full": full}).encode(),
        )
