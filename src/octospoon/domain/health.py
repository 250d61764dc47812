"""Find problems of a deployment from the state of its parts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from octospoon.domain.labelling.interface import Choice

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.interface import Interface
    from octospoon.domain.labelling.removals import Proposal
    from octospoon.domain.labelling.tasks import TaskCounts

MOST_SKEW = 60.0
"""Largest clock difference in seconds. AWS refuses signatures that are five minutes off, and short-lived
tokens expire even earlier."""
_EXAMPLE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        check: name of the check.
        ok: False if there is a problem.
        message: what the check observed.
        advice: what to do; empty if there is no problem.
    """

    check: str
    ok: bool
    message: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook that is registered in Label Studio.

    Attributes:
        url: the URL that it calls.
        active: whether it is active.
        payload: whether it sends the annotation.
        every_action: whether it calls for every action.
        actions: the actions for which it calls if not for every one.
        headers: the headers that it sends; their values are secrets.
    """

    url: str
    active: bool
    payload: bool
    every_action: bool
    actions: frozenset[str]
    headers: Mapping[str, str]


def our_webhooks(hooks: Sequence[Webhook], url: str, header: str) -> list[Webhook]:
    """Return the project's webhooks that deliver annotations to octospoon; see `webhook_problems`."""
    return [hook for hook in hooks if header in hook.headers] or [hook for hook in hooks if hook.url == url]


def webhook_problems(hooks: Sequence[Webhook], url: str, header: str, actions: Collection[str]) -> list[str]:
    """Return the problems of the webhook that delivers annotations; they contain no secret.

    A test delivery, not this function, checks the value of the secret.

    Args:
        hooks: all webhooks of the project.
        url: the URL that our webhook must call.
        header: name of the header that must contain the secret.
        actions: the actions for which it must call.
    """
    ours = our_webhooks(hooks, url, header)
    if not ours:
        return ["it is not registered"]
    if len(ours) > 1:
        return [f"it is registered {len(ours)} times"]
    (hook,) = ours
    return _problems(hook, url, header, actions)


def _problems(hook: Webhook, url: str, header: str, actions: Collection[str]) -> list[str]:
    missing = set() if hook.every_action else set(actions) - hook.actions
    checks = {
        "it is not active": not hook.active,
        f"it calls {hook.url}, not {url}": hook.url != url,
        f"it has no header {header}": header not in hook.headers,
        "it sends no payload": not hook.payload,
        f"it does not call for {', '.join(sorted(missing))}": bool(missing),
    }
    return [problem for problem, there in checks.items() if there]


def interface_problems(interface: Interface, history: ClassHistory) -> list[str]:
    """Return why the classes of a labelling interface would lose answers, each reason with advice.

    Args:
        interface: the interface that annotators use.
        history: the classes of the stack.
    """
    classes, known = history.names, set(history.names)
    interface, merged = _by_current_names(interface, history)
    offered = [choice for choice in interface.choices if choice.names & known]
    there = {name for choice in offered for name in choice.names}
    missing = [name for name in classes if name not in there]
    extra = [choice.value for choice in interface.choices if not choice.names & known]
    renamed = _renamed(interface, classes, missing)
    missing = [name for name in missing if name not in renamed]
    extra = [name for name in extra if name not in renamed.values()]
    times = Counter(name for choice in offered for name in choice.names & known)
    unclear = [choice.value for choice in offered if len(choice.names & known) > 1]
    unclear += [name for name in classes if times[name] > 1 and name not in unclear]
    problems = {
        f"it does not offer {', '.join(missing)}: add them": missing,
        f"it offers {', '.join(extra)}, which the stack does not have, so that these answers do not count: "
        "remove them, or add them to the stack's classes": extra,
        f"it still offers {', '.join(merged)}, which is part of another class now: remove it": merged,
        f"{', '.join(unclear)}: value and alias stand for different classes; change the alias": unclear,
    }
    renames = [f"it offers {new} in the place of {old}: rename it back" for old, new in renamed.items()]
    return renames + [problem for problem, there in problems.items() if there]


