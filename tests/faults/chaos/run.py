"""A run: servers and workers, clients and a command beside them, faults, the end of the faults, and the checks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import httpx2

from jobs.configuration.settings import Settings
from tests.faults.chaos.clients import TIMEOUT, Clients
from tests.faults.chaos.random_faults import Chaos, Fault
from tests.faults.chaos.supervised import Supervised, free_port
from tests.faults.history import History, check_history, has_come_to_rest, what_is_open
from tests.faults.life_checks import receiver
from tests.support.processes import PATIENCE, Captionq, until
from tests.support.scenes import save_scenes
from tests.support.webhooks import SECRET

SECONDS = float(os.environ.get("CAPTIONQ_TEST_CHAOS", "5"))
#: The file that gets the figures; None: nobody asks for them.
REPORT = os.environ.get("CAPTIONQ_TEST_REPORT")
IS_LONG = SECONDS > 30
#: A short run does not pay for loading a model, nor for starts of the server and the command.
MODEL = "demo" if IS_LONG else "stub"
#: Seconds between two faults, about.
PAUSE = 4.0 if IS_LONG else 1.0
SEED = int(os.environ.get("CAPTIONQ_TEST_SEED", "1"))
#: Names of the faults that may happen, separated by commas; empty: all.
KINDS = [name for name in os.environ.get("CAPTIONQ_TEST_KINDS", "").split(",") if name]
#: Seconds after the last fault within which everything has ended. A machine that is overloaded needs more.
REST = float(os.environ.get("CAPTIONQ_TEST_REST", "300" if IS_LONG else "120"))
#: Pictures of the command's folder.
PICTURES = 500 if SECONDS >= 600 else 120 if IS_LONG else 8

ENVIRONMENT = {
    "CAPTIONQ_MODEL": MODEL,
    "CAPTIONQ_WEBHOOK_SECRET": SECRET,
    "CAPTIONQ_ALLOWED_NETWORKS": '["127.0.0.1/32"]',
    "CAPTIONQ_MAX_WAITING_BULK": "100000",
}

#: Returns the faults of a run, from its server and its command.
MakeFaults = Callable[[Supervised, Supervised], Mapping[str, Fault]]


def run_chaos(captionq: Captionq, folder: Path, name: str, make_faults: MakeFaults) -> None:
    """Run a server under faults, and check what its clients were told.

    Args:
        captionq: the command of the server, with its environment.
        folder: gets pictures and logs.
        name: of the run in the report.
        make_faults: returns what may happen.
    """
    settings, history, port = captionq.settings, History(), free_port()
    captions = save_scenes(folder / "pictures", PICTURES)
    url = f"http://127.0.0.1:{port}"

    def supervised(log: str, *arguments: str, until_done: bool = False) -> Supervised:
        return Supervised([captionq.script, *arguments], captionq.environment, folder / log, until_done=until_done)

    with ExitStack() as at_end:
        at_end.callback(captionq.kill_all)
        hook, arrived = at_end.enter_context(receiver())
        client = at_end.enter_context(httpx2.Client(base_url=url, timeout=TIMEOUT, trust_env=False))
        serve = supervised("serve.log", "serve", "--port", str(port))
        at_end.callback(serve.stop)
        until(lambda: _is_ready(client), "the server", REST)
        command = supervised("command.log", "caption", str(folder / "pictures"), until_done=True)
        at_end.callback(command.stop)
        clients = Clients(url, hook, MODEL, history, SEED)
        at_end.callback(clients.stop)
        faults = make_faults(serve, command)
        chosen = {name: fault for name, fault in faults.items() if not KINDS or name in KINDS}
        chaos = Chaos(chosen, history, seed=SEED, pause=PAUSE, is_ready=lambda: _is_ready(client))
        at_end.callback(chaos.stop)
        time.sleep(SECONDS)
        chaos.stop()
        clients.stop()
        stopped = time.monotonic()
        await_rest(settings, command)
        rested = time.monotonic() - stopped
        # Nothing is at fault any more: only a hang takes as long.
        client.timeout = PATIENCE
        found = check_history(history, settings, client, arrived)
        assert command.stop() == 0
        assert serve.stop() == 0
    texts = {path: path.with_suffix(".txt").read_text().strip() for path in captions}
    assert MODEL == "stub" or texts == captions
    assert history.faults
    assert found.acknowledged
    report = {
        **asdict(found),
        "chats": history.chats,
        "seconds until all had ended": round(rested, 1),
        "by kind": history.faults,
        "refusals": history.refusals,
    }
    if REPORT is not None:
        path = Path(REPORT)
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**before, f"{name}, {SECONDS:.0f} s, seed {SEED}": report}, indent=1) + "\n")


def await_rest(settings: Settings, command: Supervised) -> None:
    """Wait until everything has ended, for `REST` seconds. The failure names what has not."""
    deadline = time.monotonic() + REST
    while not command.done.is_set() or not has_come_to_rest(settings):
        assert time.monotonic() < deadline, (time.time(), command.done.is_set(), what_is_open(settings))
        time.sleep(0.2)


def _is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False
