"""octospoon doctor: check every part of a deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from octospoon.cli.commands.definition import AsJson, Command, Stack, examples
from octospoon.cli.output import line_table, print_json, print_line_table
from octospoon.domain.errors import NotConfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from octospoon.domain.health import CheckResult

app = typer.Typer()


@app.command(
    cls=Command,
    epilog=examples("octospoon doctor", "octospoon doctor --stack prod --json"),
)
def doctor(stack: Stack = None, as_json: AsJson = False) -> None:
    """Check every part of a deployment, and say what to do.

    Use it first when something does not work. It asks every service and changes nothing. It exits with
    status 1 if a check fails.
    """
    from octospoon.cli.doctor import doctor as checks

    findings = checks.of_stack(stack)
    report(findings, as_json=as_json)


def report(findings: Sequence[CheckResult], *, as_json: bool = False) -> None:
    """Print what the checks found.

    Raises:
        NotConfigured: a check failed.
    """
    if as_json:
        print_json(findings)
    else:
        print_line_table(_table(findings))
    if failed := [finding.check for finding in findings if not finding.ok]:
        raise NotConfigured(f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}")


def _table(findings: Sequence[CheckResult]) -> Table:
    from rich.markup import escape

    table = line_table("check", "", "found", "what to do")
    for finding in findings:
        mark = "[green]ok[/green]" if finding.ok else "[red]FAILED[/red]"
        table.add_row(finding.check, mark, escape(finding.message), escape(finding.advice))
    return table
