"""The file of a backup: a tar archive whose first member says what the others are."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Self

from jobs.errors import BackupError

MANIFEST, DATABASE, CONFIG, BLOBS = "captionq-backup.json", "captionq.db", "config.toml", "blobs/"
#: Bytes that are copied at a time.
PIECE = 1 << 20
#: Bytes that a manifest may have.
MOST_BYTES = 100_000


@dataclass(frozen=True)
class Manifest:
    """The first member of a backup."""

    #: Version of captionq; empty: unknown, for the copy of a database.
    captionq: str
    #: Version of the tables.
    schema: str
    #: Seconds since the epoch.
    made_at: float
    jobs: int
    #: SHA-256 of the database, in hex digits.
    database_sha256: str

    def to_json(self) -> bytes:
        """Return the content of the member."""
        return json.dumps(asdict(self), indent=2).encode()

    @classmethod
    def read(cls, archive: tarfile.TarFile, path: Path) -> Self:
        """Read the manifest, the archive's next member. Raises BackupError."""
        member = archive.next()
        file = archive.extractfile(member) if member is not None and member.name == MANIFEST else None
        try:
            if file is not None:
                return cls(**json.loads(file.read(MOST_BYTES)))
        except (ValueError, TypeError) as error:
            raise BackupError(f"{path} is no backup that this version can read: {error}.") from error
        raise BackupError(f"{path} is no backup of captionq.")


def sha256_of(file: BinaryIO) -> str:
    """Return the SHA-256 of a file's content from here on, in hex digits."""
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    return digest.hexdigest()
