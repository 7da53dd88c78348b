"""A running server gets mutated images and requests: a typed error each or an answer, and good requests beside them are right.

`make fuzz` sends 2,000 images and 5,000 requests, and writes what came. `tests/acceptance/test_openapi.py` sends a few.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.configuration.settings import Settings
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.acceptance.test_chat import png
from tests.faults.fuzz.asking import CHAT, Findings, about_mutated_image, ask, ask_all
from tests.faults.fuzz.mutated_requests import mutated_request
from tests.faults.history import has_come_to_rest
from tests.faults.life_checks import check_database
from tests.support.processes import until
from tests.support.scenes import draw_many
from tests.support.serving import Served, about, data_uri, serving

IMAGES = int(os.environ.get("CAPTIONQ_TEST_FUZZ_IMAGES", "24"))
REQUESTS = int(os.environ.get("CAPTIONQ_TEST_FUZZ_REQUESTS", "60"))
SEED = int(os.environ.get("CAPTIONQ_TEST_SEED", "0"))
#: The file that gets the figures; None: nobody asks for them.
REPORT = os.environ.get("CAPTIONQ_TEST_REPORT")
#: Most memory (MB) that a process of the server may take: small pictures need no more, whatever their headers say.
MOST_MEMORY = 1500
pytestmark = [pytest.mark.timeout(600 + IMAGES + REQUESTS), pytest.mark.thorough]


def test_rubbish_harms_nobody(settings: Settings) -> None:
    """No crash, no hang, no error without a type; memory stays bounded, and neighbours get their answers."""
    with serving(settings, CAPTIONQ_MAX_IMAGE_PIXELS="1000000") as served, _watched(served) as memory:
        pid = served.captionq.worker_pid()
        with _good_neighbour(served) as neighbour:
            images = ask_all(lambda seed: ask(served.url, about_mutated_image(seed)), SEED, IMAGES)
            requests = ask_all(lambda seed: ask(served.url, mutated_request(seed)), SEED, REQUESTS)
        until(lambda: has_come_to_rest(settings), "the end of all jobs")
        assert served.captionq.worker_pid() == pid
        assert served.client.get("/healthz").status_code == 200
        log = served.log_text()
        assert served.stop() == 0
    ends = _ends(settings)
    _write(
        {
            "images": IMAGES,
            "requests": REQUESTS,
            "seed": SEED,
            "answers about images": dict(images.kinds.most_common()),
            "answers to requests": dict(requests.kinds.most_common()),
            "ends of jobs": ends,
            "good neighbours": neighbour.kinds["right"],
            "most memory (MB)": memory,
        }
    )
    assert images.broken == requests.broken == neighbour.broken == []
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
    assert not set(ends) & {"engine_error", "poison", "model_error", "out_of_memory", "None"}, ends
    assert max(memory.values()) < MOST_MEMORY
    assert neighbour.kinds["right"]
    # Some of the mutations leave a usable request, and most do not.
    assert images.kinds["200"]
    assert requests.kinds["200"]
    assert len(images.kinds) > 1
    check_database(settings)


@contextmanager
def _good_neighbour(served: Served) -> Iterator[Findings]:
    """Ask about good pictures meanwhile, one after the other."""
    found, over = Findings(), threading.Event()

    def run() -> None:
        pictures = draw_many(40)
        for number in range(10**6):
            drawn = pictures[number % len(pictures)]
            answer = served.client.post(CHAT, json=about(data_uri(png(drawn))))
            text = answer.json()["choices"][0]["message"]["content"] if answer.status_code == 200 else answer.text
            found.kinds["right"] += text == drawn.caption
            if text != drawn.caption:
                found.broken.append(f"{text!r} is not {drawn.caption!r}")
            if over.wait(0.1):
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@contextmanager
def _watched(served: Served) -> Iterator[dict[str, float]]:
    """Note the most memory (MB) of each process, twice a second."""
    most: dict[str, float] = {"server": 0.0, "worker": 0.0}
    over = threading.Event()

    def run() -> None:
        finders = {"server": lambda: served.process.pid, "worker": served.captionq.worker_pid}
        while not over.wait(0.5):
            for name, find in finders.items():
                try:
                    pid = find()
                    most[name] = max(most[name], round(psutil.Process(pid).memory_info().rss / 1e6))
                except (psutil.NoSuchProcess, OSError, ValueError):
                    # It has ended with the server, and its lock file says so.
                    continue

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def _ends(settings: Settings) -> dict[str, int]:
    """Count the ends of all jobs: by status, and of failures by code. No job has been begun twice."""
    store = Store(settings)
    rows = store.jobs()
    store.close()
    counts = Counter(str(row.error_code) if row.status == JobStatus.FAILED else str(row.status) for row in rows)
    assert {row.id: row.attempts for row in rows if row.attempts > 1} == {}
    return dict(counts.most_common())


def _write(report: dict[str, Any]) -> None:
    if REPORT is not None:
        Path(REPORT).write_text(json.dumps(report, indent=1) + "\n")
