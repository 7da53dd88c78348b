"""The options of a command that are about a library of the Photos app."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cli.model_options import SectionedOption
from cli.named_paths import named_path
from cli.typed_path import TypedPath

#: The value of --photos-library without a path.
_LAST_OPENED = ""


@dataclass(frozen=True)
class PhotosOptions:
    """A library, the choice of its photos, and the place of its texts."""

    #: None: the library that Photos opened last.
    library: Path | None
    #: Names of albums; none: all photos.
    albums: tuple[str, ...]
    #: The folder of the texts; None: beside the library.
    texts: Path | None
    #: Whether captions also go into the library itself, through Photos.
    write_back: bool


def photos_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which takes them as its argument `photos`; None: the run is not about a library."""

    @functools.wraps(command)
    def with_options(
        *args: Any,
        photos_library: str | None,
        album: tuple[str, ...],
        texts_in: Path | None,
        write_back: bool,
        **values: Any,
    ) -> Any:
        if photos_library is None:
            typed = {"--album": album, "--texts-in": texts_in, "--write-back": write_back}
            if wrong := next((name for name, value in typed.items() if value), None):
                raise click.UsageError(f"{wrong} goes with --photos-library.")
            return command(*args, photos=None, **values)
        library = None if photos_library == _LAST_OPENED else _absolute(named_path(Path(photos_library)))
        texts = None if texts_in is None else _absolute(texts_in)
        return command(*args, photos=PhotosOptions(library, album, texts, write_back), **values)

    for option in reversed(_OPTIONS):
        with_options = option(with_options)
    return with_options


def _absolute(path: Path) -> Path:
    # Addresses of images and texts are absolute, and a path with `..` is another address.
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111


def _option(name: str, **attributes: Any) -> Callable[[Any], Any]:
    return click.option(name, cls=SectionedOption, section="Photos library", **attributes)


_OPTIONS = (
    _option(
        "--photos-library",
        is_flag=False,
        flag_value=_LAST_OPENED,
        metavar="[PATH]",
        help="In place of PATH...: caption the pictures of a library of the Photos app, by default the one that was opened last. "
        "Nothing is written into it.  [default: none]",
    ),
    _option(
        "--album", multiple=True, metavar="NAME", help="Take only this album; may be repeated.  [default: all photos]"
    ),
    _option(
        "--texts-in",
        type=TypedPath(),
        metavar="DIR",
        help="Folder of the text files.  [default: LIBRARY captions, beside the library]",
    ),
    _option(
        "--write-back",
        is_flag=True,
        help="Also write descriptions, keywords and titles into Photos, after a sample; those that a person wrote stay.",
    ),
)
