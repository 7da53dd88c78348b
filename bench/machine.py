"""The processor, and the kernels that a preloaded OpenBLAS chooses for it: how much batching gains depends on both."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from pathlib import Path


def processor() -> str:
    """Return the processor's name."""
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def blas(preload: Path | None) -> str:
    """Return the name of a preloaded BLAS, with OpenBLAS's name of its kernels, such as `Zen` or `SkylakeX`."""
    if preload is None:
        return "of the wheel"
    try:
        name = ctypes.CDLL(str(preload)).openblas_get_corename
    except AttributeError:
        return preload.name
    name.restype = ctypes.c_char_p
    return f"OpenBLAS, {name().decode()} kernels"
