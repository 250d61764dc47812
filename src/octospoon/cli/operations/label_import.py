"""Imports labels that exist already, and uploads their images where that is needed."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from octospoon.adapters.label_files import readers
from octospoon.adapters.label_files.locate import Locator
from octospoon.cli.datasets.row_labels import row_labels
from octospoon.cli.datasets.staged_labels import staged
from octospoon.cli.datasets.uploads import UNREADABLE, Skipped, key_problem
from octospoon.cli.deploy.images_source import images_source
from octospoon.cli.operations import run_now
from octospoon.cli.operations.upload import SAME, UPLOADED, Upload, in_parallel, md5, with_progress
from octospoon.domain.errors import BadRequest, OctospoonError
from octospoon.domain.labelling.imported import ImportedLabel, Outcome, decide
from octospoon.domain.task_types.names import TaskTypeName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from octospoon.cli.datasets.staged_labels import StagedLabel, StagedLabels
    from octospoon.cli.deployment import Deployment
    from octospoon.domain.labelling.classes import ClassHistory
    from octospoon.domain.labelling.tasks import LabelState

ONLY_READ = "not in the pool, and the stack only reads its bucket: upload them there with your own tools"
_PAGE = 490
"""Ten transactions of labels."""
_WINDOW = 10_000
"""Uploaded images that may wait for their score before another one is uploaded."""
_PATIENCE = 180.0
_PAUSE = 1.0
_ATTEMPTS = 3
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Options:
    """The options of an import.

    Attributes:
        form: format of the source; empty to find it out.
        images: the folder that paths begin at; None for the folder of the source.
        prefix: put before the object keys of images that are uploaded.
        columns: names in the file.
        renamed: the class by the name that the source has for it, where they differ.
        replace: whether labels of an earlier import are replaced.
        dry_run: whether nothing is changed.
    """

    form: str = ""
    images: Path | None = None
    prefix: str = ""
    columns: readers.Columns = field(default_factory=readers.Columns)
    renamed: Mapping[str, str] = field(default_factory=dict)
    replace: bool = False
    dry_run: bool = False


@dataclass
class Imported:
    """The outcome of an import.

    Attributes:
        source: the file or folder.
        format: its format.
        dry_run: whether nothing was changed.
        rows: rows of the source.
        classes: images of each class of the project.
        unknown_classes: images of each class that the project does not have, or boxes.
        outcomes: labels by outcome.
        skipped: rows and images that give no label, by reason.
        left_out: parts of labels that are left out, such as single boxes, by reason.
        cut: boxes that were cut off at an edge of their image.
        examples: images of some outcomes.
        parts: what `unknown_classes` counts.
        uploads: images that were uploaded, or would be.
        job: the training job that was launched; empty for none.
        note: why no training job could be asked for; empty if it could.
    """

    source: str
    format: str
    dry_run: bool
    rows: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    unknown_classes: dict[str, int] = field(default_factory=dict)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    skipped: Skipped = field(default_factory=Skipped)
    left_out: Skipped = field(default_factory=Skipped)
    cut: int = 0
    parts: str = "images"
    examples: dict[Outcome, list[str]] = field(default_factory=dict)
    uploads: int = 0
    job: str = ""
    note: str = ""

    def count(self, outcome: Outcome, key: str) -> None:
        """Count one label."""
        self.outcomes[outcome] += 1
        shown = self.examples.setdefault(outcome, [])
        if len(shown) < 3:
            shown.append(key)

    @property
    def stored(self) -> int:
        """Number of labels that were stored, or would be."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.stores)

    @property
    def conflicts(self) -> int:
        """Number of labels that a person should look at."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.conflicts)


def import_labels(deployment: Deployment, source: Path, options: Options) -> Imported:
    """Import the labels of a source; the call can be repeated, and interrupted at any time.

    Raises:
        BadRequest: the source cannot be read, or has no label of a class of the project.
    """
    form = options.form or readers.format_of(source)
    root = options.images or readers.images_folder(source, form)
    if not root.is_dir():
        raise BadRequest(f"there is no folder {root}")
    locate = Locator(deployment.outputs["ImagesBucket"], root, options.prefix)
    history, kind = deployment.class_record().read(), deployment.task_type
    parts = "boxes" if kind.name == TaskTypeName.DETECTION else "images"
    done = Imported(str(source), form, options.dry_run, parts=parts)
    meaning = row_labels(kind.name, history, options.renamed)
    rows = readers.read(source, form, options.columns, kind)
    with staged(rows, locate, meaning) as labels:
        _describe(labels, history.names, done)
        record = deployment.task_type_record
        record.check() if options.dry_run else record.keep()
        importer = _Importer(deployment, history, options, done)
        pages = labels.pages(history.names, _PAGE)
        for page in with_progress(pages, "Importing", -(-labels.count(history.names) // _PAGE)):
            importer.page(page)
        importer.finish()
    if done.stored and not options.dry_run:
        _launch(deployment, done)
    return done


def _describe(labels: StagedLabels, classes: Sequence[str], done: Imported) -> None:
    counts = labels.classes()
    done.rows, done.skipped = labels.rows, labels.skipped
    done.left_out, done.cut = labels.left_out, labels.cut
    done.classes = {name: counts[name] for name in classes if name in counts}
    done.unknown_classes = {name: count for name, count in counts.items() if name not in classes}


def _launch(deployment: Deployment, done: Imported) -> None:
    """Let the stack launch a training job if the ordinary rule says so."""
    try:
        done.job = run_now.reconcile(deployment).job
    except OctospoonError as error:
        done.note = f"the labels are stored; training starts within 15 minutes if it is due ({error})"


class _Importer:
    """Imports labels page by page."""

    def __init__(
        self, deployment: Deployment, history: ClassHistory, options: Options, done: Imported
    ) -> None:
        self._imports, self._history = deployment.imported_labels, history
        self._labels = deployment.task_type.labels
        self._only_reads = images_source(deployment.outputs).existing
        self._upload = Upload(deployment.client("s3"), deployment.outputs["ImagesBucket"], replace=False)
        self._options = options
        self._done = done
        self._waiting: dict[str, ImportedLabel] = {}

    def page(self, page: Sequence[StagedLabel]) -> None:
        """Import some labels; images that are new wait until they are scored."""
        md5s = dict(in_parallel(_hashed, [label for label in page if label.file]))
        labels = [
            ImportedLabel(label.key, label.label, md5s.get(label) or label.etag)
            for label in page
            if not self._unreadable(label, md5s.get(label, ""))
        ]
        files = {label.key: Path(label.file) for label in page if label.file}
        missing = self._settle(labels)
        new = [label for label in missing if label.key in files]
        for label in missing:
            if label.key not in files:
                self._done.count(Outcome.MISSING, label.key)
        self._send(new, files)
        while len(self._waiting) > _WINDOW:
            self._wait()

    def _unreadable(self, label: StagedLabel, md5_: str) -> bool:
        if label.file and not md5_:
            self._done.skipped.add(UNREADABLE, label.file)
            return True
        if label.file and label.etag and label.etag != md5_:
            self._done.count(Outcome.OTHER_BYTES, label.key)
            return True
        return False

    def finish(self) -> None:
        """Wait until all uploaded images are scored, or none was for some minutes."""
        while self._waiting:
            self._wait()

    def _settle(self, labels: Iterable[ImportedLabel]) -> list[ImportedLabel]:
        """Store the labels of images that are in the pool; return the others."""
        left, missing = list(labels), []
        for _ in range(_ATTEMPTS):
            states = self._imports.states([label.key for label in left])
            to_store: list[tuple[LabelState, str]] = []
            outcomes: dict[str, Outcome] = {}
            for label in left:
                state = states.get(label.key)
                outcome = decide(label, state, self._same, replace=self._options.replace)
                if outcome is Outcome.MISSING:
                    missing.append(label)
                elif outcome.stores:
                    to_store.append((states[label.key], label.label))
                    outcomes[label.key] = outcome
                else:
                    self._done.count(outcome, label.key)
            written = set(outcomes) if self._options.dry_run else self._imports.store(to_store)
            for key in written:
                self._done.count(outcomes[key], key)
            left = [label for label in left if label.key in outcomes and label.key not in written]
            if not left:
                return missing
        for label in left:
            self._done.count(Outcome.UNSETTLED, label.key)
        return missing

    def _same(self, label: str, other: str) -> bool:
        return self._labels.same(label, other, self._history)

    def _send(self, labels: Sequence[ImportedLabel], files: Mapping[str, Path]) -> None:
        """Upload the images of these labels, unless the stack only reads its bucket."""
        usable = []
        for label in labels:
            if self._only_reads:
                self._done.skipped.add(ONLY_READ, str(files[label.key]))
            elif problem := key_problem(label.key):
                self._done.skipped.add(problem, str(files[label.key]))
            else:
                usable.append(label)
        if self._options.dry_run:
            self._done.uploads += len(usable)
            for label in usable:
                self._done.count(Outcome.NEW, label.key)
            return

        def upload(label: ImportedLabel) -> str:
            return self._upload((label.key, files[label.key]))

        for label, outcome in in_parallel(upload, usable):
            if outcome in (UPLOADED, SAME):
                self._done.uploads += outcome == UPLOADED
                self._waiting[label.key] = label
            else:
                self._done.skipped.add(outcome, str(files[label.key]))

    def _wait(self) -> None:
        """Import the labels of waiting images that are scored by now; give up if none is for minutes."""
        deadline = time.monotonic() + _PATIENCE
        before = len(self._waiting)
        while True:
            some = list(self._waiting.values())[:_PAGE]
            missing = {label.key: label for label in self._settle(some)}
            for label in some:
                del self._waiting[label.key]
            self._waiting |= missing  # behind the others
            if len(self._waiting) < before:
                return
            if time.monotonic() > deadline:
                for key in self._waiting:
                    self._done.count(Outcome.UNSCORED, key)
                self._waiting.clear()
                return
            time.sleep(_PAUSE)


def _hashed(label: StagedLabel) -> str:
    """Return the MD5 of a label's image; empty if it cannot be read, or the label has none."""
    if not label.file:
        return ""
    try:
        with Path(label.file).open("rb") as file:
            return md5(iter(lambda: file.read(_CHUNK), b""))
    except OSError:
        return ""
