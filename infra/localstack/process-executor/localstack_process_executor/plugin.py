"""The entry point that LocalStack loads when LAMBDA_RUNTIME_EXECUTOR is `process`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin

if TYPE_CHECKING:
    from localstack_process_executor.executor import ProcessRuntimeExecutor


class ProcessRuntimeExecutorPlugin(RuntimeExecutorPlugin):
    """Names the executor, and imports it at first use."""

    name = "process"

    def load(self, *_args: object, **_kwargs: object) -> type[ProcessRuntimeExecutor]:
        """Return the executor's class."""
        from localstack_process_executor.executor import ProcessRuntimeExecutor

        return ProcessRuntimeExecutor
