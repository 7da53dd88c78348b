"""Commands that add an extra or a package to the environment in which captionq runs: the way out of errors that miss one.

API clients see these errors, so a command names no folder of this machine.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

#: The files by which uv and pipx know the environments that they have made.
_UV_RECEIPT = "uv-receipt.toml"
_PIPX_METADATA = "pipx_metadata.json"
#: The files of a release beside its wheel, by the setting of uv that they are given to (docs/install.md).
_RELEASE_FILES = {"constraints": "requirements.txt", "excludes": "unused.txt"}


def tool_installer() -> str | None:
    """Return the program that made this environment for captionq: "uv tool" or "pipx"; None: neither of them."""
    found = {"uv tool": _UV_RECEIPT, "pipx": _PIPX_METADATA}
    return next((name for name, file in found.items() if Path(sys.prefix, file).is_file()), None)


def command_for_extra(extra: str) -> str:
    """Return the command that installs an extra of captionq beside what is there."""
    installer = tool_installer()
    if installer == "uv tool":
        return _uv_command(extras=[extra])
    if installer == "pipx":
        return _pipx_command(*_packages_of(extra))
    return f"pip install 'captionq[{extra}]'"


def command_for_package(package: str) -> str:
    """Return the command that installs a package beside captionq."""
    installer = tool_installer()
    if installer == "uv tool":
        return _uv_command(packages=[package])
    return _pipx_command(package) if installer == "pipx" else f"pip install {package}"


def _uv_command(*, extras: Sequence[str] = (), packages: Sequence[str] = ()) -> str:
    """Repeat the installation with more in it: uv takes everything out of a tool's environment that the command does not name."""
    # Imported here, as below: most processes never tell a command, and all of them import this module.
    import tomllib

    receipt: dict[str, Any] = {}
    with suppress(OSError, tomllib.TOMLDecodeError):
        receipt = tomllib.loads(Path(sys.prefix, _UV_RECEIPT).read_text()).get("tool", {})
    requirements = [one for one in receipt.get("requirements", []) if isinstance(one, dict)]
    captionq = next((one for one in requirements if one.get("name") == "captionq"), {})
    beside = [one["name"] + one.get("specifier", "") for one in requirements if one is not captionq and "name" in one]
    wheel = Path(captionq.get("path", "")).name
    command = ["uv", "tool", "install"]
    for setting, file in _RELEASE_FILES.items():
        # An excluded package would not be installed.
        if setting in receipt and not (setting == "excludes" and packages):
            command += [f"--{setting}", file]
    for package in dict.fromkeys([*beside, *packages]):
        command += ["--with", package]
    names = ",".join(dict.fromkeys([*captionq.get("extras", []), *extras]))
    return shlex.join([*command, (f"./{wheel}" if wheel else "captionq") + (f"[{names}]" if names else "")])


def _pipx_command(*packages: str) -> str:
    return shlex.join(["pipx", "inject", Path(sys.prefix).name, *packages])


def _packages_of(extra: str) -> list[str]:
    """Return the packages of an extra, as captionq's metadata names them."""
    from importlib.metadata import requires

    parts = (one.partition(";") for one in requires("captionq") or [])
    return [
        package.strip() for package, _, marker in parts if marker.replace('"', "'").strip() == f"extra == '{extra}'"
    ]
