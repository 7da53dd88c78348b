"""Taking the files of a run back: new files are removed, changed files get their content back, files of others stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jobs.captions.outputs.embedding import file_sha256
from jobs.captions.text_files import fingerprint, read_output, remove_output, shown, write_output
from jobs.captions.writable_folders import write_error
from jobs.errors import ConflictError, OutputError
from jobs.requests import path_of
from jobs.store.file_tables import WrittenFile
from jobs.store.store import Store
from jobs.store.written.written_files import WrittenFiles

#: The name in the temporary files of an undo.
WRITER = "undo"


@dataclass
class Undone:
    """Outcome of an undo."""

    #: Addresses of the files that are gone, as before the run.
    gone: set[str] = field(default_factory=set)
    #: Addresses of the files that have their content of before the run.
    back: set[str] = field(default_factory=set)
    #: Files that stay as they are, with the reasons: they were changed since.
    left: dict[Path, str] = field(default_factory=dict)
    #: Files that could not be written now, with the reasons. The next undo tries them again.
    failed: dict[Path, str] = field(default_factory=dict)

    @property
    def removed(self) -> int:
        """Number of files that were removed."""
        return len(self.gone)

    @property
    def restored(self) -> int:
        """Number of files that were brought back."""
        return len(self.back)


def undo_run(batch_id: str, store: Store) -> Undone:
    """Take the files of a batch back, the newest change first.

    A file that a person or another run has changed since stays, and counts as settled. A file that cannot be written is left for
    the next undo. If the process dies, the next undo continues: the file of a half-done change is as before or as after it.

    Raises NotFoundError, and ConflictError while jobs of the batch are open.
    """
    store.batch(batch_id)
    if store.open_jobs(batch_id):
        raise ConflictError(
            f"{batch_id} has not ended. Wait for its end, or cancel it: captionq jobs cancel {batch_id}"
        )
    files, undone = WrittenFiles(store.engine), Undone()
    for change in _changes(batch_id, files):
        path = path_of(change.path)
        # Where a later change of the same file could not be taken back, the earlier change cannot be either.
        try:
            if path not in undone.left and path not in undone.failed:
                _take_back(change, path, undone)
        except OutputError as error:
            undone.failed[path] = error.message
        if path not in undone.failed:
            files.close(change)
    return undone


def _changes(batch_id: str, files: WrittenFiles) -> Iterator[WrittenFile]:
    last = None
    while page := files.page(batch_id, last):
        yield from page
        last = page[-1]


def _take_back(change: WrittenFile, path: Path, undone: Undone) -> None:
    if change.backup is not None:
        _take_back_embedded(change, path, path_of(change.backup), undone)
        return
    there = read_output(path)
    if fingerprint(there) == change.before_sha256:
        return
    if fingerprint(there) != change.after_sha256:
        undone.left[path] = _changed(path, is_there=there is not None)
    elif change.before is None:
        remove_output(path)
        # A run and a person's edits after it change one file several times: it was brought back to one of them just now.
        undone.back.discard(change.path)
        undone.gone.add(change.path)
    elif write_output(path, change.before, replaces=there, writer=WRITER):
        undone.back.add(change.path)
    else:
        undone.left[path] = _changed(path, is_there=True)


def _take_back_embedded(change: WrittenFile, path: Path, backup: Path, undone: Undone) -> None:
    """Give an image file its old content back: the backup takes its place."""
    there = file_sha256(path)
    has_backup = file_sha256(backup) == change.before_sha256
    if there == change.before_sha256:
        if has_backup:
            remove_output(backup)
        return
    if there != change.after_sha256:
        undone.left[path] = _changed(path, is_there=there is not None)
    elif not has_backup:
        undone.left[path] = f"{shown(path)} stays: its backup {shown(backup)} is gone or was changed."
    else:
        try:
            backup.replace(path)
        except OSError as error:
            raise write_error(f"{shown(path)} could not be brought back", error) from error
        undone.back.add(change.path)


def _changed(path: Path, *, is_there: bool) -> str:
    if not is_there:
        return f"{shown(path)} was removed since."
    return f"{shown(path)} was changed since; it stays as it is."
