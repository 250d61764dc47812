"""The labelling interface of any Label Studio project, read with Label Studio's own SDK.

octospoon's own project needs none of this: `octospoon.adapters.label_studio.interface` reads its interface,
in the functions too. The SDK takes 366 MB and a second to import, so commands import this module only when
needed.
"""

from __future__ import annotations

from typing import Any

from label_studio_sdk.label_interface import LabelInterface

from octospoon.adapters.label_studio.interface import OtherKind
from octospoon.domain.errors import BadRequest
from octospoon.domain.task_types.multilabel.label import ClassNames


class OtherProject:
    """A project whose labelling interface has choices for an image.

    Attributes:
        control: name of the control with the classes.
        image: name of the image in the data of a task.
        classes: the text that annotators see, by the name that Label Studio stores.

    Args:
        label_config: the interface as XML.
        control: name of the control; empty for the only one that has choices for an image.
        several: whether a label may have any number of classes.

    Raises:
        BadRequest: the interface is wrong, or has no such control, or several.
        OtherKind: annotators choose one class, and labels have several.
    """

    def __init__(self, label_config: str, control: str = "", *, several: bool = False) -> None:
        try:
            self._interface = LabelInterface(label_config)
            self._interface.validate()
        except Exception as error:  # the SDK raises many kinds, some of which are no ValueError
            raise BadRequest(f"the labelling interface cannot be read: {error}") from error
        images = {tag.name: tag for tag in self._interface.objects if tag.tag == "Image"}
        controls = {
            tag.name: tag
            for tag in self._interface.controls
            if tag.tag == "Choices" and set(tag.to_name or ()) & set(images) and control in ("", tag.name)
        }
        if len(controls) != 1:
            wrong = (
                f"several controls ({', '.join(controls)}): --control names one" if controls else "no control"
            )
            raise BadRequest(f"the labelling interface has {wrong} with choices for an image")
        ((self.control, self._tag),) = controls.items()
        self._several = several
        if several and (self._tag.attr or {}).get("choice") != "multiple":
            raise OtherKind(
                "the labelling interface is one of classification, where annotators choose one class: labels "
                f'of several classes need choice="multiple" in the control {self.control}'
            )
        shown_over = next(name for name in self._tag.to_name if name in images)
        self.image: str = images[shown_over].value_name
        self.classes: dict[str, str] = {
            stored: (tag.attr or {}).get("value", stored) for stored, tag in self._tag.labels_attrs.items()
        }
        self._results: dict[str, list[dict[str, Any]] | None] = {}

    def result(self, label: str) -> list[dict[str, Any]] | None:
        """Return the result of an annotation with a label; None if the interface does not offer it.

        Args:
            label: in its stored form; its classes by the names that are shown or stored.
        """
        if label not in self._results:
            self._results[label] = self._made(label)
        return self._results[label]

    def _made(self, label: str) -> list[dict[str, Any]] | None:
        wanted = sorted(ClassNames().read(label)) if self._several else [label]
        names = [
            [stored for stored, shown in self.classes.items() if name in (stored, shown)] for name in wanted
        ]
        if any(len(found) != 1 for found in names):
            return None
        if not names:
            return []
        region = self._tag.label(names[0][0])._dict()  # noqa: SLF001 - the SDK has no public form of it
        region["value"]["choices"] = [found[0] for found in names]
        if problems := self._interface.validate_region(region, return_errors=True):
            raise BadRequest(f"the labelling interface refuses the label {label}: {problems[0]}")
        return [region]
