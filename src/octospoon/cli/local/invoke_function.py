"""``make invoke FN=score EVENT=events/score.json``: run a built function on the running local stack's data.

The function of ``make build`` runs under AWS's emulator of Lambda, with the variables, the timeout and the
buckets of the deployed function. This tries a change of code without deploying it.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from octospoon.adapters.aws.errors import translated
from octospoon.cli.deploy import sam_template
from octospoon.cli.deployment import Deployment, local_project
from octospoon.cli.exit_status import run
from octospoon.cli.local import events
from octospoon.cli.local.assemble import BUILD_DIR, TEMPLATE
from octospoon.cli.local.lambda_emulator import Answer, emulated
from octospoon.cli.stack.layout import Layout
from octospoon.cli.stack.running import aws_environment
from octospoon.domain.errors import BadRequest, NotConfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.cli.deployment import LocalProject

_SUFFIX = "Function"

app = typer.Typer(add_completion=False)


@app.command(help=__doc__)
def invoke_command(
    function: Annotated[str, typer.Argument(help="Such as score.")],
    event: Annotated[Path, typer.Argument(help="A file such as events/score.json.")],
    warm: Annotated[int, typer.Option(min=1, help="Invocations after the first.")] = 3,
) -> None:
    """Invoke a built function, and print its answer and its duration."""
    name, content = logical_id(function), events.read(event)
    answers, init = invoke(running(), name, content, warm)
    print(json.dumps(answers[0].value, indent=2, ensure_ascii=False))
    print(timings(answers, init))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return run(app, arguments, "python -m octospoon.cli.local.invoke_function")


def logical_id(function: str) -> str:
    """Return the name that a function has in the template.

    Raises:
        BadRequest: there is no such function.
    """
    known = {name.removesuffix(_SUFFIX).lower(): name for name in functions()}
    if function not in known:
        raise BadRequest(f"FN={function} is no function: it must be one of {', '.join(known)}")
    return known[function]


def functions() -> list[str]:
    """Return the logical ids of the template's functions."""
    return sam_template.functions(sam_template.read(TEMPLATE))


def running() -> LocalProject:
    """Return the local stack that `make up` has left running.

    Raises:
        NotConfigured: there is none.
    """
    project = local_project()
    if project is None:
        raise NotConfigured("no local stack runs here: start it with `make up`, then run this again")
    return project


def invoke(
    project: LocalProject, function: str, event: dict[str, object], warm: int
) -> tuple[list[Answer], float]:
    """Invoke a built function in a new process, and then again in the same process.

    Args:
        project: the running local stack.
        function: its logical id.
        event: as its file holds it.
        warm: how many times it is invoked again.

    Returns:
        The answers, with the cold start first, and the milliseconds before its handler began.

    Raises:
        ServiceUnavailable: the stack does not answer, or the function failed.
        OctospoonError: the event, the artefact or the emulator is missing.
    """
    deployment = Deployment(project.outputs, project.endpoint_url)
    with translated("asking the local stack (`make up` starts it again)"):
        described = deployment.client("lambda").get_function_configuration(
            FunctionName=project.outputs[f"{function}Name"]
        )
        filled = events.Filling(deployment, project.label_studio_project).fill(event)
    artefact = (BUILD_DIR / function).absolute()
    with emulated(Layout(Path.cwd()), artefact, described, aws_environment(project.endpoint_url)) as emulator:
        answers = [emulator.invoke(filled) for _ in range(1 + warm)]
        return answers, emulator.init_milliseconds()


def timings(answers: Sequence[Answer], init: float) -> str:
    """Return the durations of cold and warm invocations, for people."""
    again = [answer.milliseconds for answer in answers[1:]]
    return (
        f"cold {answers[0].milliseconds:.0f} ms, {init:.0f} ms of it before the handler · "
        f"warm {statistics.median(again):.0f} ms (median of {len(again)})"
    )


if __name__ == "__main__":
    sys.exit(main())
