"""Build the training image with CodeBuild, where no Docker engine is at hand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from octospoon.adapters.aws.errors import code, translated
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from octospoon.cli.operations.aws.image.source import ImageSource

_POLL = 5.0
_LAST_LINES = 20
_LOOKED_AT = 20
"""Newest builds among which one that still runs is looked for."""
_ENDED_WELL = "SUCCEEDED"


class CodeBuild:
    """The CodeBuild project of one stack.

    Args:
        client: of CodeBuild.
        logs: a client of CloudWatch Logs.
        project: name of the project.
        progress: receives a line of text for each step.
        poll: seconds between two requests for a build's state.
    """

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - boto3's type is not installed
        logs: Any,  # noqa: ANN401
        project: str,
        progress: Callable[[str], None],
        poll: float = _POLL,
    ) -> None:
        self._client, self._logs = client, logs
        self._project, self._progress, self._poll = project, progress, poll

    def build(self, source: ImageSource, location: str) -> str | None:
        """Build and push an image; follow a build of this image that runs already.

        Args:
            source: of the image.
            location: of the archive of the sources, as BUCKET/KEY.

        Returns:
            None, or why the build failed, with the last lines of its log.

        Raises:
            NotConfigured: CodeBuild starts no build in this account.
            ServiceUnavailable: AWS did not answer.
        """
        with translated(f"building with the project {self._project}"):
            running = self._running(source.tag)
            if running:
                self._progress(f"following the build {running}, which runs already")
            return self._follow(running or self._start(source, location))

    def _running(self, tag: str) -> str | None:
        newest = self._client.list_builds_for_project(projectName=self._project, sortOrder="DESCENDING")
        ids = newest.get("ids", [])[:_LOOKED_AT]
        for build in self._client.batch_get_builds(ids=ids)["builds"] if ids else []:
            given = {
                variable["name"]: variable["value"]
                for variable in build["environment"]["environmentVariables"]
            }
            if not build.get("buildComplete", False) and given.get("IMAGE_TAG") == tag:
                return str(build["id"])
        return None

    def _start(self, source: ImageSource, location: str) -> str:
        variables = {
            "IMAGE_TAG": source.tag,
            "REQUIREMENTS": source.requirements,
            "BASE_IMAGE": source.mirrored_base_image,
        }
        try:
            # without an idempotency token: for five minutes it would return a build that has failed. Of two
            # builds at once the second cannot push, because a tag is never replaced
            started = self._client.start_build(
                projectName=self._project,
                sourceTypeOverride="S3",
                sourceLocationOverride=location,
                environmentVariablesOverride=[
                    {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()
                ],
            )
        except ClientError as error:
            if code(error) != "AccountLimitExceededException":
                raise
            raise NotConfigured(
                f"CodeBuild starts no build in this account ({error}). A new account may have none: ask "
                "Service Quotas for concurrent builds, or build with a Docker engine (--builder docker)"
            ) from error
        build = str(started["build"]["id"])
        self._progress(f"started the build {build}")
        return build

    def _follow(self, build: str) -> str | None:
        phase = ""
        while True:
            state = self._client.batch_get_builds(ids=[build])["builds"][0]
            if state.get("currentPhase", "") != phase:
                phase = state.get("currentPhase", "")
                self._progress(f"CodeBuild: {phase.lower().replace('_', ' ')}")
            if state.get("buildComplete", False):
                break
            time.sleep(self._poll)
        if state["buildStatus"] == _ENDED_WELL:
            return None
        causes = " ".join(_causes(state))
        lines = "\n".join(self._last_lines(state.get("logs", {})))
        return (
            f"the build {build} ended with {state['buildStatus']}. {causes}"
            f"{' The last lines of its log:' if lines else ' It has no log.'}\n{lines}"
        ).rstrip()

    def _last_lines(self, logs: dict[str, Any]) -> list[str]:
        group, stream = logs.get("groupName"), logs.get("streamName")
        if not group or not stream:
            return []
        try:
            events = self._logs.get_log_events(
                logGroupName=group, logStreamName=stream, limit=_LAST_LINES, startFromHead=False
            )["events"]
        except ClientError as error:
            return [f"(the log {group} cannot be read: {error})"]
        return [line for event in events if (line := event["message"].rstrip())]


def _causes(state: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each reason that CodeBuild gives."""
    for phase in state.get("phases", []):
        for context in phase.get("contexts", []):
            if message := context.get("message", "").strip():
                yield f"In {phase['phaseType']}: {message.rstrip('.')}."