def _by_current_names(interface: Interface, history: ClassHistory) -> tuple[Interface, list[str]]:
    """Return the interface with the current names of classes, and the merged classes that it still offers."""
    choices, merged = [], []
    for choice in interface.choices:
        owners = {own.key: own for name in choice.names if (own := history.of(name))}
        if any(own.into for own in owners.values()):
            merged.append(choice.value)
        elif len(owners) == 1:
            choices.append(Choice(owners.popitem()[1].name))
        else:
            choices.append(choice)
    return replace(interface, choices=tuple(choices)), merged


def _renamed(interface: Interface, classes: Sequence[str], missing: Sequence[str]) -> dict[str, str]:
    """Return the choice offered instead of each missing class, if the interface only renamed classes."""
    if len(interface.choices) != len(classes):
        return {}
    pairs = zip(classes, interface.choices, strict=True)
    return {
        name: choice.value for name, choice in pairs if name in missing and not choice.names & set(classes)
    }


def model_problems(
    *,
    served: Sequence[str],
    project: Sequence[str],
    file: Sequence[str],
    backbones: tuple[str, str],
) -> list[str]:
    """Return contradictions between the champion pointer, its model file and the project.

    Args:
        served: class names of the champion pointer as they are now; empty for a cold-start model.
        project: class names of the project, in order.
        file: class names of the model file as they are now.
        backbones: sha256 of the backbone according to the pointer, and according to the file.
    """
    checks = {
        f"its file knows the classes {', '.join(file) or 'none'}, its pointer says "
        f"{', '.join(served) or 'none'}": tuple(file) != tuple(served),
        f"it knows {', '.join(served)}, the project has {', '.join(project)}": bool(served)
        and tuple(served) != tuple(project),
        "its file has another backbone than its pointer says": backbones[0] != backbones[1],
    }
    return [problem for problem, there in checks.items() if there]


def not_ours_problem(counts: TaskCounts, examples: Sequence[tuple[int, Mapping[str, object]]]) -> str:
    """Return a text about tasks that octospoon did not make.

    Args:
        counts: the numbers of tasks.
        examples: number and data of some of these tasks.
    """
    shown = ", ".join(f"{task} ({_shown(data)})" for task, data in examples)
    number = max(counts.not_ours, len(examples))
    answered = f", {counts.not_ours_answered:,} of them answered" if counts.not_ours_answered else ""
    return f"{number:,} tasks are not octospoon's{answered}: their answers do not count; such as task {shown}"


def removals_problem(proposal: Proposal) -> str:
    """Return a text about annotations missing in Label Studio, and the labels that would be removed."""
    shown = ", ".join(proposal.examples)
    return (
        f"{proposal.annotations:,} annotations are no longer in project {proposal.project}; "
        f"{proposal.labels:,} images would lose a label, such as {shown}; nothing was removed"
    )


def _shown(data: Mapping[str, object]) -> str:
    """Return the image of a task, or its first value if it has no image, cut to _EXAMPLE_LENGTH."""
    value = str(data.get("image") or next(iter(data.values()), "no data"))
    return value if len(value) <= _EXAMPLE_LENGTH else f"{value[:_EXAMPLE_LENGTH]}…"


def champion_advice(served: Sequence[str], project: Sequence[str], problems: Sequence[str]) -> str:
    """Return advice for a model in service that does not fit its project.

    Args:
        served: class names of the model.
        project: class names of the project.
        problems: the result of `model_problems`.
    """
    if len(problems) > 1 or not served or tuple(served) == tuple(project):
        return "`octospoon model rollback` serves the version before"
    if new := [name for name in project if name not in served]:
        return (
            f"label images of {', '.join(new)}: the next training learns them; `octospoon status` shows "
            "how far it is; a roll-back would not help, because no earlier version knows them"
        )
    return "the next training knows the project's classes; a roll-back would not help"
