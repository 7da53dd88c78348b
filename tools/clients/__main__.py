"""`make clients`: run unmodified clients against `captionq serve`, and write their table into docs/clients.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tools.clients.programs import FOLDER, PROGRAMS, Program, Run, run_program
from tools.clients.report import write_page

_ROOT = Path(__file__).parents[2]
#: The folder of the clients' packages, which are kept apart from captionq's own.
_BUILD = _ROOT / "build" / "clients"
_PICTURE = "scene-02.png"
_ADDRESS = re.compile(r"serves at (http://\S+)/v1 ")
#: Seconds in which the server has to be ready.
_START = 120.0


def main() -> None:
    """Install the clients, run each, and write the page. Exits with 1 if a check failed."""
    python, node = _install_python(), _install_node()
    caption = json.loads((_ROOT / "examples" / "expected.json").read_text())[_PICTURE]
    runs: dict[Program, Run] = {}
    with tempfile.TemporaryDirectory() as folder, _serving(Path(folder)) as url:
        environment = {
            "CAPTIONQ_URL": url,
            "CAPTIONQ_PICTURE": str(_ROOT / "examples" / _PICTURE),
            "CAPTIONQ_CAPTION": caption,
        }
        for program in PROGRAMS:
            if program.is_node and node is None:
                continue
            runs[program] = _run(program, python, node, environment)
            _report(program, runs[program])
    write_page(runs)
    sys.exit(any(not result.ok for run in runs.values() for result in run.results))


def _run(program: Program, python: Path, node: Path | None, environment: dict[str, str]) -> Run:
    if node is None or not program.is_node:
        asked = f"from importlib.metadata import version; print(version({program.package!r}))"
        version = subprocess.check_output([python, "-c", asked], text=True).strip()
        command = [str(python), str(FOLDER / program.script)]
    else:
        package = json.loads((node / "node_modules" / program.package / "package.json").read_text())
        version = package["version"]
        # Node looks for packages from the folder of the script.
        command = ["node", str(node / Path(program.script).name)]
    return run_program(command, version=version, environment=environment)


def _report(program: Program, run: Run) -> None:
    marks = " ".join(f"{result.check}:{'ok' if result.ok else 'FAILED'}" for result in run.results)
    print(f"{program.title} {run.version}: {marks}", flush=True)
    for result in run.results:
        if not result.ok:
            print(f"  {result.check}: {result.note}", flush=True)


def _install_python() -> Path:
    """Install the clients for Python, by their hashes, and return their interpreter."""
    python = _BUILD / "python" / "bin" / "python"
    uv = str(Path(sys.executable).with_name("uv"))
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", python.parents[1]], check=True)
    lock = _ROOT / "requirements" / "clients.txt"
    subprocess.run([uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", lock], check=True)
    return python


def _install_node() -> Path | None:
    """Install the clients for Node in their exact versions, and return their folder; None: there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        print("There is no npm: the clients for Node are left out.", file=sys.stderr)
        return None
    folder = _BUILD / "node"
    shutil.copytree(FOLDER / "node", folder, dirs_exist_ok=True)
    quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([npm, "install", *quiet], cwd=folder, check=True)
    return folder


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """Run the server for the block, and yield its address."""
    log = folder / "serve.log"
    environment = {**os.environ, "CAPTIONQ_DATA_DIR": str(folder / "data"), "CAPTIONQ_MODEL": "demo"}
    with log.open("wb") as output:
        command = [str(Path(sys.executable).with_name("captionq")), "serve", "--port", "0"]
        server = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _START
        while (found := _ADDRESS.search(log.read_text())) is None or not _is_ready(found[1]):
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"The server did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield found[1]
    finally:
        server.terminate()
        server.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


if __name__ == "__main__":
    main()
