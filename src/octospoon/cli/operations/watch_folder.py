"""octospoon drop --watch: upload the images that appear in a folder, each when it is complete."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError

from octospoon.cli import extras
from octospoon.cli.datasets.settling import SETTLING, Settling, being_written, stamp
from octospoon.cli.datasets.uploads import Skipped, find
from octospoon.cli.deploy.images_source import images_source
from octospoon.cli.operations.upload import SAME, Upload, check_bucket
from octospoon.domain.errors import BadRequest, RetryableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from octospoon.cli.deployment import Deployment

RESCAN = 60.0
"""Seconds after which the folder is looked through even if no change was noticed."""
RESCAN_BLIND = 5.0
"""The same where the system does not report changes."""
RETRY = 10.0
"""Seconds to wait after AWS did not answer."""
_SHARE = 10
"""Looking through the folder takes at most one part of so many of the time."""
_AT_ONCE = 8
_TICK = 0.5


@dataclass
class WatchFolder:
    """A folder as a source of images.

    Attributes:
        folder: with the images, also in folders below it.
        prefix: put before every object key.
        upload: uploads a file under a key; returns the outcome.
        report: called with a key and what became of its file.
        warn: called with what is left out, and with problems that go away by themselves.
        clock: seconds that do not jump.
        rescan: seconds after which the folder is looked through without a change.
        settling: the files.
        left_out: the numbers of files that are left out, by reason, at the last look.
        skipped: the largest of these numbers that were reported.
        earliest: time of the clock before which the folder is not looked through again.
        due: time of the clock at which it is, even without a change.
    """

    folder: Path
    prefix: str
    upload: Callable[[tuple[str, Path]], str]
    report: Callable[[str, str], None]
    warn: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    rescan: float = RESCAN
    settling: Settling = field(default_factory=Settling)
    left_out: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    earliest: float = 0.0
    due: float = 0.0

    def look(self) -> None:
        """Look through the folder, and upload complete files.

        Raises:
            BadRequest: the folder is gone.
        """
        if not self.folder.is_dir():
            raise BadRequest(f"{self.folder} is gone, or is no folder")
        began, left_out = self.clock(), Skipped()
        keys = {file: key for key, file in find([self.folder], self.prefix, left_out).items()}
        unsettled = self._warn_of(left_out)
        self.settling.see(keys, self.clock())
        pause = _SHARE * (self.clock() - began)
        try:
            self._upload(keys, self.settling.ready(self.clock()))
        except (RetryableError, BotoCoreError) as error:
            self.warn(f"{error}; trying again in {RETRY:.0f} s")
            pause = max(pause, RETRY)
        self.earliest = self.clock() + pause
        unsettled = unsettled or bool(self.settling.waiting)
        self.due = max(self.earliest, self.clock() + (SETTLING / 2 if unsettled else self.rescan))

    def _upload(self, keys: dict[Path, str], files: list[Path]) -> None:
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            with ThreadPoolExecutor(_AT_ONCE) as threads:
                outcomes = threads.map(lambda file: self._upload_complete(keys[file], file), some)
                for file, outcome in zip(some, outcomes, strict=True):
                    if outcome and outcome != SAME:
                        self.report(keys[file], outcome)

    def _upload_complete(self, key: str, file: Path) -> str:
        """Upload a file; return the outcome, empty if the file is still being written."""
        settled = self.settling.waiting[file][0]
        if being_written(file):
            return ""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / f"copy{file.suffix}"
            try:
                shutil.copyfile(file, copy)
            except OSError:  # it is gone, or its permissions changed: the next look sees which
                return ""
            if stamp(file) != settled:  # somebody began to write it: the copy may be a mixture
                return ""
            outcome = self.upload((key, copy))
        self.settling.finish(file, settled)
        return outcome

    def _warn_of(self, left_out: Skipped) -> bool:
        """Report skipped files once two looks agree; return whether their state still changes."""
        lines = dict(zip(left_out.counts, left_out.lines(), strict=True))
        before, self.left_out = self.left_out, dict(left_out.counts)
        for reason, count in self.left_out.items():
            # a file that a program has just created is empty, and may get another name
            lasting = min(count, before.get(reason, 0))
            if lasting > self.skipped.get(reason, 0):
                self.warn(lines[reason])
                self.skipped[reason] = lasting
        return before != self.left_out


def watch_folder(
    deployment: Deployment,
    folder: Path,
    prefix: str,
    report: Callable[[str, str], None],
    warn: Callable[[str], None],
    *,
    replace: bool = False,
    into_existing: bool = False,
) -> None:
    """Upload all images in a folder, and new ones as they appear, until Ctrl-C or SIGTERM.

    Args:
        deployment: the deployment.
        folder: the folder.
        prefix: put before every object key.
        report: called with a key and what became of its file.
        warn: called with what is left out, and with problems that go away by themselves.
        replace: whether other bytes under a key are replaced, which resets their labels.
        into_existing: whether a bucket that the stack only reads is written to.

    Raises:
        BadRequest: there is no such folder; or the stack only reads its bucket, or not these keys.
    """
    check_bucket(images_source(deployment.outputs), prefix, into_existing=into_existing)
    upload = Upload(deployment.client("s3"), deployment.outputs["ImagesBucket"], replace=replace)
    watched, stop = WatchFolder(folder, prefix, upload, report, warn), threading.Event()
    with stopped_by_signals(stop):
        watch(watched, changes_of(watched, stop), stop)


def watch(folder: WatchFolder, changes: Iterable[bool], stop: threading.Event) -> None:
    """Upload all images in a folder, and new ones as they appear, until it is stopped.

    Args:
        folder: the folder.
        changes: yields often, True if something has changed.
        stop: ends it.
    """
    folder.look()
    changed = False
    for news in changes:
        if stop.is_set():
            return
        changed = changed or news
        now = folder.clock()
        if now >= folder.due or (changed and now >= folder.earliest):
            changed = False
            folder.look()


def changes_of(folder: WatchFolder, stop: threading.Event) -> Iterator[bool]:
    """Yield twice a second whether the folder has changed, until it is stopped.

    Where changes are not reported, the folder is looked through more often instead. Reports need the extra
    ``watch``, and a system and a file system that have them.
    """
    if extras.installed("watch"):
        try:
            yield from _reported(folder.folder, stop)
        except OSError as error:
            folder.warn(f"changes are not reported ({error}): looking every {RESCAN_BLIND:.0f} s")
        else:
            return
    folder.rescan = RESCAN_BLIND
    while not stop.wait(_TICK):
        yield False


def _reported(folder: Path, stop: threading.Event) -> Iterator[bool]:
    from watchfiles import watch as watched

    milliseconds = int(1000 * _TICK)
    for changes in watched(
        folder,
        watch_filter=None,
        rust_timeout=milliseconds,
        yield_on_timeout=True,
        stop_event=stop,
        raise_interrupt=False,
    ):
        yield bool(changes)


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set an event at Ctrl-C and at SIGTERM, instead of stopping in the middle of an upload."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, lambda *_: stop.set())
    if hasattr(signal, "SIGIO"):  # sent when a program opens a file whose lease is being taken
        handlers[signal.SIGIO] = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
