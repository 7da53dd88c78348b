"""Building the image with buildah, without a daemon, on a base of Debian's packages that stands in for `python:3.12-slim`."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

#: Images, containers and the base's files. A second run is quicker for them.
WORK = Path("/var/tmp/captionq-image-test")  # noqa: S108  # of root only, and too large for a memory disk
BASE = "localhost/captionq-base"
IMAGE = "localhost/captionq-api"
SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_BASE_FILE = "FROM scratch\nCOPY base /\n"


def check_tools() -> None:
    """Exit with a sentence if the image cannot be built here."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        sys.exit("The image is built by root on Linux only: it needs chroot. On a Mac: docker compose build")
    for tool in ("buildah", "debootstrap"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed. On Debian: apt-get install buildah debootstrap")


def buildah(*arguments: str) -> str:
    """Run buildah, and return its output. Its storage is this test's own."""
    done = subprocess.run(buildah_command(*arguments), stdout=subprocess.PIPE, text=True, env=_environment())
    if done.returncode:
        sys.exit(f"buildah {shlex.join(arguments[:2])} failed.")
    return done.stdout.strip()


def buildah_command(*arguments: str) -> list[str]:
    """Return the command line of buildah."""
    storage = ["--root", str(WORK / "storage"), "--runroot", str(WORK / "run"), "--storage-driver", "vfs"]
    return ["buildah", *storage, *arguments]


def _environment() -> dict[str, str]:
    return os.environ | {"BUILDAH_ISOLATION": "chroot"}


def build(context: Path) -> None:
    """Build the base if it is missing, then the image of the Dockerfile."""
    WORK.mkdir(mode=0o700, exist_ok=True)
    if BASE not in buildah("images", "--format", "{{.Name}}").splitlines():
        _build_base()
    secret, mounts = _package_index()
    buildah(
        *("bud", "--format", "docker", "--layers", "--tag", IMAGE, "--build-arg", f"BASE={BASE}"),
        *("--secret", f"id=pip,src={secret}", *mounts, str(context)),
    )


def _build_base() -> None:
    folder = WORK / "base"
    shutil.rmtree(folder, ignore_errors=True)
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", SUITE, str(folder)]
    subprocess.run(command, check=True)
    # As in Docker's image of Python: `python` is there, and pip may install.
    (folder / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    for mark in folder.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        mark.unlink()
    shutil.rmtree(folder / "var/cache/apt", ignore_errors=True)
    shutil.rmtree(folder / "var/lib/apt/lists", ignore_errors=True)
    (WORK / "Base").write_text(_BASE_FILE)
    buildah("bud", "--tag", BASE, "--file", str(WORK / "Base"), str(WORK))
    shutil.rmtree(folder)


def _package_index() -> tuple[Path, list[str]]:
    """Write this machine's configuration of pip for the build, and mount the files and folders that it names."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    options, places = dict[str, str](), set[str]()
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in ("global", ":env:"):
            words = value.strip("'\"").split()
            options[option] = " ".join(words)
            # The pages of an index name files beside it.
            places |= {str(Path(word.removeprefix("file://")).parent) for word in words if word.startswith("file://")}
            places |= {word for word in words if word.startswith("/")}
    secret = WORK / "pip.conf"
    secret.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
    found = [place for place in sorted(places) if place.startswith("/") and Path(place).exists()]
    return secret, [word for place in found for word in ("--volume", f"{place}:{place}:ro")]


def inspect(name: str) -> dict[str, Any]:
    """Return the configuration of the image: its user, its commands, its environment."""
    found = json.loads(buildah("inspect", "--type", "image", name))
    configuration: dict[str, Any] = found["Docker"]["config"]
    return configuration


def size(name: str) -> str:
    """Return the size of an image for people, its base included."""
    return buildah("images", "--format", "{{.Size}}", name)
