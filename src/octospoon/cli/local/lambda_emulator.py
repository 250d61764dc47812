"""Run a built function under AWS's emulator of Lambda, without Docker: the SAM command line contains it."""

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
    """The answer of the function, and the time that the caller waited for it."""

    value: Any
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Emulator:
    """One execution environment. Its process starts with the first invocation and stays for the next ones.

    Attributes:
        client: connected to the address of the function.
        process: of the emulator, which starts the process of the function.
    """

    client: httpx.Client
    process: Supervised

    def invoke(self, event: object) -> Answer:
        """Invoke the function with an event.

        Raises:
            ServiceUnavailable: the function failed, timed out or ended.
        """
        began = time.perf_counter()
        try:
            response = self.client.post(INVOKE, content=json.dumps(event))
        except httpx.HTTPError as error:
            raise failure(self.process, f"does not answer ({error!r})") from error
        milliseconds = (time.perf_counter() - began) * 1000
        value = _json(response.text)
        if response.is_error or value is _NO_JSON or (isinstance(value, dict) and "errorType" in value):
            log = tail(Path(self.process.log))
            raise ServiceUnavailable(
                f"the function failed: {response.text[:2000]}\n{self.process.log}:\n{log}"
            )
        return Answer(value, milliseconds)

    def init_milliseconds(self) -> float:
        """Return the duration of the start and import, as the emulator measured it."""
        durations = _INIT.findall(Path(self.process.log).read_text(errors="replace"))
        return float(durations[-1]) if durations else 0.0


@contextlib.contextmanager
def emulated(
    layout: Layout, artefact: Path, configuration: Mapping[str, Any], environment: Mapping[str, str]
) -> Iterator[Emulator]:
    """Run a built function until the block ends.

    Args:
        layout: of the checkout.
        artefact: the folder of the built function.
        configuration: of the deployed function, as Lambda describes it.
        environment: variables in addition to those of the configuration.

    Raises:
        NotConfigured: the built function or the emulator is missing.
    """
    if not (artefact / "app.py").is_file():
        raise NotConfigured(f"{artefact} has no built function: run `make build` first")
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
        NotConfigured: it is not installed, or does not exist for this machine.
    """
    processor = _PROCESSORS.get(platform.machine())
    if sys.platform != "linux" or processor is None:
        raise NotConfigured("AWS's emulator runs only on Linux: use `sam local invoke`, see CONTRIBUTING.md")
    environment = layout.home / "envs" / "sam"
    programs = sorted(environment.glob(_CARRIED + processor))
    if not programs:
        raise NotConfigured(f"{environment} has no emulator: run `make invoke`, which installs it")
    return programs[0]


def _command(layout: Layout, port: int, handler: str) -> list[str]:
    python = layout.program("lambda", "python")
    return [
        str(binary(layout)),
        *("--runtime-interface-emulator-address", f"{HOST}:{port}"),
        *("--runtime-api-address", f"{HOST}:{free_port()}"),
        *(str(python), "-m", "awslambdaric", handler),
    ]


def _environment(artefact: Path, configuration: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that Lambda sets, and those of the template."""
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
    """Return the answer as data. After a timeout it is plain text, which is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return _NO_JSON
