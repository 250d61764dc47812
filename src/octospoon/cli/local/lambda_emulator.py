"""A built function under AWS's own emulator of Lambda, which the SAM command line carries: no Docker."""

from __future__ import annotations

import contextlib
import json
import platform
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from octospoon.cli.operations.waiting import wait_for
from octospoon.cli.stack.health import failure, tail
from octospoon.cli.stack.ports import HOST, Listener, free_port, listener
from octospoon.cli.stack.process import end, lifeline, spawn
from octospoon.domain.errors import NotConfigured, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from octospoon.cli.stack.layout import Layout
    from octospoon.cli.stack.process import Supervised

INVOKE = "/2015-03-31/functions/function/invocations"
_PROCESSORS = {"x86_64": "x86_64", "aarch64": "arm64"}
_CARRIED = "lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-"
_INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the function answered, and how long that took, as its caller sees it."""

    value: Any
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Emulator:
    """One execution environment: its process starts with the first invocation, and serves the others.

    Attributes:
        client: connected to where it is invoked.
        process: of the emulator, which starts the function's.
    """

    client: httpx.Client
    process: Supervised

    def invoke(self, event: object) -> Answer:
        """Pass one event to the function.

        Raises:
            ServiceUnavailable: the function failed, ran out of time or ended.
        """
        began = time.perf_counter()
        try:
            said = self.client.post(INVOKE, content=json.dumps(event))
        except httpx.HTTPError as error:
            raise failure(self.process, f"does not answer ({error!r})") from error
        milliseconds = (time.perf_counter() - began) * 1000
        value = _json(said.text)
        if said.is_error or value is _NO_JSON or (isinstance(value, dict) and "errorType" in value):
            log = tail(Path(self.process.log))
            raise ServiceUnavailable(f"the function failed: {said.text[:2000]}\n{self.process.log}:\n{log}")
        return Answer(value, milliseconds)

    def init_milliseconds(self) -> float:
        """Return what starting the process and importing the function took, by the emulator's own clock."""
        found = _INIT.findall(Path(self.process.log).read_text(errors="replace"))
        return float(found[-1]) if found else 0.0


@contextlib.contextmanager
def emulated(
    layout: Layout, artefact: Path, configuration: Mapping[str, Any], environment: Mapping[str, str]
) -> Iterator[Emulator]:
    """Run a built function for as long as the block takes.

    Args:
        layout: of the checkout.
        artefact: the folder that Lambda would unpack.
        configuration: the deployed function's, as Lambda describes it.
        environment: variables beside those that the configuration gives.

    Raises:
        NotConfigured: the artefact or the emulator is missing.
    """
    if not (artefact / "app.py").is_file():
        raise NotConfigured(f"{artefact} holds no artefact: run `make build` first")
    port, log = free_port(), layout.logs / "invoke" / f"{configuration['FunctionName']}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        process = spawn(
            "the runtime interface emulator",
            _command(layout, port, configuration["Handler"]),
            {**_environment(artefact, configuration), **environment, "TMPDIR": temporary},
            log=log,
            cwd=artefact,
            mark="invoke",
            lifeline=lifeline(),
        )
        try:
            wait_for("the emulator", lambda: _listens(process, port), seconds=_PATIENCE, interval=0.02)
            patience = configuration["Timeout"] + _PATIENCE
            with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=patience, trust_env=False) as client:
                yield Emulator(client, process)
        finally:
            end([process])


def binary(layout: Layout) -> Path:
    """Return the emulator for this machine's processor.

    Raises:
        NotConfigured: it is not installed, or there is none for this machine.
    """
    processor = _PROCESSORS.get(platform.machine())
    if sys.platform != "linux" or processor is None:
        raise NotConfigured("AWS's emulator runs on Linux alone: use `sam local invoke`, see CONTRIBUTING.md")
    environment = layout.home / "envs" / "sam"
    found = sorted(environment.glob(_CARRIED + processor))
    if not found:
        raise NotConfigured(f"{environment} holds no emulator: run `make invoke`, which installs it")
    return found[0]


def _command(layout: Layout, port: int, handler: str) -> list[str]:
    python = layout.program("lambda", "python")
    return [
        str(binary(layout)),
        *("--runtime-interface-emulator-address", f"{HOST}:{port}"),
        *("--runtime-api-address", f"{HOST}:{free_port()}"),
        *(str(python), "-m", "awslambdaric", handler),
    ]


def _environment(artefact: Path, configuration: Mapping[str, Any]) -> dict[str, str]:
    """Return what Lambda would give: its own variables, and the template's."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "en_US.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "LAMBDA_TASK_ROOT": str(artefact),
        "AWS_LAMBDA_FUNCTION_NAME": configuration["FunctionName"],
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(configuration["Timeout"]),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configuration["MemorySize"]),
        **configuration["Environment"]["Variables"],
    }


def _listens(process: Supervised, port: int) -> bool | None:
    if not process.alive():
        raise failure(process)
    return True if listener(port, process.pid) is Listener.US else None


_NO_JSON = object()


def _json(text: str) -> object:
    """Return the answer; a time-out is told in plain text."""
    try:
        return json.loads(text)
    except ValueError:
        return _NO_JSON
