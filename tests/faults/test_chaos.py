"""The real thing under random faults: API, worker, broker and command are killed, stopped and emptied while clients go on.

Then the faults stop: everything has to end within `REST` seconds, and the history of all clients has to be true.
`make soak SECONDS=3600` does this for longer, and with a model that looks at its pictures.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import httpx2
import pytest

from jobs.configuration.settings import Settings
from jobs.file_locks import try_lock
from tests.faults.chaos import Chaos, Supervised, free_port
from tests.faults.chaos_clients import TIMEOUT, Clients
from tests.faults.history import History, check_history, has_come_to_rest
from tests.faults.life_checks import receiver
from tests.support.known_models import know_built_in_models
from tests.support.processes import Captionq, until
from tests.support.scenes import save_scenes
from tests.support.webhooks import SECRET

SECONDS = float(os.environ.get("CAPTIONQ_TEST_SOAK", "5"))
#: The file that gets the figures; None: nobody asks for them.
REPORT = os.environ.get("CAPTIONQ_TEST_REPORT")
IS_LONG = SECONDS > 30
#: A short run does not pay for loading a model, nor for starts of the server and the command.
MODEL = "demo" if IS_LONG else "stub"
SHORT = ("kill worker", "kill broker", "freeze worker", "flush broker")
#: Seconds between two faults, about.
PAUSE = 4.0 if IS_LONG else 1.0
SEED = int(os.environ.get("CAPTIONQ_TEST_SEED", "1"))
#: Seconds after the last fault within which everything has ended.
REST = 120.0
PICTURES = 120 if IS_LONG else 8

pytestmark = pytest.mark.timeout(SECONDS + 600)


@pytest.fixture
def captionq(settings: Settings) -> Captionq:
    """The command, with the settings of the run."""
    captionq = Captionq(settings)
    if MODEL == "demo":
        know_built_in_models(settings)
    captionq.environment |= {
        "CAPTIONQ_MODEL": MODEL,
        "CAPTIONQ_WEBHOOK_SECRET": SECRET,
        "CAPTIONQ_ALLOWED_NETWORKS": '["127.0.0.1/32"]',
        "CAPTIONQ_MAX_WAITING_BULK": "100000",
    }
    return captionq


def test_everything_ends_well_after_random_faults(captionq: Captionq, tmp_path: Path) -> None:
    """Nothing that was acknowledged is lost, nothing is done twice, and nothing is left behind."""
    settings, history, port = captionq.settings, History(), free_port()
    captions = save_scenes(tmp_path / "pictures", PICTURES)
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as at_end:
        at_end.callback(captionq.kill_all)
        hook, arrived = at_end.enter_context(receiver())
        client = at_end.enter_context(httpx2.Client(base_url=url, timeout=TIMEOUT, trust_env=False))
        serve = Supervised(captionq, tmp_path / "serve.log", "serve", "--port", str(port))
        at_end.callback(serve.stop)
        until(lambda: _is_ready(client), "the server")
        command = Supervised(captionq, tmp_path / "command.log", "caption", str(tmp_path / "pictures"), until_done=True)
        at_end.callback(command.stop)
        clients = Clients(url, hook, MODEL, history, SEED)
        at_end.callback(clients.stop)
        only = () if IS_LONG else SHORT
        chaos = Chaos(
            settings,
            serve,
            command,
            history,
            seed=SEED,
            pause=PAUSE,
            is_ready=lambda: _is_ready(client),
            only=only,
        )
        at_end.callback(chaos.stop)
        time.sleep(SECONDS)
        chaos.stop()
        clients.stop()
        until(lambda: command.done.is_set() and has_come_to_rest(settings), "the end of all work", REST)
        found = check_history(history, settings, client, arrived)
        assert command.stop() == 0
        assert serve.stop() == 0
        assert_nothing_is_left(captionq, tmp_path / "pictures")
    texts = {path: path.with_suffix(".txt").read_text().strip() for path in captions}
    assert MODEL == "stub" or texts == captions
    assert history.faults
    assert found.acknowledged
    report = {**asdict(found), "chats": history.chats, "by kind": history.faults, "refusals": history.refusals}
    if REPORT is not None:
        Path(REPORT).write_text(json.dumps(report, indent=1) + "\n")


def _is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def assert_nothing_is_left(captionq: Captionq, pictures: Path) -> None:
    """Assert that no process, socket, held lock or temporary file is left."""
    settings = captionq.settings
    until(lambda: captionq.processes() == [] and not captionq.broker_answers(), "the end of all processes", 60)
    assert [path for path in settings.broker_dir.rglob("*") if path.is_socket()] == []
    assert sorted(path.name for path in pictures.iterdir() if path.suffix not in (".png", ".txt")) == []
    for path in settings.data_dir.rglob("*.lock"):
        with path.open("a") as file:
            assert try_lock(file, fcntl.LOCK_EX), f"{path} is held"
