"""Decodes image files as scoring does, and prints the results; needs no stack."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from PIL import Image

from octospoon.adapters.imaging.decode import Target, decode_opened
from octospoon.adapters.imaging.image_file import open_image
from octospoon.adapters.imaging.orientation import SWAPS_AXES
from octospoon.domain.errors import BadImage, BadRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from octospoon.adapters.imaging.open_image import OpenImage


@dataclass(slots=True)
class Checked:
    """The result for one file; printed as JSON.

    Attributes:
        file: its path, as it was given.
        ok: whether it can be scored.
        reason: the reason for quarantine, ``unreadable`` or ``not-written``; empty if the file is ok.
        detail: the error, or a note about the decoding.
        source: width and height of the upright image; None if the header cannot be read.
    """

    file: str
    ok: bool = False
    reason: str = ""
    detail: str = ""
    source: tuple[int, int] | None = None


def check(paths: Sequence[Path], target: Target, folder: Path | None) -> bool:
    """Print one line of JSON about each file; return whether all files are ok.

    Args:
        paths: of the files.
        target: size and resize rule of the model.
        folder: gets the decoded pixels as ``<name>.png``; None: they are not written.

    Raises:
        BadRequest: the size is out of range, or the folder cannot be made.
    """
    if not (1 <= target.height <= 4096 and 1 <= target.width <= 4096):
        raise BadRequest("--height and --width take 1 to 4,096 pixels")
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadRequest(f"the folder {folder} cannot be made: {error.strerror}") from error
    written: dict[Path, Path] = {}
    all_ok = True
    for path in paths:
        checked = _check(path, target, folder, written)
        print(json.dumps(asdict(checked), ensure_ascii=False), flush=True)
        all_ok = all_ok and checked.ok
    return all_ok


def _check(path: Path, target: Target, folder: Path | None, written: dict[Path, Path]) -> Checked:
    checked = Checked(str(path))
    try:
        image = open_image(path.read_bytes())
        checked.source = _upright_size(image)
        decoded = decode_opened(image, target)
    except BadImage as error:
        checked.reason, checked.detail = error.reason, error.detail
        return checked
    except OSError as error:
        checked.reason, checked.detail = "unreadable", error.strerror or str(error)
        return checked
    checked.source = _upright_size(image)
    checked.ok, checked.detail = True, decoded.note
    if folder is not None:
        _write(checked, Image.fromarray(decoded.pixels), path, folder, written)
    return checked


def _write(checked: Checked, image: Image.Image, path: Path, folder: Path, written: dict[Path, Path]) -> None:
    """Write the pixels under a name that is free, and never over the file itself."""
    plain, full = folder / f"{path.stem}.png", folder / f"{path.name}.png"
    output = next((candidate for candidate in (plain, full) if _is_free(candidate, path, written)), None)
    if output is None:
        problem = f"{plain} and {full} are taken by other files of that name: give another folder"
    else:
        try:
            image.save(output)
        except OSError as error:
            problem = f"{output} cannot be written: {error.strerror or error}"
        else:
            written[output] = path
            if output != plain:
                checked.detail = "; ".join(filter(None, (checked.detail, f"{plain} is taken: see {output}")))
            return
    checked.ok, checked.reason, checked.detail = False, "not-written", problem


def _is_free(output: Path, path: Path, written: dict[Path, Path]) -> bool:
    return output not in written and not (output.exists() and output.samefile(path))


def _upright_size(image: OpenImage) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if image.orientation in SWAPS_AXES else (width, height)
