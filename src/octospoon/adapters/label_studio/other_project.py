"""The labelling interface of any Label Studio project, read with Label Studio's own SDK.

octospoon's own project needs none of this: `octospoon.adapters.label_studio.interface` reads its interface,
in the functions too. The SDK takes 366 MB and a second to import, so commands import this module only when
needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from label_studio_sdk.label_interface import LabelInterface

from octospoon.adapters.label_studio import rectangles
from octospoon.adapters.label_studio.interface import CHOICES, RECTANGLES, OtherKind
from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.multilabel.label import ClassNames
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from octospoon.adapters.label_studio.interface import Tags


_ONE, _MANY = TaskTypeName.CLASSIFICATION, TaskTypeName.MULTILABEL
_TAGS = {_ONE: CHOICES, _MANY: CHOICES, TaskTypeName.DETECTION: RECTANGLES}
_ANSWERS = {CHOICES: "choices for an image", RECTANGLES: "boxes on an image"}


class OtherProject:
    """A project whose labelling interface asks for labels of one kind about an image.

    Attributes:
        control: name of the control with the classes.
        image: name of the image in the data of a task.
        classes: the text that annotators see, by the name that Label Studio stores.

    Args:
        label_config: the interface as XML.
        control: name of the control; empty for the only one that fits.
        kind: the kind of label.

    Raises:
        BadRequest: the interface is wrong, or has no such control, or several.
        OtherKind: annotators give labels of another kind.
    """

    def __init__(self, label_config: str, control: str = "", kind: str = _ONE) -> None:
        try:
            self._interface = LabelInterface(label_config)
            self._interface.validate()
        except Exception as error:  # the SDK raises many kinds, some of which are no ValueError
            raise BadRequest(f"the labelling interface cannot be read: {error}") from error
        images = {tag.name: tag for tag in self._interface.objects if tag.tag == "Image"}
        self._kind = TaskTypeName(kind)
        controls = self._controls(_TAGS[self._kind], control, images)
        if len(controls) != 1:
            self._refuse(controls, control, images)
        ((self.control, self._tag),) = controls.items()
        if self._kind == _MANY and (self._tag.attr or {}).get("choice") != "multiple":
            raise OtherKind(
                "the labelling interface is one of classification, where annotators choose one class: labels "
                f'of several classes need choice="multiple" in the control {self.control}'
            )
        shown_over = next(name for name in self._tag.to_name if name in images)
        self._over = shown_over
        self.image: str = images[shown_over].value_name
        self.classes: dict[str, str] = {
            stored: (tag.attr or {}).get("value", stored) for stored, tag in self._tag.labels_attrs.items()
        }
        self._results: dict[str, list[dict[str, Any]] | None] = {}

    def _controls(self, tags: Tags, control: str, images: Mapping[str, Any]) -> dict[str, Any]:
        """Return the controls of a kind that are about an image, by name; `control` names the only one."""
        return {
            tag.name: tag
            for tag in self._interface.controls
            if tag.tag == tags.control and set(tag.to_name or ()) & set(images) and control in ("", tag.name)
        }

    def _refuse(self, controls: Mapping[str, Any], control: str, images: Mapping[str, Any]) -> NoReturn:
        tags = _TAGS[self._kind]
        (other,) = {CHOICES, RECTANGLES} - {tags}
        if not controls and self._controls(other, control, images):
            raise OtherKind(
                f"the labelling interface asks for {_ANSWERS[other]}, and labels of {self._kind} need "
                f"{_ANSWERS[tags]}: give an interface with <{tags.control}>"
            )
        wrong = f"several controls ({', '.join(controls)}): --control names one" if controls else "no control"
        raise BadRequest(f"the labelling interface has {wrong} with {_ANSWERS[tags]}")

    def result(self, label: str) -> list[dict[str, Any]] | None:
        """Return the result of an annotation with a label; None if the interface does not offer it.

        Args:
            label: in its stored form; its classes by the names that are shown or stored.
        """
        if label not in self._results:
            made = self._boxes(label) if self._kind == TaskTypeName.DETECTION else self._made(label)
            for region in made or ():
                if problems := self._interface.validate_region(region, return_errors=True):
                    raise BadRequest(f"the labelling interface refuses the label {label}: {problems[0]}")
            self._results[label] = made
        return self._results[label]

    def _boxes(self, label: str) -> list[dict[str, Any]] | None:
        names = {
            name: names_stored[0]
            for name in (*self.classes, *self.classes.values())
            if (names_stored := self._stored(name))
        }
        regions = rectangles.written(label, names)
        names_of = {"from_name": self.control, "to_name": self._over}
        return None if regions is None else [region | names_of for region in regions]

    def _stored(self, name: str) -> list[str]:
        """Return the one stored name of a class that is shown or stored under a name; empty if unclear."""
        matches = [stored for stored, shown in self.classes.items() if name in (stored, shown)]
        return matches if len(matches) == 1 else []

    def _made(self, label: str) -> list[dict[str, Any]] | None:
        wanted = sorted(ClassNames().read(label)) if self._kind == _MANY else [label]
        names = [self._stored(name) for name in wanted]
        if not all(names):
            return None
        if not names:
            return []
        region = self._tag.label(names[0][0])._dict()  # noqa: SLF001 - the SDK has no public form of it
        region["value"]["choices"] = [stored[0] for stored in names]
        return [region]
