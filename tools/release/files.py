"""The files of a release."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path


def make_files(root: Path, target: Path, version: str, *, validates: bool) -> Path:
    """Make the files from a clean checkout in a new folder, and return the folder.

    They are the wheel, the sdist, the lock as `requirements.txt`, the packages that it leaves out as `unused.txt`, the list of
    its packages (CycloneDX), the formula, and the checksums of all these. `validates`: the list is compared with CycloneDX' own
    schema, which takes seconds.
    """
    target.mkdir()
    _run(root, "hatchling", "build", "--directory", str(target))
    shutil.copy(root / "requirements" / "use.txt", target / "requirements.txt")
    shutil.copy(root / "requirements" / "unused.in", target / "unused.txt")
    packages = ["requirements", "requirements/use.txt", "--pyproject", "pyproject.toml", "--mc-type", "application"]
    form = ["--of", "JSON", "--output-reproducible", "--validate" if validates else "--no-validate"]
    _run(root, "cyclonedx_py", *packages, *form, "--output-file", str(target / "sbom.cdx.json"))
    (target / "captionq.rb").write_text(_formula(root, target, version))
    sums = [f"{_sha256(file)}  {file.name}\n" for file in sorted(target.iterdir())]
    (target / "SHA256SUMS").write_text("".join(sums))
    return target


def _formula(root: Path, target: Path, version: str) -> str:
    """Return the formula of Homebrew for the files of this folder."""
    addresses = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["captionq"]["release"]
    (wheel,) = target.glob("*.whl")
    values = {
        "HOMEPAGE": addresses["homepage"],
        "DOWNLOADS": addresses["downloads"].format(version=version),
        "VERSION": version,
        "WHEEL": wheel.name,
        "WHEEL_SHA256": _sha256(wheel),
        "REQUIREMENTS_SHA256": _sha256(target / "requirements.txt"),
    }
    text = (root / "packaging" / "homebrew" / "captionq.rb.in").read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _run(root: Path, module: str, *arguments: str) -> None:
    """Run a module of this environment in a folder. Exits if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{module} failed, so nothing was released:\n{done.stdout}{done.stderr}")


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
