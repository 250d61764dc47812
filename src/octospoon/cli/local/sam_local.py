"""``make samlocal``: prepare ``sam local``, which runs the functions in containers on the local stack's data.

``sam local`` reads all variables from the template and does not know the stack. So this module writes a copy
of the template with the variables of the deployed functions, and the events with the names of the stack.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from octospoon.adapters.aws.errors import translated
from octospoon.cli.deploy import sam_template
from octospoon.cli.deployment import Deployment
from octospoon.cli.exit_status import run
from octospoon.cli.local import events
from octospoon.cli.local.assemble import TEMPLATE
from octospoon.cli.local.invoke_function import running
from octospoon.cli.stack.running import aws_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from octospoon.cli.deployment import LocalProject

FOLDER = Path(".octospoon/sam")
BUILD_DIR = Path(".octospoon/build-aws")
EVENTS = Path("events")

app = typer.Typer(add_completion=False)


@app.command(help=__doc__)
def write_files() -> None:
    """Write the files for the stack that runs."""
    with translated("asking the local stack (`make up` starts it again)"):
        write(running(), FOLDER)
    example = f"sam local invoke ScoreFunction --config-env local --event {FOLDER / EVENTS}/score.json"
    print(f"wrote {FOLDER}; now: {example}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return run(app, arguments, "python -m octospoon.cli.local.sam_local")


def write(project: LocalProject, folder: Path) -> None:
    """Write the template and every event, with the names of the running stack filled in."""
    (folder / EVENTS).mkdir(parents=True, exist_ok=True)
    (folder / "template.json").write_text(json.dumps(template(project), indent=2))
    filling = events.Filling(Deployment(project.outputs, project.endpoint_url), project.label_studio_project)
    for path in EVENTS.glob("*.json"):
        filled = filling.fill(events.read(path))
        (folder / EVENTS / path.name).write_text(json.dumps(filled, indent=2))


def template(project: LocalProject) -> sam_template.Template:
    """Return the template with the built code and the variables of the deployed functions."""
    source = sam_template.read(TEMPLATE)
    names = sam_template.functions(source)
    built = sam_template.with_code(source, {name: str((BUILD_DIR / name).absolute()) for name in names})
    client = Deployment(project.outputs, project.endpoint_url).client("lambda")
    for name in names:
        described = client.get_function_configuration(FunctionName=project.outputs[f"{name}Name"])
        variables = described["Environment"]["Variables"] | aws_environment(project.endpoint_url)
        built["Resources"][name]["Properties"]["Environment"] = {"Variables": variables}
    return built


if __name__ == "__main__":
    sys.exit(main())
