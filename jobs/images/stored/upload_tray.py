"""Trays: pictures of one upload that arrive a request at a time, until a run takes all of them.

A tray is a folder: a lock file, its totals, and a list with a line for each file that arrived. Neither a process nor a request
holds more of it than one line. The pictures themselves are blobs. A tray that no run took is removed after a day.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import IO

from jobs.configuration.settings import Settings
from jobs.errors import ImageTooLargeError, UnsupportedImageError, UploadTooLargeError
from jobs.file_locks import exclusive
from jobs.images.opening import check_image
from jobs.images.stored.blobs import blob_path, put_image_file
from jobs.images.stored.safe_names import clean_label, make_distinct
from jobs.images.stored.zip_directory import ZIP_SIGNATURES
from jobs.images.stored.zip_upload import UnpackedImage, too_many_files, unpack_images
from jobs.images.walking.folder_walk import is_image_name

#: Seconds for which a tray waits for its run.
TRAY_KEPT = 86_400.0


@dataclass(frozen=True)
class Totals:
    """Number of pictures in a tray, and their bytes."""

    pictures: int = 0
    bytes: int = 0


class ArrivingFile:
    """A file whose bytes arrive in pieces. It may be as large as an image, or, if it is a zip, as a whole upload."""

    def __init__(self, label: str, file: IO[bytes], settings: Settings) -> None:
        self.label = label
        self.file = file
        self._settings = settings
        self._size = 0
        self._is_zip = False

    def write(self, piece: bytes) -> None:
        """Add the next piece, of which the first has four bytes or more. Raises UploadTooLargeError, ImageTooLargeError."""
        if not self._size:
            self._is_zip = piece.startswith(ZIP_SIGNATURES)
        self._size += len(piece)
        settings = self._settings
        if self._is_zip and self._size > settings.max_upload_bytes:
            raise UploadTooLargeError(_too_large(self.label, settings.max_upload_bytes, "CAPTIONQ_MAX_UPLOAD_BYTES"))
        if not self._is_zip and self._size > settings.max_image_bytes:
            raise ImageTooLargeError(_too_large(self.label, settings.max_image_bytes, "CAPTIONQ_MAX_IMAGE_BYTES"))
        self.file.write(piece)


class UploadTray:
    """The tray of one owner with this id. Safe to use from several processes and threads at once."""

    def __init__(self, owner: str, tray_id: str, settings: Settings) -> None:
        """Name a tray; its folder is made by the first file. No other owner finds it by its id."""
        name = hashlib.sha256("\0".join((owner, tray_id)).encode()).hexdigest()
        self._settings = settings
        self._folder = settings.data_dir / "trays" / name

    @property
    def totals(self) -> Totals:
        """The pictures that have arrived so far."""
        with suppress(FileNotFoundError):
            return Totals(**json.loads((self._folder / "totals").read_text()))
        return Totals()

    @contextmanager
    def receiving(self, name: str) -> Iterator[ArrivingFile]:
        """Provide the file for bytes that arrive. It is removed at the end of the block, however that comes."""
        if not self._folder.exists():
            remove_old_trays(self._settings, now=time.time())
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix="new-", dir=self._folder) as file:
            yield ArrivingFile(clean_label(name), file, self._settings)

    def add(self, number: int, arrived: ArrivingFile, *, again: bool = False) -> int:
        """Add a file that has arrived, or the pictures of a zip; return the number of pictures.

        Args:
            number: of the file within the upload.
            arrived: the file with all of its bytes.
            again: the client sends this file once more, because it has no answer to the first time.

        Raises ImageError, ArchiveError, UploadTooLargeError.
        """
        if again and (known := [one for at, pictures in self._lines() if at == number for one in pictures]):
            return len(known)
        pictures = self._stored(arrived)
        with exclusive(self._folder / "lock"):
            totals = self.totals
            totals = Totals(totals.pictures + len(pictures), totals.bytes + sum(one.bytes for one in pictures))
            self._check(totals)
            with (self._folder / "list").open("a") as lines:
                # A line that a killed process left unfinished does not spoil the next one.
                lines.write(f"\n{json.dumps([number, [asdict(one) for one in pictures]])}\n")
            new = self._folder / "totals.new"
            new.write_text(json.dumps(asdict(totals)))
            new.replace(self._folder / "totals")
        return len(pictures)

    def pictures(self) -> list[UnpackedImage]:
        """Return the pictures by their names, each name once."""
        found = sorted((one for _, pictures in self._lines() for one in pictures), key=lambda one: one.name)
        labels = make_distinct(one.name for one in found)
        return [UnpackedImage(label, one.sha256, one.bytes) for label, one in zip(labels, found, strict=True)]

    def discard(self) -> None:
        """Empty the tray. The sweep removes the blobs that no job needs."""
        if not self._folder.exists():
            return
        with exclusive(self._folder / "lock"):
            for name in ("list", "totals"):
                (self._folder / name).unlink(missing_ok=True)

    def _stored(self, arrived: ArrivingFile) -> list[UnpackedImage]:
        label, file = arrived.label, arrived.file
        file.seek(0)
        if file.read(4) in ZIP_SIGNATURES:
            return unpack_images(file, self._settings)
        if not is_image_name(label.rpartition("/")[2]):
            raise UnsupportedImageError(f"{label} is no picture that captionq reads, by its name.")
        file.seek(0)
        sha256, size = put_image_file(file, self._settings)
        check_image(blob_path(sha256, self._settings), self._settings, name=label)
        return [UnpackedImage(label, sha256, size)]

    def _check(self, totals: Totals) -> None:
        """Check that the tray holds no more than one upload may. Raises UploadTooLargeError."""
        settings = self._settings
        if totals.pictures > settings.max_upload_files:
            raise too_many_files(settings)
        if totals.bytes > settings.max_upload_bytes:
            raise UploadTooLargeError(
                f"The upload has more than {settings.max_upload_bytes / 1e6:.0f} MB (CAPTIONQ_MAX_UPLOAD_BYTES). "
                "Send several smaller ones, or serve the folder: captionq serve --allow-root DIR"
            )

    def _lines(self) -> Iterator[tuple[int, list[UnpackedImage]]]:
        with suppress(FileNotFoundError), (self._folder / "list").open() as lines:
            for line in lines:
                with suppress(ValueError):
                    number, pictures = json.loads(line)
                    yield number, [UnpackedImage(**one) for one in pictures]


def _too_large(label: str, most: int, setting: str) -> str:
    return f"{label} is larger than the {most / 1e6:.0f} MB that are allowed ({setting})."


def remove_old_trays(settings: Settings, *, now: float) -> None:
    """Remove trays into which nothing came for a day. `now`: seconds since the epoch."""
    for folder in (settings.data_dir / "trays").glob("*"):
        with suppress(FileNotFoundError):
            if folder.stat().st_mtime < now - TRAY_KEPT:
                shutil.rmtree(folder, ignore_errors=True)
