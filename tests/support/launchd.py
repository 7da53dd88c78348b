"""A small launchd: a program `launchctl` that starts an agent of a property list as launchd does, and ends it.

The agent gets the variables of its list and no others; its output is appended to its files; its own time passes between SIGTERM
and SIGKILL.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_LAUNCHCTL = """\
#!{python}
import json, os, pathlib, plistlib, signal, subprocess, sys, time

state = pathlib.Path({state!r})
verb, target, *rest = sys.argv[1:]
with open({calls!r}, "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")


def is_alive(pid):
    try:
        return open(f"/proc/{{pid}}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def loaded():
    if not state.exists():
        sys.exit("Could not find service")
    return json.loads(state.read_text())


if verb == "bootstrap":
    if state.exists():
        sys.exit("Bootstrap failed: 5: Input/output error")
    agent = plistlib.loads(pathlib.Path(rest[0]).read_bytes())
    output = open(agent["StandardErrorPath"], "ab")
    process = subprocess.Popen(
        agent["ProgramArguments"], env={{"HOME": os.environ["HOME"], **agent["EnvironmentVariables"]}},
        cwd=agent["WorkingDirectory"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
    )
    state.write_text(json.dumps({{"pid": process.pid, "patience": agent["ExitTimeOut"]}}))
elif verb == "print":
    pid = loaded()["pid"]
    print("com.example = {{" + (f"\\n\\tstate = running\\n\\tpid = {{pid}}" if is_alive(pid) else "") + "\\n}}")
elif verb == "bootout":
    agent = loaded()
    os.kill(agent["pid"], signal.SIGTERM)
    deadline = time.monotonic() + agent["patience"]
    while is_alive(agent["pid"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    if is_alive(agent["pid"]):
        os.kill(agent["pid"], signal.SIGKILL)
    state.unlink()
"""


def make_launchctl(folder: Path) -> Path:
    """Make the program in a new folder; return the file that lists its calls."""
    folder.mkdir()
    calls = folder / "calls"
    text = _LAUNCHCTL.format(python=sys.executable, state=str(folder / "state"), calls=str(calls))
    make_program(folder / "launchctl", text)
    return calls


def make_program(path: Path, text: str) -> None:
    """Write a program."""
    path.write_text(text)
    path.chmod(0o755)


def put_first(folder: Path) -> str:
    """Return a PATH on which the folder's programs come first."""
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
