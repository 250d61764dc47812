"""Write the generated parts of the reference: the command line and what template.yaml declares.

    python -m tools.reference .octospoon/docs

`make docs` does so before it builds the site; `tools/mkdocs_hooks.py` puts the parts into their pages.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octospoon.cli.deploy import sam_template
from octospoon.cli.main import parser

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
    """One command of the command line, such as ``octospoon model import``."""

    name: str
    help: str
    arguments: list[Argument] = field(default_factory=list)


def commands() -> list[Command]:
    """Return every command, in the order of its help. All that this file knows of the parser is here."""
    return list(_commands(parser(), "octospoon"))


def _commands(node: argparse.ArgumentParser, name: str) -> Iterator[Command]:
    nested = [action for action in node._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    if not nested:
        yield Command(name, node.description or "", [*map(_argument, _own(node))])
    for action in nested:
        for child, child_parser in action.choices.items():
            yield from _commands(child_parser, f"{name} {child}")


def _own(node: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in node._actions if not isinstance(action, argparse._HelpAction)]  # noqa: SLF001


def _argument(action: argparse.Action) -> Argument:
    value = action.metavar or (
        "|".join(map(str, action.choices)) if action.choices else action.dest.upper().replace("-", "_")
    )
    if not action.option_strings:
        return Argument(str(value), action.help or "", action.nargs not in ("?", "*"))
    names = ", ".join(action.option_strings)
    return Argument(names if action.nargs == 0 else f"{names} {value}", action.help or "", action.required)


def command_line() -> str:
    """Return the reference of the command line, in Markdown."""
    return "\n".join(line for command in commands() for line in _section(command))


def _section(command: Command) -> Iterator[str]:
    yield f"## {command.name}\n"
    yield f"{_sentence(command.help)}\n"
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
