"""Walking the objects below a prefix for images, a folder at a time: no listing of a whole bucket is held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.errors import ImageForbiddenError
from jobs.images.allowed_roots import is_below
from jobs.images.walking.file_filter import FileFilter
from jobs.images.walking.folder_images import FoundImages, in_parts
from jobs.images.walking.folder_walk import is_image_name
from jobs.images.walking.left_out import LeftOut
from jobs.images.walking.shots import left_out_of_shots
from jobs.objects.store import Listed, ObjectNotFoundError, is_single, list_folder


def find_objects(
    path: Path, *, recursive: bool, roots: Sequence[Path] | None, only: FileFilter, left_out: LeftOut
) -> Iterator[FoundImages]:
    """Yield the images at and below a path of an object, as `find_by_folder` does for files.

    Raises ObjectStoreError, MissingToolError, ImageForbiddenError.
    """
    if roots is not None and not is_below(path, roots):
        raise ImageForbiddenError(f"{path.name} is outside the places that may be read.")
    if is_single(path):
        yield FoundImages(path.parent, [path.name])
    else:
        yield from _images(path, path, recursive=recursive, only=only, left_out=left_out)


def _images(folder: Path, base: Path, *, recursive: bool, only: FileFilter, left_out: LeftOut) -> Iterator[FoundImages]:
    try:
        objects, folders = list_folder(folder)
    except ObjectNotFoundError:
        return
    names = _taken(folder, objects, base, only=only, left_out=left_out)
    yield from in_parts(folder, names) if only.takes_all else (FoundImages(folder, [name]) for name in names)
    for name in folders if recursive else ():
        if name.startswith("."):
            continue
        if only.takes_folder(folder / name, base):
            yield from _images(folder / name, base, recursive=True, only=only, left_out=left_out)
        else:
            left_out.excluded += 1


def _taken(
    folder: Path, objects: Sequence[Listed], base: Path, *, only: FileFilter, left_out: LeftOut
) -> Iterator[str]:
    of_shots = left_out_of_shots([one.name for one in objects])
    for one in objects:
        path = folder / one.name
        if one.name in of_shots:
            left_out.of_shots += is_image_name(one.name)
        elif not is_image_name(one.name):
            left_out.add_other(one.name)
        elif not only.takes(path, base):
            left_out.excluded += 1
        elif only.is_older_than(one.modified):
            left_out.older += 1
        else:
            yield one.name
