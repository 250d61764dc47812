"""Write the generated parts of the reference: the command line and what template.yaml declares.

    python -m tools.reference .octospoon/docs

`make docs` does so before it builds the site; `tools/mkdocs_hooks.py` puts the parts into their pages.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer.main import get_command

from octospoon.cli.deploy import sam_template
from octospoon.cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "template.yaml"


@dataclass(frozen=True)
class Argument:
    """One argument or option of a command.

    Attributes:
        names: how it is written, such as ``--stack STACK``.
        help: what it does.
        required: whether the command fails without it.
    """

    names: str
    help: str
    required: bool


@dataclass(frozen=True)
class Command:
    """One command of the command line, such as ``octospoon model import``.

    Attributes:
        name: how it is called.
        help: what it does.
        group: its group in the help of octospoon.
        arguments: its arguments and options.
        examples: command lines.
    """

    name: str
    help: str
    group: str
    arguments: list[Argument] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)


def commands() -> list[Command]:
    """Return every command, in the order of its help. All that this file knows of Typer is here."""
    return list(_commands(get_command(app), "octospoon", ""))


def _commands(node: Any, name: str, group: str) -> Iterator[Command]:
    if nested := getattr(node, "commands", None):
        for child_name, child in nested.items():
            yield from _commands(child, f"{name} {child_name}", group or child.rich_help_panel)
        return
    help_text, examples = node.help or "", [line.strip() for line in (node.epilog or "").splitlines()[1:]]
    yield Command(name, help_text, group, [*map(_argument, node.params)], examples)


def _argument(parameter: Any) -> Argument:
    if parameter.param_type_name == "argument":
        repeated = " ..." if parameter.nargs == -1 else ""
        return Argument(f"{parameter.metavar}{repeated}", parameter.help or "", parameter.required)
    names = ", ".join(parameter.opts)
    value = "" if parameter.is_flag else f" {parameter.metavar or _value(parameter)}"
    return Argument(f"{names}{value}", _with_default(parameter), parameter.required)


def _value(parameter: Any) -> str:
    choices = parameter.type_descriptor.choices
    return "|".join(choices) if choices else str(parameter.opts[0]).lstrip("-").upper().replace("-", "_")


def _with_default(parameter: Any) -> str:
    text = parameter.help or ""
    if parameter.is_flag or parameter.default in (None, "") or not parameter.show_default:
        return text
    return f"{text.rstrip('.')} (default: {parameter.default})"


def command_line() -> str:
    """Return the reference of the command line, in Markdown, by groups."""
    known = commands()
    lines = []
    for group in dict.fromkeys(command.group for command in known):
        lines.append(f"## {group}\n")
        lines += [line for command in known if command.group == group for line in _section(command)]
    return "\n".join(lines)


def _section(command: Command) -> Iterator[str]:
    yield f"### {command.name}\n"
    yield f"{command.help}\n"
    if command.examples:
        yield "\n".join(["```console", *command.examples, "```\n"])
    if command.arguments:
        yield from _table(
            ("argument", "what it does"),
            [
                (_code(each.names) + (" (required)" if each.required else ""), _sentence(each.help))
                for each in command.arguments
            ],
        )


def parameters(template: Mapping[str, Any]) -> str:
    """Return the reference of the template's parameters, by the groups of its console form."""
    interface = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    lines = []
    for group in interface:
        lines.append(f"## {group['Label']['default']}\n")
        rows = [(name, template["Parameters"][name]) for name in group["Parameters"]]
        lines += _table(
            ("parameter", "what it does"),
            [
                (f'<span id="{name}"></span>{_code(name)}', f"{_description(each)} {_values(each)}")
                for name, each in rows
            ],
        )
    return "\n".join(lines)


def _values(parameter: Mapping[str, Any]) -> str:
    default = parameter.get("Default")
    first = (
        "**Required**"
        if default is None
        else "Default: " + (_code(str(default)) if default != "" else "empty")
    )
    return f"{first}{_allowed(parameter)}."


def _allowed(parameter: Mapping[str, Any]) -> str:
    if "AllowedValues" in parameter:
        return "; one of " + ", ".join(_code(str(value)) for value in parameter["AllowedValues"])
    if "MinValue" in parameter and "MaxValue" in parameter:
        return f"; from {parameter['MinValue']} to {parameter['MaxValue']}"
    if "MinValue" in parameter:
        return f"; at least {parameter['MinValue']}"
    if "ConstraintDescription" in parameter:
        return f"; {parameter['ConstraintDescription']}"
    return ""


def outputs(template: Mapping[str, Any]) -> str:
    """Return the reference of the stack's outputs."""
    rows = [(_code(name), _description(each)) for name, each in template["Outputs"].items()]
    return "\n".join(_table(("output", "what it is"), rows))


def alarms(template: Mapping[str, Any]) -> str:
    """Return the reference of the stack's alarms."""
    return "\n".join(
        _table(
            ("alarm", "goes off when", "metric"),
            [
                (
                    _code(name),
                    _sentence(each["AlarmDescription"]),
                    f"{_code(each['Namespace'])} {_code(each['MetricName'])}",
                )
                for name, each in _of(template, "AWS::CloudWatch::Alarm").items()
            ],
        )
    )


def _of(template: Mapping[str, Any], kind: str) -> dict[str, Any]:
    resources = template["Resources"].items()
    return {name: each["Properties"] for name, each in resources if each["Type"] == kind}


def _description(declaration: Mapping[str, Any]) -> str:
    return _sentence(str(declaration["Description"]).strip())


def _sentence(text: str) -> str:
    text = text.replace("\n", " ").strip()
    text = text if text.startswith("http") else text[:1].upper() + text[1:]
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _code(text: str) -> str:
    return f"`{text}`"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


def parts() -> dict[str, str]:
    """Return every generated part: name -> Markdown."""
    template = sam_template.read(TEMPLATE)
    return {
        "command-line": command_line(),
        "template-parameters": parameters(template),
        "template-outputs": outputs(template),
        "alarms": alarms(template),
    }


def main(folder: Path) -> None:
    """Write every part into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in parts().items():
        (folder / f"{name}.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
