"""Small versions of pictures for the page, kept on the disk. Large and unusual pictures have none: no limit is stretched."""

from __future__ import annotations

import hashlib
import os
import struct
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from jobs.configuration.settings import Settings
from jobs.errors import ImageError, ImageForbiddenError, ImageTooLargeError
from jobs.images.formats.containers import Container
from jobs.images.opening import name_of, open_image
from jobs.images.sources import image_source
from jobs.store.tables import Job

if TYPE_CHECKING:
    from PIL import Image

#: Longest side in pixels, by the name of the size.
SIDES = {"small": 440, "large": 1600}
#: Bytes on the disk, beyond which the least recently used are removed, and how many are made between two looks.
MOST_BYTES = 2_000_000_000
MADE_BETWEEN_LOOKS = 1000
_ORIENTATION = 0x0112


class Thumbnails:
    """The folder of thumbnails."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data_dir / "thumbnails"
        self._made = 0

    def of(self, job: Job, size: str) -> bytes:
        """Return the job's picture in this size as a JPEG; it is made only once. Raises ImageError."""
        source = self._source(job)
        kept = self._folder / _name(source, size)
        with suppress(FileNotFoundError):
            os.utime(kept)
            return kept.read_bytes()
        made = scaled_jpeg(source, SIDES[size], self._settings)
        self._keep(kept, made)
        return made

    def _source(self, job: Job) -> Path | bytes:
        """Return the file of the job's first image, by the rule that its worker follows."""
        images = job.parsed_request().images
        url = images[0].url if images else ""
        if not url.startswith(("file:", "blob:")):
            raise ImageError("The picture is not stored here.")
        roots, settings = job.parsed_roots(), self._settings
        if roots is None and settings.api_keys:
            # Clients from elsewhere see the folders that are served, and not every folder of a run on the command line.
            roots = list(settings.served_roots)
            if url.startswith("file:") and not roots:
                raise ImageForbiddenError("The picture is outside the folders that are served.")
        return image_source(url, settings, roots)

    def _keep(self, kept: Path, made: bytes) -> None:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = kept.with_suffix(f".{token_hex(6)}")
        temporary.write_bytes(made)
        temporary.replace(kept)
        self._made += 1
        if self._made % MADE_BETWEEN_LOOKS == 0:
            self._remove_least_used()

    def _remove_least_used(self) -> None:
        files = sorted(((path.stat(), path) for path in self._folder.rglob("*.jpg")), key=lambda one: -one[0].st_mtime)
        total = 0
        for status, path in files:
            total += status.st_size
            if total > MOST_BYTES:
                path.unlink(missing_ok=True)


def scaled_jpeg(source: Path | bytes, side: int, settings: Settings) -> bytes:
    """Scale a picture down to this side, within a quarter of the decoder's memory. Raises ImageError."""
    import io

    limits = settings.model_copy(update={"max_pixels": side * side})
    with open_image(source, limits) as (image, cost):
        if isinstance(image, Container) or not cost.is_quick(settings):
            raise ImageTooLargeError(f"{name_of(source)} is not shown: it takes too much memory or time to decode.")
        orientation = _orientation(image)
        if settings.jpeg_draft:
            image.draft("RGB", (side, side))
        small = _rgb(image)
        small.thumbnail((side, side), reducing_gap=2.0)
        written = io.BytesIO()
        _upright(small, orientation).save(written, "JPEG", quality=80)
    return written.getvalue()


def _rgb(image: Image.Image) -> Image.Image:
    from PIL import Image as Images

    if image.mode.startswith("I;16"):
        return image.point(lambda value: value / 256).convert("L").convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Images.new("RGBA", layer.size, "white")
        return Images.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Return the orientation in the metadata; 1 (upright) if they cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except (ValueError, LookupError, TypeError, SyntaxError, OSError, struct.error):
        return 1
    return value if value in range(1, 9) else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    from PIL import ImageOps

    bare = image.copy()
    bare.info = {}
    bare.getexif()[_ORIENTATION] = orientation
    turned = ImageOps.exif_transpose(bare)
    turned.info = {}
    return turned


def _name(source: Path | bytes, size: str) -> str:
    """Return the file's name: a changed picture has another one."""
    if isinstance(source, bytes):
        key = hashlib.sha256(source).hexdigest()
    else:
        status = source.stat()
        key = f"{os.fsencode(source).hex()} {status.st_mtime_ns} {status.st_size}"
    name = hashlib.sha256(f"{key} {SIDES[size]}".encode()).hexdigest()
    return f"{name[:2]}/{name[2:]}.jpg"
