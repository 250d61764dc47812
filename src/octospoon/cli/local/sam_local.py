"""``make samlocal``: what ``sam local`` needs to run the functions in containers on the local stack's data.

``sam local`` takes every variable from the template and knows no stack: so the template is written once more,
with the values that the deployed functions have, beside the events with their names filled in.
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
    with translated("asking the local stack, which `make up` starts anew,"):
        write(running(), FOLDER)
    example = f"sam local invoke ScoreFunction --config-env local --event {FOLDER / EVENTS}/score.json"
    print(f"wrote {FOLDER}; now: {example}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    return run(app, arguments, "python -m octospoon.cli.local.sam_local")


def write(project: LocalProject, folder: Path) -> None:
    """Write the template and every event, with what they name of the running stack."""
    (folder / EVENTS).mkdir(parents=True, exist_ok=True)
    (folder / "template.json").write_text(json.dumps(template(project), indent=2))
    filling = events.Filling(Deployment(project.outputs, project.endpoint_url), project.label_studio_project)
    for path in EVENTS.glob("*.json"):
        filled = filling.fill(events.read(path))
        (folder / EVENTS / path.name).write_text(json.dumps(filled, indent=2))


def template(project: LocalProject) -> sam_template.Template:
    """Return the template with the built code and with the deployed functions' variables."""
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
