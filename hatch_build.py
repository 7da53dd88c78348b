"""hatchling's hook of this project: a wheel and an sdist name the commit that they were built from (`captionq --version`)."""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: The file's place in the wheel, in the sdist, and in wheels that are built from the sdist.
COMMIT_FILE = "cli/commit.txt"


class CommitHook(BuildHookInterface):  # type: ignore[type-arg]
    """A hook that writes the commit into a file of the distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the file. A checkout that is installed in place asks git itself, and an sdist has the file already."""
        if version != "standard":
            return
        root = Path(self.root)
        commit = runpy.run_path(str(root / "cli" / "version.py"))["commit_of_checkout"](root)
        if commit is None:
            return
        # Removed when the hook is.
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name, "commit.txt")
        file.write_text(f"{commit}\n")
        build_data["force_include"][str(file)] = COMMIT_FILE
