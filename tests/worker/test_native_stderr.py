"""The output of native decoders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.bad_images import write_noisy_tiff

_CODE = """
import logging, sys
from pathlib import Path
from jobs.configuration.settings import Settings
from worker.native_stderr import native_stderr_to_log
from worker.pixels.decode import decode
logging.basicConfig(level=logging.DEBUG, filename=sys.argv[2], format="%(name)s %(message)s")
with native_stderr_to_log():
    decode(Path(sys.argv[1]), Settings(data_dir=Path("unused")))
    print("python still speaks", file=sys.stderr)
print("and so it does after", file=sys.stderr)
"""


def test_a_bad_tiff_writes_to_the_log_and_not_to_the_terminal(tmp_path: Path) -> None:
    """libtiff prints hundreds of lines about one file; Python's own output still reaches the terminal."""
    write_noisy_tiff(tmp_path / "noisy.tiff")
    arguments = [sys.executable, "-c", _CODE, str(tmp_path / "noisy.tiff"), str(tmp_path / "log")]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert ran.stderr == "python still speaks\nand so it does after\n"
    native = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("captionq.native")]
    assert len(native) >= 100
