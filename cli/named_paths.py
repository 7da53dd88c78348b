"""Paths as a person types them: with a tilde in quotes, or as a file address."""

from __future__ import annotations

import os
from pathlib import Path

import click

from jobs.configuration.model_settings import absolute_name
from jobs.disk.local_folders import local_folder
from jobs.images.cloud_files import has_placeholder
from jobs.models.adapters import with_adapter
from jobs.mounts import mounts
from jobs.objects.paths import SCHEME, is_object, object_path
from jobs.requests import path_of


def named_path(typed: Path) -> Path:
    """Return the path that was typed. A file of exactly this name comes first. A name of CAPTIONQ_PATH_MAP leads to its place
    here. Raises click.UsageError if there is none."""
    if (found := _found(typed)) is not None:
        return found
    if is_object(typed):
        return object_path(SCHEME + "/".join(typed.parts[1:]))
    if typed.parts[:1] in (("http:",), ("https:",)):
        raise click.UsageError(
            f"{typed.parts[0]}//{'/'.join(typed.parts[1:])} is an address of the web, not a file. Download the image first, or "
            "ask one question about it: captionq ask URL QUESTION"
        )
    if has_placeholder(typed):
        raise click.UsageError(f"{typed} is in iCloud and not on this Mac. Download it first, in Finder.")
    raise click.UsageError(f"{typed} {_reason(typed)}.")


def listed_path(typed: Path) -> Path:
    """Return the path that a list names, as `named_path` does. A path that does not exist stays as it is."""
    return _found(typed) or typed


def named_model(model: str, adapter: str | None) -> str:
    """Return the name of a model with the adapter that was typed. The worker may have another working directory."""
    if adapter is not None and (folder := local_folder(adapter)) is not None:
        adapter = str(folder)
    return with_adapter(absolute_name(model), adapter)


def _found(typed: Path) -> Path | None:
    expanded = Path(os.path.expanduser(typed))  # noqa: PTH111  # never raises
    for path in (typed, _from_address(str(typed)), expanded, mounts().here(expanded)):
        if path is not None and _reason(path) is None:
            return path
    return None


def _from_address(typed: str) -> Path | None:
    """Return the path of `file:///…`, in which Path has made one slash of three."""
    if not typed.startswith("file:/"):
        return None
    return path_of(f"file://{typed.removeprefix('file:')}")


def _reason(path: Path) -> str | None:
    """Say why a path cannot be used; None: there is a file, a folder or a link."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "does not exist"
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return None
