"""The servers of the local stack: how each starts, and how it shows that it is ready."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import botocore

from octospoon.cli.stack.ports import HOST
from octospoon.cli.stack.seed import DATABASE, plant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from octospoon.cli.stack.credentials import Credentials
    from octospoon.cli.stack.layout import Layout

RECORD_REQUESTS = "OCTOSPOON_RECORD_REQUESTS"
"""The variable that names a file in which LocalStack records every request, for the tests."""
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")
LABEL_STUDIO = "label-studio"
LOCALSTACK = "localstack"
MLFLOW = "mlflow"
OBJECTS = "objects"
"""The folder of LocalStack's data that shows every S3 object under its key."""
DATABASES = {LABEL_STUDIO: DATABASE, MLFLOW: "mlflow.db", LOCALSTACK: "state.sqlite3"}
"""The file of each server's database, in the folder of its data."""
SETTINGS = {
    LOCALSTACK: {
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "SQS_ENDPOINT_STRATEGY": "path",
        "SQS_DISABLE_CLOUDWATCH_METRICS": "1",  # they cost a request for every message
        "LAMBDA_EVENT_SOURCE_MAPPING_POLL_INTERVAL_SEC": "0.2",
        "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC": "0.5",  # or a message waits ten seconds
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        "LAMBDA_SYNCHRONOUS_CREATE": "1",  # or CloudFormation waits five seconds for every function
        "PROVIDER_OVERRIDE_DYNAMODB": "moto",
        "PROVIDER_OVERRIDE_DYNAMODBSTREAMS": "moto",
        "PROVIDER_OVERRIDE_S3": "temporary",
    },
    LABEL_STUDIO: {
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_WEBHOOK_TIMEOUT": "5",
        "SSRF_PROTECTION_ENABLED": "false",  # images and the webhook are on this machine
        "ML_BLOCK_LOCAL_IP": "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "AWS_SDK_UA_APP_ID": LABEL_STUDIO,  # tells its requests from those of programs with the same keys
    },
    MLFLOW: {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    },
}
"""Environment variables of each server that are the same as a process and as a container."""


@dataclass(frozen=True)
class Place:
    """The place of a server.

    Attributes:
        layout: of the checkout.
        port: where it listens.
        data: the folder of its data.
        temp: the folder of its temporary files.
        credentials: how to sign in to Label Studio.
        keeps: whether a server that may forget its data keeps them.
        listen: the address at which Label Studio listens.
    """

    layout: Layout
    port: int
    data: Path
    temp: Path
    credentials: Credentials
    keeps: bool = False
    listen: str = HOST


@dataclass(frozen=True)
class Service:
    """A server of the stack.

    Attributes:
        name: what it is called, and the folder of its environment.
        requirements: the file that the environment was made from.
        health: the path that answers 200 once the server is ready.
        port: where the detached stack's server listens, if this port is free when it is first started.
        stateful: whether its data folder is copied from a template, because a first start is slow.
        prepare: fills an empty data folder before the first start.
        upgrade: returns a command that makes the database, or brings it to the server's version; None for a
            server that does this when it starts.
    """

    name: str
    requirements: str
    health: str
    port: int
    stateful: bool
    prepare: Callable[[Layout, Path], None] | None
    upgrade: Callable[[Place], list[str]] | None
    argv: Callable[[Place], list[str]]
    env: Callable[[Place], dict[str, str]]


def base_environment() -> dict[str, str]:
    """Return the variables that every program inherits: none that could change its behaviour."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def environment(service: Service, place: Place) -> Mapping[str, str]:
    """Return the whole environment of a server; its home and its temporary files are folders of ours."""
    # TEMP, not TMPDIR: LocalStack reads TMPDIR as one of its settings and warns
    return {**base_environment(), "HOME": str(place.data), "TEMP": str(place.temp), **service.env(place)}


def _localstack_argv(place: Place) -> list[str]:
    return [str(place.layout.program("localstack", "python")), "-m", "localstack.runtime.main"]


def _localstack_env(place: Place) -> dict[str, str]:
    kept = {"STATE_FOLDER": str(place.data)} if place.keeps else {}
    return {
        **SETTINGS[LOCALSTACK],
        **kept,
        **_recording(),
        "GATEWAY_LISTEN": f"{HOST}:{place.port}",
        "LOCALSTACK_HOST": f"{HOST}:{place.port}",
        "OVERRIDE_IN_DOCKER": "0",  # or it writes to /etc and /var/lib when it finds itself in a container
        "FILESYSTEM_ROOT": str(place.data / "filesystem"),
        "LAMBDA_PROCESS_PYTHON": str(place.layout.program("lambda", "python")),
    }


def _recording() -> dict[str, str]:
    """Return LocalStack's settings for a record, checked by the models of the botocore that we use."""
    file = os.environ.get(RECORD_REQUESTS)
    if not file:
        return {}
    models = Path(botocore.__file__).parent / "data"
    return {"RECORD_REQUESTS": str(Path(file).absolute()), "RECORD_REQUESTS_MODELS": str(models)}


def _label_studio_argv(place: Place) -> list[str]:
    program = str(place.layout.program("label-studio", "label-studio"))
    return [program, "start", "--no-browser", "--internal-host", place.listen, "--port", str(place.port)]


def _label_studio_env(place: Place) -> dict[str, str]:
    # other machines know this server by another address: without one, its pages use their own
    address = {"LABEL_STUDIO_HOST": f"http://{HOST}:{place.port}"} if place.listen == HOST else {}
    return {
        **SETTINGS[LABEL_STUDIO],
        **address,
        "LABEL_STUDIO_BASE_DATA_DIR": str(place.data),
        "LABEL_STUDIO_USERNAME": place.credentials.email,
        "LABEL_STUDIO_PASSWORD": place.credentials.password,
        "LABEL_STUDIO_USER_TOKEN": place.credentials.token,
    }


def _mlflow_argv(place: Place) -> list[str]:
    python = str(place.layout.program("mlflow", "python"))
    where = [_mlflow_database(place), str(place.data / "artifacts"), HOST, str(place.port)]
    return [python, "-m", "octospoon.adapters.mlflow.serve", *where]


def _mlflow_upgrade(place: Place) -> list[str]:
    return [str(place.layout.program("mlflow", "mlflow")), "db", "upgrade", _mlflow_database(place)]


def _mlflow_database(place: Place) -> str:
    return f"sqlite:///{place.data / DATABASES[MLFLOW]}"


def _mlflow_env(place: Place) -> dict[str, str]:
    return {
        **SETTINGS[MLFLOW],
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"localhost:*,{HOST}:*",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"http://{HOST}:{place.port}",
    }


SERVICES = {
    service.name: service
    for service in (
        Service(
            name=LABEL_STUDIO,
            requirements="label-studio",
            health="/health",
            port=8080,
            stateful=True,
            prepare=plant,
            upgrade=None,
            argv=_label_studio_argv,
            env=_label_studio_env,
        ),
        Service(
            name=MLFLOW,
            requirements="training",
            health="/health",
            port=5000,
            stateful=True,
            prepare=None,
            upgrade=_mlflow_upgrade,
            argv=_mlflow_argv,
            env=_mlflow_env,
        ),
        Service(
            name=LOCALSTACK,
            requirements="localstack",
            health="/_localstack/health",
            port=4566,
            stateful=False,
            prepare=None,
            upgrade=None,
            argv=_localstack_argv,
            env=_localstack_env,
        ),
    )
}
