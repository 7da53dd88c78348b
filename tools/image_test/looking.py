"""Looking into the image: its user, its health check, and the programs and packages that a server has no use for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tools.image_test.building import IMAGE, buildah, buildah_command, inspect

#: Programs that compile or install others.
_BUILDERS = ("gcc", "cc", "g++", "clang", "make", "ld")
#: Packages of the worker, and of building.
_UNWANTED = ("mlx", "mlx_lm", "mlx_vlm", "torch", "hatchling", "pip")


@contextmanager
def container() -> Iterator[str]:
    """Make a container of the image, and remove it in the end."""
    name = buildah("from", IMAGE)
    try:
        yield name
    finally:
        buildah("rm", name)


def command_in(name: str, command: Sequence[str], *options: str) -> list[str]:
    """Return the command line that runs a command in a container."""
    return buildah_command("run", "--isolation", "chroot", *options, name, "--", *command)


def output_of(name: str, command: Sequence[str]) -> str:
    """Run a command in a container, and return its output. Exits if the command fails."""
    done = subprocess.run(command_in(name, command), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"In the image, {' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def check_contents() -> Iterator[str]:
    """Yield a sentence for each check that the image passes. Exits at the first that it does not."""
    configuration = inspect(IMAGE)
    if not configuration.get("Healthcheck", {}).get("Test"):
        sys.exit("The image has no health check.")
    yield f"health check: {configuration['Healthcheck']['Test'][0]} {configuration['Healthcheck']['Test'][1]} …"
    with container() as name:
        user = output_of(name, ["id", "-u"])
        if user == "0" or not configuration.get("User"):
            sys.exit("The image runs as root.")
        yield f"it runs as the user {configuration['User']}, id {user}"
        builders = output_of(name, ["sh", "-c", f"command -v {' '.join(_BUILDERS)} || true"])
        if builders:
            sys.exit(f"The image has {builders.split()}.")
        yield "no compiler"
        code = f"import importlib.util as u; print([n for n in {_UNWANTED!r} if u.find_spec(n)])"
        found = output_of(name, ["python", "-c", code])
        if found != "[]":
            sys.exit(f"The image has the packages {found}.")
        yield "no mlx, and no package that builds packages"
        yield output_of(name, ["captionq", "--version"])
