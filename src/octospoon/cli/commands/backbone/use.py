"""octospoon backbone use: change the backbone of a deployment that has images."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from octospoon.cli.commands import onnx_options as onnx
from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import print_error_line, print_json, print_line, print_lines
from octospoon.domain.errors import BadRequest

if TYPE_CHECKING:
    from octospoon.cli.operations.backbone_plan import Choice, Plan
    from octospoon.cli.operations.change_backbone import Result
    from octospoon.domain.task_types.task_type import TaskType

app = typer.Typer()
Name = Annotated[
    str,
    typer.Argument(
        metavar="[NAME]",
        help="Name of a backbone, see `octospoon backbone list`; or an ONNX file, FILE.onnx.",
        show_default=False,
    ),
]
Revoke = Annotated[
    bool, typer.Option("--revoke", help="Give up the newest change; the model from before it serves again.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what the change does and costs.")]
EXAMPLES = examples(
    "octospoon backbone use efficientnet-lite0 --dry-run",
    "octospoon backbone use scattering+efficientnet-lite0",
    "octospoon backbone use --revoke",
)


class _OnlyShown(Exception):
    """The plan was shown, and nothing else was asked for."""


@app.command(cls=Command, epilog=EXAMPLES)
def use(
    name: Name = "",
    revoke: Revoke = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    size: onnx.Size = "",
    resize: onnx.Resize = None,
    white: onnx.Range = "1",
    mean: onnx.Mean = "",
    std: onnx.Std = "",
    channels: onnx.Channels = "rgb",
    layout: onnx.Layout = None,
    output: onnx.Output = "",
    pool: onnx.Pool = None,
    stack: Stack = None,
    as_json: AsJson = False,
) -> None:
    """Change the backbone, and keep all labels.

    Use it when another backbone suits your images better. It shows the cost and asks. A training job makes
    a head on the new backbone, and the gate compares it with the model in service on the audit labels. If it
    passes, both change together, and the pool's images are read again, the newest first. Until then the old
    model serves. After an interruption, run the command again.
    """
    from octospoon.cli.extras import require

    require("models", "octospoon backbone use")
    if bool(name) == revoke:
        raise BadRequest("name a backbone, or add --revoke to give up the newest change")
    options = onnx.OnnxOptions(size, resize, white, mean, std, channels, layout, output, pool)
    _change(name, options, stack, _Consent(yes=yes, dry_run=dry_run, as_json=as_json))


def _change(name: str, options: onnx.OnnxOptions, stack: str | None, consent: _Consent) -> None:
    """Change to a backbone, or revoke the newest change if there is no name."""
    from octospoon.cli.deployment import find_deployment
    from octospoon.cli.operations.change_backbone import BackboneUse

    work = BackboneUse(find_deployment(stack), consent, consent.tell)
    try:
        result = work.use(_choice(name, options, work.deployment.task_type)) if name else work.revoke()
    except _OnlyShown:
        return
    if consent.as_json:
        print_json(result)
    else:
        print_lines(_lines(result))
    if not result.succeeded:
        raise typer.Exit(1)


def _choice(name: str, options: onnx.OnnxOptions, task_type: TaskType) -> Choice:
    from octospoon.cli.operations.backbone_plan import choose
    from octospoon.cli.operations.backbones import download_bar

    with download_bar() as watch:
        return choose(name, options.read(), task_type, print_error_line, watch)


class _Consent:
    """Shows a plan and asks whether it may be carried out."""

    def __init__(self, *, yes: bool, dry_run: bool, as_json: bool) -> None:
        self._yes, self._dry_run, self.as_json = yes, dry_run, as_json
        self.tell = print_error_line if as_json else print_line

    def __call__(self, plan: Plan) -> None:
        """Return if the person agrees; raise BadRequest if not."""
        if self._dry_run:
            self._only_show(plan)
        for line in plan.lines():
            self.tell(line)
        if self._yes:
            return
        if not sys.stdin.isatty():
            raise BadRequest("nothing is changed: add --yes if nobody can be asked")
        try:
            answer = input("Change the backbone? [y/N] ")
        except EOFError:
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            raise BadRequest("nothing was changed")

    def _only_show(self, plan: Plan) -> NoReturn:
        if self.as_json:
            print_json({"plan": plan, "dollars": plan.dollars()})
        else:
            print_lines([*plan.lines(), "nothing is changed: leave out --dry-run to change the backbone"])
        raise _OnlyShown


def _lines(result: Result) -> list[str]:
    lines = []
    if not result.succeeded:
        lines.append(f"{result.backbone} is not used ({result.stage}): {result.reason}")
        lines.append(f"version {result.model_version} stays in service, and nothing else changed")
    elif result.stage == "revoked":
        lines.append(f"version {result.model_version} is in service, and {result.backbone} is not used")
    else:
        lines.append(f"version {result.model_version} is in service with {result.backbone}")
    if result.read:
        lines.append(f"{result.read:,} images were read again")
    if result.left:
        lines.append(f"{result.left:,} images could not be read: `octospoon status` shows the quarantine")
    return lines
