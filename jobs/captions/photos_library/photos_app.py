"""The Photos app, told by AppleScript what to write into its library. Only Photos itself ever changes a library."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from jobs.captions.photos_library.photo_texts import PhotoTexts
from jobs.errors import MissingToolError, OutputChangedError, OutputError, OutputForbiddenError, first_line
from jobs.images.photos_library.osxphotos_source import check_osxphotos, open_library_path

#: AppleScript's number of the error that the user has not allowed to control Photos.
_NOT_ALLOWED = "-1743"


class PhotosApp(Protocol):
    """The app that has the library open."""

    def read(self, uuid: str) -> PhotoTexts:
        """Return the texts that a photo has now. Raises OutputError, and OutputForbiddenError if Photos may not be asked."""
        ...

    def write(self, uuid: str, change: PhotoTexts) -> None:
        """Set the texts of a change that are not empty, and add its keywords. Raises the errors of `read`."""
        ...


class ScriptedPhotosApp:
    """Photos on this Mac, through the package photoscript: some tenths of a second for each text."""

    def __init__(self) -> None:
        """Start Photos if it does not run. The first time, macOS asks the user whether it may be controlled.

        Raises OutputForbiddenError if it may not, OutputError if it does not answer.
        """
        import photoscript
        from photoscript.script_loader import configure_run_script

        # It would kill Photos when that is slow, whatever the user does there.
        configure_run_script(retry_enabled=False)
        with _translated_errors():
            photoscript.PhotosLibrary()

    def read(self, uuid: str) -> PhotoTexts:
        """Return the texts that a photo has now."""
        with _translated_errors():
            photo = _photo(uuid)
            return PhotoTexts(photo.title, photo.description, tuple(photo.keywords))

    def write(self, uuid: str, change: PhotoTexts) -> None:
        """Set and add texts. Raises OutputChangedError if Photos did not take them."""
        with _translated_errors():
            _set(_photo(uuid), change)


def check_photos_app(library: Path) -> None:
    """Check that texts can be written into this library.

    Raises MissingToolError if this is no Mac, or without the extra, and OutputForbiddenError if Photos has another library open.
    """
    if sys.platform != "darwin":
        raise MissingToolError(
            "--write-back needs the Photos app, which only a Mac has. Leave it out to get text files."
        )
    check_osxphotos()
    there = open_library_path()
    if there is not None and there.resolve() != library.resolve():
        raise OutputForbiddenError(
            f"Photos has {there} open. To write into {library}, open it first: hold Option while you start Photos."
        )


@contextmanager
def _translated_errors() -> Iterator[None]:
    from photoscript import AppleScriptError

    try:
        yield
    except AppleScriptError as error:
        if _NOT_ALLOWED in str(error):
            raise OutputForbiddenError(
                "captionq may not control Photos. Allow it for your terminal: System Settings, Privacy & Security, Automation."
            ) from error
        raise OutputError(f"Photos answered: {first_line(error)}") from error


def _photo(uuid: str) -> Any:
    import photoscript

    try:
        return photoscript.Photo(uuid)
    except ValueError as error:
        raise OutputError("The photo is not in the library that Photos has open.") from error


def _set(photo: Any, change: PhotoTexts) -> None:
    if change.title:
        photo.title = change.title
    if change.description:
        photo.description = change.description
    if change.keywords:
        photo.keywords = [*photo.keywords, *change.keywords]
    # Photos may leave a text out without an error, for example while iCloud changes the photo.
    if (
        (change.title and _plain(photo.title) != _plain(change.title))
        or (change.description and _plain(photo.description) != _plain(change.description))
        or not set(map(_plain, change.keywords)) <= set(map(_plain, photo.keywords if change.keywords else ()))
    ):
        raise OutputChangedError("Photos did not take the text.")


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()
