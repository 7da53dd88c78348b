"""The line in a server's log about a default model that is not on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from jobs.models.model_info import built_in_models
from tests.support.hub import local_hub

_ANNOUNCE = """
import logging, sys
logging.basicConfig(format="%(message)s", level="INFO", stream=sys.stdout)
logging.getLogger("httpx2").setLevel("WARNING")
from cli.runs.processes.missing_model import announce_missing_model
for name in sys.argv[1:]:
    announce_missing_model(name).join()
"""


def test_a_missing_model_is_announced_with_its_size(tmp_path: Path) -> None:
    """Without the hub the size is left out; a name that is no model is said to be none."""
    command = [sys.executable, "-c", _ANNOUNCE, "somebody/small", "./nowhere"]
    with local_hub({"somebody/small": built_in_models()["demo"]}) as hub:
        environment = os.environ | hub | {"HF_HOME": str(tmp_path)}
        known = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    away = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    fetched = "It is fetched at the first request, or now: captionq models pull somebody/small"
    line, nowhere = known.stdout.splitlines()
    assert re.fullmatch(rf"somebody/small is not here \(2\.\d MB to download\)\. {fetched}", line)
    assert nowhere.startswith("There is no model './nowhere'.")
    assert away.stdout.splitlines()[0] == f"somebody/small is not here. {fetched}"
