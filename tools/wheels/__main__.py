"""`make wheels`: resolve the locks for each version of macOS and of Python, and print a table of what has no wheel.

uv looks as it would on that Mac, installs nothing, and downloads nothing but descriptions of packages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKS = ("use", "develop")
SYSTEMS = ("14.0", "26.0")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
#: A pin of a lock, with its marker and its hashes on the lines that follow.
_PIN = re.compile(r"^([A-Za-z0-9_.-]+)==\S+.*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
#: The package that uv's refusal is about.
_REFUSED = re.compile(r"Because ([A-Za-z0-9_.-]+)(?:\{[^}]*\})?==\S+ has no ")


def main() -> None:
    """Print the table. Exits with 1 if a package has no wheel."""
    print("| lock | macOS | " + " | ".join(f"Python {python}" for python in PYTHONS) + " |")
    print("|---|---|" + "---|" * len(PYTHONS))
    complete = True
    for lock in LOCKS:
        for system in SYSTEMS:
            found = [missing(lock, system, python) for python in PYTHONS]
            complete = complete and not any(found)
            print(
                f"| {lock}.txt | {system} | " + " | ".join(", ".join(one) or "all" for one in found) + " |", flush=True
            )
    sys.exit(0 if complete else 1)


def missing(lock: str, system: str, python: str) -> list[str]:
    """Return the names of the packages of a lock that have no wheel for this Mac. Exits if uv fails otherwise."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    names: list[str] = []
    while (said := _resolve(text, system, python)) is not None:
        found = _REFUSED.search(said)
        if found is None:
            sys.exit(f"uv failed for macOS {system}, Python {python}, {lock}.txt:\n{said}")
        names.append(found[1])
        text = "".join(pin[0] for pin in _PIN.finditer(text) if pin[1] != found[1])
    return names


def _resolve(lock: str, system: str, python: str) -> str | None:
    """Return what uv says if these pins cannot be installed from wheels; None: they can be."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "lock.txt")
        file.write_text(lock)
        uv = str(Path(sys.executable).with_name("uv"))
        mac = ["--python-platform", "aarch64-apple-darwin", "--python-version", python]
        lock_only = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirement", str(file)]
        command = [uv, "pip", "install", "--dry-run", "--target", str(Path(folder, "packages")), *mac, *lock_only]
        environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": system, "NO_COLOR": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr


if __name__ == "__main__":
    main()
