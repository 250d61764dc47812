"""Set up a Label Studio project. Existing objects are updated, so the setup can be repeated at any time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from octospoon.adapters.label_studio.interface import OtherKind
from octospoon.adapters.label_studio.labelling_interface import history_of
from octospoon.domain.errors import BadRequest, NotConfigured
from octospoon.domain.health import Webhook
from octospoon.domain.labelling.classes import ClassHistory
from octospoon.domain.secrets import header_secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.adapters.label_studio.api import LabelStudioApi
    from octospoon.adapters.label_studio.control import Control

LOG = logging.getLogger(__name__)
_PAGE = 100
SECRET_HEADER = "X-Octospoon-Secret"  # noqa: S105 - the header's name
ACTIONS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED")
_KEPT = (
    "project %d keeps its labelling interface, which was changed by hand; `octospoon doctor` says what is "
    "missing, `octospoon label-studio-project --replace-interface` replaces it"
)
_EMPTY = "<View></View>"  # the interface of a new project
SAMPLING = "Sequential sampling"
"""Label Studio gives tasks to annotators in the order of creation, which keeps the order of a batch."""


@dataclass(frozen=True, slots=True)
class S3Access:
    """The access of Label Studio to the images bucket.

    Attributes:
        bucket: name of the images bucket.
        endpoint_url: address of S3; empty for AWS.
        region: of the bucket.
        access_key: empty to let Label Studio use its own role; None to keep what Label Studio has.
        secret_key: of the access key.
        presign: True redirects browsers to S3; False makes Label Studio proxy the bytes.
    """

    bucket: str
    endpoint_url: str = ""
    region: str = "us-east-1"
    access_key: str | None = ""
    secret_key: str = ""
    presign: bool = True


class LabelStudioSetup:
    """Creates or updates a project, its storage and its webhook."""

    def __init__(self, api: LabelStudioApi) -> None:
        self._api = api

    def project(
        self,
        title: str,
        classes: Sequence[str],
        control: Control,
        history: ClassHistory | None = None,
        *,
        replace_interface: bool = False,
    ) -> int:
        """Create or update the project with this title; return its id.

        A labelling interface that people changed stays as it is.

        Args:
            title: of the project.
            classes: that annotators choose from.
            control: of the task type.
            history: of these classes. None if it is unknown: then aliases in the present interface say which
                classes were renamed.
            replace_interface: replace a labelling interface that people changed.

        Raises:
            NotConfigured: the project has the interface of another task type.
        """
        settings = {"title": title, "sampling": SAMPLING, "show_collab_predictions": True}
        project = self._titled(title.strip())  # as Label Studio stores it
        path = "/api/projects" if project is None else f"/api/projects/{project['id']}"
        interface = "" if project is None else self._api.call("GET", path).get("label_config") or ""
        history = _history_of(interface, control) if history is None else history
        names = dict.fromkeys(map(history.shown, classes))
        settings["label_config"] = control.written(tuple(names), history.stored)
        if project is None:
            return int(self._api.call("POST", path, json=settings)["id"])
        if not (replace_interface or interface in ("", _EMPTY) or control.wrote(interface, history)):
            _check_kind(project["id"], interface, control)
            LOG.warning(_KEPT, project["id"])
            del settings["label_config"]
        self._api.call("PATCH", path, json=settings)
        return int(project["id"])

    def instruct(self, project: int, instruction: str) -> None:
        """Show an instruction, as HTML, to annotators before they label."""
        shown = {"expert_instruction": instruction, "show_instruction": True}
        self._api.call("PATCH", f"/api/projects/{project}", json=shown)

    def offer(self, project: int, history: ClassHistory, control: Control) -> bool:
        """Let annotators choose from the current classes; return False if people changed the interface.

        Args:
            project: id of the project.
            history: the classes.
            control: of the task type.
        """
        path, wanted = f"/api/projects/{project}", control.written(history.names, history.stored)
        interface = self._api.call("GET", path).get("label_config") or ""
        if interface not in ("", _EMPTY) and not control.wrote(interface, history):
            return False
        if interface != wanted:
            self._api.call("PATCH", path, json={"label_config": wanted})
        return True

    def order(self, project: int) -> None:
        """Give tasks to annotators in the order of the batches."""
        self._api.call("PATCH", f"/api/projects/{project}", json={"sampling": SAMPLING})

    def storage(self, project: int, access: S3Access) -> None:
        """Let the project read the images bucket. It is never synchronised, which would duplicate tasks."""
        settings = {
            "project": project,
            "title": "octospoon images",
            "bucket": access.bucket,
            "region_name": access.region,
            "s3_endpoint": access.endpoint_url or None,
            "presign": access.presign,
            "use_blob_urls": False,
        }
        if access.access_key is not None:
            keys = {"aws_access_key_id": access.access_key, "aws_secret_access_key": access.secret_key}
            settings |= keys | {"aws_session_token": ""}
        storage = self._storage(project, access.bucket)
        if storage is None:
            self._api.call("POST", "/api/storages/s3", json=settings)
        else:
            self._api.call("PATCH", f"/api/storages/s3/{storage['id']}", json=settings)

    def has_storage(self, project: int, bucket: str) -> bool:
        """Return whether the project reads a bucket already."""
        return self._storage(project, bucket) is not None

    def webhook(self, project: int, url: str, secret: str) -> None:
        """Create or update the webhook that sends annotation events, with the secret in a header.

        Raises:
            NotConfigured: the secret cannot be sent in a header. Label Studio would lose events silently.
        """
        settings = {
            "url": url,
            "headers": {SECRET_HEADER: header_secret("of the webhook", secret)},
            "actions": list(ACTIONS),
            "send_payload": True,
            "send_for_all_actions": False,
            "is_active": True,
            "project": project,
        }
        hooks = self._hooks(project)
        ours = [hook for hook in hooks if SECRET_HEADER in (hook.get("headers") or {})]
        for extra in ours[1:]:
            self._api.call("DELETE", f"/api/webhooks/{extra['id']}/")
        if ours:
            self._api.call("PATCH", f"/api/webhooks/{ours[0]['id']}/", json=settings)
        else:
            self._api.call("POST", "/api/webhooks/", json=settings)

    def webhooks(self, project: int) -> list[Webhook]:
        """Return all webhooks of a project. The values of their headers are secret."""
        return [
            Webhook(
                url=hook["url"],
                active=bool(hook["is_active"]),
                payload=bool(hook["send_payload"]),
                every_action=bool(hook["send_for_all_actions"]),
                actions=frozenset(hook.get("actions") or ()),
                headers=hook.get("headers") or {},
            )
            for hook in self._hooks(project)
        ]

    def _hooks(self, project: int) -> list[dict[str, Any]]:
        return self._list(f"/api/webhooks/?project={project}")

    def _titled(self, title: str) -> dict[str, Any] | None:
        """Return the project with exactly this title. Label Studio lists every title that contains it."""
        asked: dict[str, Any] = {"title": title, "page_size": _PAGE, "page": 1}
        while True:
            answer = self._api.call("GET", "/api/projects", params=asked)
            for project in answer["results"]:
                if project["title"] == title:
                    return dict(project)
            if not answer.get("next"):
                return None
            asked["page"] += 1

    def _storage(self, project: int, bucket: str) -> dict[str, Any] | None:
        storages = self._list(f"/api/storages/s3?project={project}")
        return next((storage for storage in storages if storage.get("bucket") == bucket), None)

    def _list(self, path: str) -> list[dict[str, Any]]:
        answer = self._api.call("GET", path)
        return list(answer["results"] if isinstance(answer, dict) else answer)


def _history_of(label_config: str, control: Control) -> ClassHistory:
    """Return the classes of an interface, as its aliases say; none if it cannot be read."""
    try:
        return history_of(control.parsed(label_config))
    except BadRequest:
        return ClassHistory()


def _check_kind(project: int, label_config: str, control: Control) -> None:
    """Refuse an interface that asks for another kind of label; raises NotConfigured."""
    try:
        control.parsed(label_config)
    except OtherKind as error:
        raise NotConfigured(
            f"{error} (Label Studio project {project}). Rename that project, so that a new one is made, or "
            "replace its interface: `octospoon label-studio-project --replace-interface`. Nothing was changed"
        ) from error
    except BadRequest as error:
        LOG.debug("%s", error)  # `doctor` says it too
