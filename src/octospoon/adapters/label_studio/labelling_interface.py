"""Write the labelling interface of a project, and recognise the interfaces that octospoon wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import canonicalize
from xml.sax.saxutils import quoteattr

from octospoon.adapters.label_studio.interface import (
    CHOICES,
    FROM_NAME,
    RECTANGLES,
    TO_NAME,
    Tags,
    parse_interface,
)
from octospoon.domain.errors import BadRequest
from octospoon.domain.labelling.classes import ClassHistory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from octospoon.domain.labelling.interface import Interface

_DIGITS = "1234567890"
_NO_KEY = " "
"""A hotkey that matches no key."""
_ASK = "Choose a class before you submit, or skip the task."
_OPTIONAL = 'choice="single" showInLine="true"'
_REQUIRED = f'{_OPTIONAL} required="true" requiredMessage={quoteattr(_ASK)}'
_MULTIPLE = 'choice="multiple" showInLine="true"'
_BOXES = 'choice="single" showInline="true" canRotate="false"'
_IMAGE = 'zoom="true" zoomControl="true"'
_SMALL_IMAGE = 'zoom="true" maxWidth="512px"'  # of earlier interfaces


def labelling_interface(classes: Sequence[str], stored: Mapping[str, str] | None = None) -> str:
    """Return the labelling interface of a single-choice image classification, as Label Studio's XML.

    The image takes the whole width, and annotators can zoom.

    Args:
        classes: names of the classes, as annotators see them.
        stored: the name that Label Studio stores, for each class that was renamed. So answers from before
            show the new name.
    """
    return _interface(classes, _bound_keys(classes), _IMAGE, _REQUIRED, stored)


def multiple_choice_interface(classes: Sequence[str], stored: Mapping[str, str] | None = None) -> str:
    """Return the labelling interface for several classes per image; an empty answer is allowed.

    Args:
        classes: names of the classes, as annotators see them.
        stored: see `labelling_interface`.
    """
    return _interface(classes, _bound_keys(classes), _IMAGE, _MULTIPLE, stored)


def rectangle_interface(classes: Sequence[str], stored: Mapping[str, str] | None = None) -> str:
    """Return the labelling interface for boxes; an answer without boxes is allowed, and no box rotates.

    Args:
        classes: names of the classes, as annotators see them.
        stored: see `labelling_interface`.
    """
    return _interface(classes, _bound_keys(classes), _IMAGE, _BOXES, stored, RECTANGLES)


def _interface(
    classes: Sequence[str],
    keys: Sequence[str],
    image: str,
    asked: str,
    stored: Mapping[str, str] | None = None,
    tags: Tags = CHOICES,
) -> str:
    aliases = {name: f" alias={quoteattr(alias)}" for name, alias in (stored or {}).items()}
    choices = "\n".join(
        f"    <{tags.option} value={quoteattr(name)}{aliases.get(name, '')}"
        + (f" hotkey={quoteattr(key)}/>" if key else "/>")
        for name, key in zip(classes, keys, strict=True)
    )
    return (
        "<View>\n"
        f'  <Image name="{TO_NAME}" value="$image" {image}/>\n'
        f'  <{tags.control} name="{FROM_NAME}" toName="{TO_NAME}" {asked}>\n'
        f"{choices}\n  </{tags.control}>\n</View>"
    )


def hotkeys(classes: Sequence[str]) -> list[str]:
    """Return a hotkey for each class, empty for none.

    A class named by a single letter or digit gets that key. If two such names differ only in case, the
    lower-case one gets it. Other single characters get none, because browsers name those keys by their place
    on the keyboard. All other classes get the remaining digits, 1 to 9 and 0, in order.
    """
    own = {name.lower(): name for name in sorted(classes) if _is_key(name)}
    free = iter([key for key in _DIGITS if key not in own])
    return [
        (name.lower() if own.get(name.lower()) == name else "") if len(name) == 1 else next(free, "")
        for name in classes
    ]


def _is_key(name: str) -> bool:
    return len(name) == 1 and name.isascii() and name.isalnum()


def _bound(name: str, key: str) -> str:
    """Return the hotkey to write for a class. Label Studio gives a free key to a class without one."""
    if key or len(name) != 1:
        return key
    return f"shift+{name.lower()}" if _is_key(name) else _NO_KEY


def _bound_keys(classes: Sequence[str]) -> list[str]:
    return [_bound(*pair) for pair in zip(classes, hotkeys(classes), strict=True)]


def is_ours(label_config: str, history: ClassHistory | None = None) -> bool:
    """Return True if octospoon made this single-choice interface, for any classes, and nobody changed it.

    Args:
        label_config: the XML text.
        history: of the project's classes, whose renamed ones have an alias.
    """
    named = _named(label_config, history)
    if named is None:
        return False
    return _is_one_of(label_config, [labelling_interface(*named), *_earlier_interfaces(named[0])])


def is_our_multiple_choice(label_config: str, history: ClassHistory | None = None) -> bool:
    """Return True if octospoon made this multiple-choice interface; see `is_ours`."""
    named = _named(label_config, history)
    return named is not None and _is_one_of(label_config, [multiple_choice_interface(*named)])


def is_our_rectangles(label_config: str, history: ClassHistory | None = None) -> bool:
    """Return True if octospoon made this interface for boxes; see `is_ours`."""
    named = _named(label_config, history, RECTANGLES)
    return named is not None and _is_one_of(label_config, [rectangle_interface(*named)])


def _named(
    label_config: str, history: ClassHistory | None, tags: Tags = CHOICES
) -> tuple[list[str], dict[str, str]] | None:
    """Return the classes of an interface and the stored names of renamed ones; None if it is not readable."""
    try:
        choices = parse_interface(label_config, tags).choices
    except BadRequest:
        return None
    classes = [choice.value for choice in choices]
    earlier = history.earlier if history else {}
    return classes, {name: earlier[name] for name in classes if name in earlier}


def _is_one_of(label_config: str, made: Sequence[str]) -> bool:
    return _canonical(label_config) in {_canonical(interface) for interface in made}


def history_of(interface: Interface) -> ClassHistory:
    """Return the classes of an interface, renamed as its aliases say; none if a name is used twice."""
    choices = interface.choices
    try:
        history = ClassHistory(tuple(choice.stored for choice in choices))
        for choice in choices:
            history = history.rename(choice.stored, choice.value, 0.0)
    except BadRequest:
        return ClassHistory()
    return history


def _earlier_interfaces(classes: Sequence[str]) -> tuple[str, str]:
    """Return the interfaces of earlier releases: the second did not require a choice."""
    names = [name.lower() for name in classes]
    keys = all(_is_key(name) for name in names) and len(set(names)) == len(names)
    earliest = names if keys else [*_DIGITS, *[""] * len(names)][: len(names)]
    return (
        _interface(classes, _bound_keys(classes), _SMALL_IMAGE, _REQUIRED),
        _interface(classes, earliest, _SMALL_IMAGE, _OPTIONAL),
    )


def _canonical(label_config: str) -> str:
    return canonicalize(label_config, strip_text=True)
