"""Run each Lambda execution environment as a process, for LAMBDA_RUNTIME_EXECUTOR=process.

LAMBDA_PROCESS_PYTHON names the interpreter that has `awslambdaric` (default: LocalStack's interpreter).
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from localstack.aws.api.lambda_ import PackageType
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from localstack_process_executor import bootstrap
from localstack_process_executor.runtime_api import Invocation, RuntimeApi, error_body

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = "127.0.0.1"
TAIL = 2000


@functools.cache
def lifeline() -> int:
    """Return the read end of a pipe whose write end LocalStack holds until it ends."""
    read, _write = os.pipe()
    return read


class ProcessRuntimeExecutor(RuntimeExecutor):
    """One execution environment: a Runtime API, a process that polls it, a log file, a temporary folder."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:  # noqa: A002 - its name in LocalStack
        super().__init__(id=id, function_version=function_version)
        self._api = RuntimeApi()
        self._work_dir = Path(tempfile.mkdtemp(prefix=f"lambda-{id[:8]}-"))
        self._log_file = self._work_dir / "runtime.log"
        self._reported = 0  # bytes of the log that earlier invocations have returned
        self._env: dict[str, str] = {}
        self._root = self._work_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._init_ms = 0.0
        self._stopped = False

    def start(self, env_vars: Mapping[str, object]) -> None:
        """Start the runtime and wait until it asks for its first event."""
        code = self.function_version.config.code
        self._root = code.get_unzipped_code_location()
        self._env = self._environment(env_vars)
        self._spawn()

    def stop(self) -> None:
        """End the runtime and remove its files."""
        self._stopped = True
        if self._api.current:
            self._api.current.finish(error_body("Runtime.Stopped", "environment stopped"), is_error=True)
        self._kill()
        self._api.close()
        shutil.rmtree(self._work_dir, ignore_errors=True)

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        """Pass one event through the runtime, restarting it if the last invocation ended it."""
        if self._exit_code() is not None:
            self._api.reset()
            self._spawn()
        init_ms, self._init_ms = self._init_ms, 0.0
        timeout = self.function_version.config.timeout
        started = time.perf_counter()
        invocation = self._api.submit(
            payload["invoke-id"],
            payload["payload"].encode(),
            payload["invoked-function-arn"],
            payload["trace-id"],
            timeout,
        )
        self._wait(invocation, started + timeout)
        logs = self._logs_of(invocation.request_id, (time.perf_counter() - started) * 1000, init_ms)
        return InvocationResult(
            invocation.request_id, invocation.body, is_error=invocation.is_error, logs=logs
        )

    def get_address(self) -> str:
        """Return the address of the runtime: this machine."""
        return HOST

    def get_endpoint_from_executor(self) -> str:
        """Return the address of LocalStack for the runtime: this machine."""
        return HOST

    def get_runtime_endpoint(self) -> str:
        """Return an unused address: only LocalStack's init program speaks that protocol."""
        return f"http://{HOST}/unused"

    def get_logs(self) -> str:
        """Return the whole output of the environment."""
        return self._read_log(0).decode(errors="replace")

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Unpack the code and the layers; raise NotImplementedError for functions that cannot run here."""
        config = function_version.config
        if config.package_type == PackageType.Image or not (config.runtime or "").startswith("python"):
            what = config.runtime or "container images"
            raise NotImplementedError(f"the process executor runs Python from zip archives, not {what}")
        config.code.prepare_for_execution()
        for layer in config.layers:
            layer.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """Do nothing: LocalStack removes the unpacked code itself."""

    def _environment(self, env_vars: Mapping[str, object]) -> dict[str, str]:
        """Return the environment variables that Lambda sets, without those of LocalStack's process."""
        config = self.function_version.config
        tmp = self._work_dir / "tmp"
        tmp.mkdir(exist_ok=True)
        layers = [f"{layer.code.get_unzipped_code_location()}/python" for layer in config.layers]
        given = {key: str(value) for key, value in env_vars.items()}
        return {
            "PATH": f"{_python().parent}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TMPDIR": str(tmp),
            "PYTHONUNBUFFERED": "1",
            **given,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.runtime}",
            "LAMBDA_TASK_ROOT": str(self._root),
            "_HANDLER": config.handler,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(self._root), *layers, given.get("PYTHONPATH")])),
        }

    def _spawn(self) -> None:
        started = time.perf_counter()
        handler = self.function_version.config.handler
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(_python()), bootstrap.__file__, str(lifeline()), handler],
                env=self._env,
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lifeline()],
                start_new_session=True,
            )
        while not self._api.ready.wait(0.02):
            if self._stopped or self._exit_code() is not None:
                what = f"Runtime exited during init with code {self._exit_code()}: {self.get_logs()[-TAIL:]}"
                raise StatusErrorException(
                    "Environment startup failed", payload=error_body("Runtime.ExitError", what)
                )
        if self._api.init_error is not None:
            raise StatusErrorException("Environment startup failed", payload=self._api.init_error)
        self._init_ms = (time.perf_counter() - started) * 1000

    def _exit_code(self) -> int | None:
        return self._process.poll() if self._process else None

    def _kill(self) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(5)

    def _wait(self, invocation: Invocation, deadline: float) -> None:
        """Wait for the answer, the function's time-out, or the end of its process."""
        while not invocation.done.wait(0.05):
            if time.perf_counter() > deadline:
                self._kill()
                invocation.finish(_timed_out(invocation.request_id, self.function_version), is_error=True)
            elif (code := self._exit_code()) is not None:
                what = f"exit status {code}" if code >= 0 else f"signal: {-code}"
                message = f"RequestId: {invocation.request_id} Error: Runtime exited with error: {what}"
                invocation.finish(error_body("Runtime.ExitError", message), is_error=True)

    def _logs_of(self, request_id: str, duration: float, init_ms: float) -> str:
        """Return the log as Lambda writes it: the output between START, END and REPORT."""
        output = self._read_log(self._reported)
        self._reported += len(output)
        config, version = self.function_version.config, self.function_version.id.qualifier
        report = (
            f"REPORT RequestId: {request_id}\tDuration: {duration:.2f} ms\t"
            f"Billed Duration: {int(duration) + 1} ms\tMemory Size: {config.memory_size} MB\t"
            f"Max Memory Used: {self._peak_rss_mb()} MB"
        )
        if init_ms:
            report += f"\tInit Duration: {init_ms:.2f} ms"
        start, end = f"START RequestId: {request_id} Version: {version}", f"END RequestId: {request_id}"
        printed = output.decode(errors="replace").rstrip("\n")
        return "\n".join(filter(None, [start, printed, end, report]))

    def _read_log(self, offset: int) -> bytes:
        try:
            with self._log_file.open("rb") as log:
                log.seek(offset)
                return log.read()
        except OSError:
            return b""

    def _peak_rss_mb(self) -> int:
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text() if self._process else ""
        except OSError:  # the process is gone, or the system has no /proc
            return 0
        return next(
            (int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0
        )


def _python() -> Path:
    return Path(os.environ.get("LAMBDA_PROCESS_PYTHON") or sys.executable)


def _timed_out(request_id: str, function_version: FunctionVersion) -> bytes:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    seconds = function_version.config.timeout
    return json.dumps(
        {"errorMessage": f"{now}Z {request_id} Task timed out after {seconds:.2f} seconds"}
    ).encode()
