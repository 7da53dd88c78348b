"""The disk after a power failure at any moment, from the journal that `disk_shim.c` writes.

Bytes are on the disk once their file was synced, and names once their folder was: everything later is lost, or some of it is.
POSIX promises no more, though many file systems keep the order of names.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = struct.Struct("<cQQII")
#: Bytes that a drive writes as one.
_SECTOR = 512


@dataclass(frozen=True)
class Change:
    """One record of the journal."""

    #: `c` created, `w` written, `t` cut or stretched, `s` synced, `r` renamed, `l` linked, `u` unlinked, `m` made a folder.
    kind: str
    inode: int
    offset: int
    first: bytes
    second: bytes

    @property
    def path(self) -> str:
        return self.first.decode()


def read_journal(path: Path) -> Iterator[Change]:
    """Yield the changes in their order."""
    data, place = path.read_bytes(), 0
    while place < len(data):
        kind, inode, offset, one, two = _HEAD.unpack_from(data, place)
        place += _HEAD.size
        yield Change(kind.decode(), inode, offset, data[place : place + one], data[place + one : place + one + two])
        place += one + two


@dataclass
class _File:
    """The bytes of a file: those that a program reads, those on the disk, and the changes between."""

    now: bytearray
    synced: bytes = b""
    pending: list[Change] = field(default_factory=list)

    def change(self, change: Change) -> None:
        _apply(self.now, change)
        self.pending.append(change)

    def sync(self) -> None:
        self.synced, self.pending = bytes(self.now), []

    def after_loss(self, dice: random.Random | None) -> bytes:
        """Return the bytes on the disk; with dice also some of the changes since, the last of them perhaps torn."""
        left = bytearray(self.synced)
        for change in self.pending if dice is not None else []:
            assert dice is not None
            match dice.randrange(3):
                case 0:
                    _apply(left, change)
                case 1 if change.kind == "w":
                    cut = dice.randrange(0, len(change.first) + 1, _SECTOR)
                    _apply(left, Change("w", change.inode, change.offset, change.first[:cut], b""))
        return bytes(left)


class Disk:
    """The files below a folder while the journal is replayed."""

    def __init__(self, folder: Path) -> None:
        """Take the files that are there, all of them on the disk."""
        self._names: dict[str, _File] = {}
        self._inodes: dict[int, _File] = {}
        self._folders: set[str] = {str(folder)}
        for path in folder.rglob("*"):
            if path.is_dir():
                self._folders.add(str(path))
            elif path.is_file():
                content = path.read_bytes()
                self._names[str(path)] = self._inodes[path.stat().st_ino] = _File(bytearray(content), content)
        self._synced_names, self._synced_folders = dict(self._names), set(self._folders)
        #: Changes of names that no sync of their folder has followed.
        self._pending: list[Change] = []

    def change(self, change: Change) -> None:
        """Replay one change."""
        match change.kind:
            case "w" | "t":
                # Files from before that the journal does not name, such as the log, are left out.
                if (file := self._inodes.get(change.inode)) is not None:
                    file.change(change)
            case "s" if change.path in self._folders:
                self._sync_folder(change.path)
            case "s":
                if (file := self._inodes.get(change.inode)) is not None:
                    file.sync()
            case _:
                if change.kind == "c":
                    self._inodes[change.inode] = _File(bytearray())
                self._rename(change, self._names, self._folders)
                self._pending.append(change)

    def now(self, path: Path) -> bytes:
        """Return the bytes of a file as its readers see them."""
        return bytes(self._names[str(path)].now)

    def after_loss(self, dice: random.Random | None) -> tuple[set[str], dict[str, bytes]]:
        """Return the folders and files that are on the disk. With dice, some of what was not synced is there too."""
        names, folders = dict(self._synced_names), set(self._synced_folders)
        # Names come to the disk in the order of their changes.
        for change in self._pending[: dice.randrange(len(self._pending) + 1)] if dice is not None else []:
            self._rename(change, names, folders)
        return folders, {
            path: file.after_loss(dice) for path, file in names.items() if str(Path(path).parent) in folders
        }

    def _rename(self, change: Change, names: dict[str, _File], folders: set[str]) -> None:
        new = change.second.decode()
        match change.kind:
            case "c":
                names[change.path] = self._inodes[change.inode]
            case "m":
                folders.add(change.path)
            case "u":
                names.pop(change.path, None)
            case "l" if change.path in names:
                names[new] = names[change.path]
            case "r" if change.path in names:
                names[new] = names.pop(change.path)

    def _sync_folder(self, folder: str) -> None:
        synced = [change for change in self._pending if folder in {str(Path(path).parent) for path in _paths(change)}]
        for path in {path for change in synced for path in _paths(change) if str(Path(path).parent) == folder}:
            if path in self._names:
                self._synced_names[path] = self._names[path]
            else:
                self._synced_names.pop(path, None)
            if path in self._folders:
                self._synced_folders.add(path)
        self._pending = [change for change in self._pending if change not in synced]


def _paths(change: Change) -> list[str]:
    return [path.decode() for path in (change.first, change.second) if path]


def _apply(content: bytearray, change: Change) -> None:
    if change.kind == "t":
        del content[change.offset :]
        content.extend(bytes(change.offset - len(content)))
        return
    if len(content) < change.offset:
        content.extend(bytes(change.offset - len(content)))
    content[change.offset : change.offset + len(change.first)] = change.first
