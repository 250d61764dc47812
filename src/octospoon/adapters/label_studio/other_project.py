"""The labelling interface of any Label Studio project, read with Label Studio's own SDK.

octospoon's own project needs none of this: `octospoon.adapters.label_studio.interface` reads its interface,
in the functions too. The SDK takes 366 MB and a second to import, so commands import this module only when
needed.
"""

from __future__ import annotations

from typing import Any

from label_studio_sdk.label_interface import LabelInterface

from octospoon.domain.errors import BadRequest


class OtherProject:
    """A project whose labelling interface has choices for an image.

    Attributes:
        control: name of the control with the classes.
        image: name of the image in the data of a task.
        classes: the text that annotators see, by the name that Label Studio stores.

    Args:
        label_config: the interface as XML.
        control: name of the control; empty for the only one that has choices for an image.

    Raises:
        BadRequest: the interface is wrong, or has no such control, or several.
    """

    def __init__(self, label_config: str, control: str = "") -> None:
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
            several = (
                f"several controls ({', '.join(controls)}): --control names one" if controls else "no control"
            )
            raise BadRequest(f"the labelling interface has {several} with choices for an image")
        ((self.control, self._tag),) = controls.items()
        shown_over = next(name for name in self._tag.to_name if name in images)
        self.image: str = images[shown_over].value_name
        self.classes: dict[str, str] = {
            stored: (tag.attr or {}).get("value", stored) for stored, tag in self._tag.labels_attrs.items()
        }
        self._results: dict[str, list[dict[str, Any]] | None] = {}

    def result(self, label: str) -> list[dict[str, Any]] | None:
        """Return the result of an annotation with a class; None if the interface does not offer the class.

        Args:
            label: the class, by the name that is shown or stored.
        """
        if label not in self._results:
            self._results[label] = self._made(label)
        return self._results[label]

    def _made(self, label: str) -> list[dict[str, Any]] | None:
        names = [stored for stored, shown in self.classes.items() if label in (stored, shown)]
        if len(names) != 1:
            return None
        region = self._tag.label(names[0])._dict()  # noqa: SLF001 - the SDK has no public form of it
        if problems := self._interface.validate_region(region, return_errors=True):
            raise BadRequest(f"the labelling interface refuses the class {label}: {problems[0]}")
        return [region]
