"""Removing a model from the Hugging Face cache."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import ModelError, ModelNotFoundError
from jobs.models.hub import cache_dir
from jobs.models.model_info import is_built_in


@dataclass(frozen=True)
class CachedModel:
    """A repository of the cache."""

    name: str
    folder: Path

    @property
    def size(self) -> int:
        """The bytes on the disk: links to the files of a revision do not count."""
        return sum(file.lstat().st_size for file in self.folder.rglob("*") if not file.is_symlink() and file.is_file())


def find_cached(name: str) -> CachedModel:
    """Find a repository of the cache by its name. Raises ModelNotFoundError, ModelError.

    The folder is one that the cache lists, never one made from the name: a name may hold anything.
    """
    for folder in cache_dir().glob("models--*"):
        if folder.name == f"models--{name.replace('/', '--')}" and name.count("/") == 1:
            if folder.is_symlink():
                raise ModelError(
                    f"'{name}' is a link to {folder.resolve()}. Remove the link and that folder by hand: {folder}"
                )
            return CachedModel(name, folder)
    if is_built_in(name):
        raise ModelError(f"'{name}' comes with captionq and cannot be removed.")
    if Path(name).expanduser().is_dir():
        raise ModelError(f"'{name}' is a folder of yours, not of the Hugging Face cache. Remove it by hand.")
    raise ModelNotFoundError(f"There is no model '{name}' in {cache_dir()}. captionq models list shows the models.")


def remove(model: CachedModel) -> None:
    """Remove the repository with all of its revisions, and its locks. Raises OSError."""
    # Renamed first: a removal that is interrupted leaves no model with half of its files.
    doomed = model.folder.with_name(f".removed-{model.folder.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    model.folder.rename(doomed)
    shutil.rmtree(doomed)
    shutil.rmtree(model.folder.parent / ".locks" / model.folder.name, ignore_errors=True)
