"""Images with several classes each, whose labels are in a file: for simulations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.label_files import readers
from octospoon.adapters.label_files.folder_reader import NO_FILE
from octospoon.adapters.label_files.locate import Located, Locator
from octospoon.adapters.label_files.readers import Columns
from octospoon.adapters.label_files.rows import NO_LABEL
from octospoon.cli.datasets.labelled import STARTER, Source, check_counts, embed, no_check, pool_size, unread
from octospoon.cli.datasets.row_labels import listed_classes
from octospoon.domain.errors import BadRequest
from octospoon.domain.model_spec import SIGMOID
from octospoon.domain.task_types.multilabel import MULTILABEL
from octospoon.domain.task_types.multilabel.label import ClassNames
from octospoon.training.simulation import Labelled

if TYPE_CHECKING:
    from octospoon.cli.datasets.labelled import Check, Embedder


def of_label_file(folder: Path, file: Path, embedder: Embedder = STARTER, check: Check = no_check) -> Source:
    """Return the images of a folder that may have several classes each, or none.

    Args:
        folder: of the images.
        file: names them and their classes, in any form that `octospoon labels import` reads. A row has one
            class or a list of them; an image without any has a row without a class.
        embedder: makes the embeddings.
        check: receives the number of images that can be labelled, before an image is embedded.

    Raises:
        BadRequest: a file is missing, there are fewer than two classes, or a class has too few images.
    """
    named = _named_classes(folder, file)
    paths, classes = sorted(named), sorted(set().union(*named.values()))
    if len(classes) < 2:
        raise BadRequest(f"{file} names {len(classes)} classes: at least two are needed")
    form = ClassNames()
    targets = MULTILABEL.evaluator.targets([form.write(frozenset(named[path])) for path in paths], classes)
    check_counts(targets.sum(axis=0), classes)
    check(pool_size(len(paths)))
    embeddings, kept = embed([path.read_bytes() for path in paths], embedder.model)
    check_counts(targets[kept].sum(axis=0), classes)
    data = Labelled(embeddings, targets[kept], len(classes), embedder.parts, SIGMOID)
    return Source(folder.name, data, embedder.name, None, unread(len(paths) - len(kept)))


def _named_classes(folder: Path, file: Path) -> dict[Path, set[str]]:
    """Return the classes of each image that a file names; raises BadRequest if a row has no image."""
    locate = Locator("", folder)
    named: dict[Path, set[str]] = {}
    for row in readers.read(file, readers.format_of(file), Columns(), MULTILABEL):
        place = locate(row) if row.problem in ("", NO_LABEL, NO_FILE) else Located("", problem=row.problem)
        if place.file is None:
            raise BadRequest(f"{file}, {row.place}: {place.problem or f'{row.image} is not in {folder}'}")
        listed = listed_classes(row.label)
        single = [row.label] if row.label else []
        named.setdefault(Path(place.file), set()).update(single if listed is None else listed)
    if not named:
        raise BadRequest(f"{file} names no image")
    return named
