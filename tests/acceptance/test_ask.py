"""`captionq ask` as a user runs it: answers, a conversation, a table, and the worker that stays for the next question."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from jobs.queue import broker
from jobs.queue.worker_state import live_workers
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.processes import PATIENCE, Captionq, ended, until
from tests.support.scenes import draw_many, save_scenes
from worker.lock import is_running

pytestmark = pytest.mark.timeout(400)

COUNT, GROUND = "How many shapes are there?", "What colour is the background?"
TABLE = ("-q", f"n={COUNT}:int", "-q", "circle=Is there a circle?:bool", "-q", f"ground={GROUND}:white|black|gray")


def images_encoded(captionq: Captionq) -> int:
    """Return how many images the vision tower has encoded, by the next state that the worker publishes."""
    now = time.time()
    connection = broker.find(captionq.settings)
    assert connection is not None
    with connection:
        until(lambda: any(state.at > now for state in live_workers(connection)), "the worker's state")
        (state,) = live_workers(connection)
    found = re.search(r"^captionq_images_encoded\{.*\} (\d+)", state.metrics, re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_a_table_of_questions(captionq: Captionq, tmp_path: Path) -> None:
    """Right answers with their types, the tower once an image, and nothing generated again the second time."""
    folder = tmp_path / "pictures"
    save_scenes(folder, 9)
    # Asked by itself, too, the model miscounts the shapes of this scene.
    (folder / "scene-000.png").unlink()
    shutil.copy(folder / "scene-003.png", folder / "scene-same.png")
    (folder / "torn.png").write_bytes(b"this is no picture")
    output = tmp_path / "answers.csv"
    asked = captionq.run("ask", folder, *TABLE, "-o", output)
    assert asked.returncode == 1, asked.stderr
    assert "10 images, 3 questions: 27 answers" in asked.stderr
    scenes = [drawn.scene for drawn in draw_many(9)[1:]]
    names = [*(f"scene-{number:03}.png" for number in range(1, 9)), "scene-same.png"]
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["n"], row["circle"], row["ground"], row["error"]) for row in rows] == [
        *(
            (
                str(folder / name),
                str(len(scene.shapes)),
                "true" if any(shape.kind == "circle" for shape in scene.shapes) else "false",
                scene.ground,
                "",
            )
            for name, scene in zip(names, [*scenes, scenes[2]], strict=True)
        ),
        (str(folder / "torn.png"), "", "", "", "torn.png is not a supported image, or is damaged."),
    ]
    assert images_encoded(captionq) == 8
    first = captionq.run("ask", folder, *TABLE, "--limit", "2", "--exclude", "torn.png")
    assert [line.partition(",")[0] for line in first.stdout.splitlines()[1:]] == [
        str(folder / name) for name in names[:2]
    ]
    again = captionq.run("ask", folder, *TABLE, "--format", "json")
    assert "27 answers (27 from the cache)" in again.stderr
    assert [json.loads(line)["n"] for line in again.stdout.splitlines()][:8] == [len(scene.shapes) for scene in scenes]
    assert images_encoded(captionq) == 8
    assert {path.suffix for path in folder.iterdir()} == {".png"}


def test_answers_come_from_a_worker_that_stays(captionq: Captionq, tmp_path: Path) -> None:
    """One worker answers all questions; a question that is given up is cancelled; the worker ends when it is told to."""
    first, second = save_scenes(tmp_path, 2)
    one, two = (drawn.scene for drawn in draw_many(2))
    answer = captionq.run("ask", first, GROUND)
    assert (answer.returncode, answer.stdout) == (0, f"{one.ground}\n"), answer.stderr
    worker = captionq.worker_pid()
    both = captionq.run("ask", first, second, "Describe both images.")
    assert both.stdout.startswith("Image 1: ")
    assert f"on a {two.ground} background" in both.stdout
    talk = subprocess.run(
        [captionq.script, "ask", "--chat", second],
        env=captionq.environment,
        input=f"{GROUND}\n\n{GROUND}\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert talk.stdout.splitlines()[0] == two.ground
    assert len(talk.stdout.splitlines()) == 2
    asked = captionq.run("ask", first, GROUND, "--format", "json")
    assert json.loads(asked.stdout)["text"] == one.ground
    bad = captionq.run("ask", __file__, GROUND)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "test_ask.py is not a supported image" in bad.stderr
    store = Store(captionq.settings)
    with captionq.paused():
        left = captionq.start("ask", first, "Describe this image.", "--no-cache")
        until(lambda: bool(store.jobs(statuses=[JobStatus.QUEUED])), "the question")
        left.send_signal(signal.SIGINT)
        assert ended(left).returncode == 130
        assert [job.status for job in store.jobs(newest_first=True, limit=1)] == [JobStatus.CANCELLED]
    store.close()
    assert captionq.worker_pid() == worker
    stopped = captionq.run("stop")
    assert stopped.stdout == f"Stopped the worker (PID {worker}) of captionq ask.\n"
    assert captionq.run("stop").stdout == "No worker is running.\n"
    until(lambda: not captionq.processes() and not captionq.broker_answers(), "the end of all processes")


@pytest.mark.thorough
def test_a_worker_that_stays_ends_by_itself(captionq: Captionq, tmp_path: Path) -> None:
    """The worker and its broker end when nothing was asked for a while; a worker of a person's is not stopped."""
    (image,) = save_scenes(tmp_path, 1)
    captionq.environment["CAPTIONQ_ASK_LINGER"] = "1"
    assert captionq.run("ask", image, GROUND).returncode == 0
    until(lambda: not captionq.processes() and not captionq.broker_answers(), "the end of all processes")
    worker = captionq.start("work")
    until(
        lambda: is_running(captionq.settings) and len(captionq.settings.worker_lock.read_text().split("\n")) > 2, "it"
    )
    refused = captionq.run("stop")
    assert refused.returncode == 1
    assert f"The worker (PID {worker.pid}) belongs to captionq work" in refused.stderr
    assert captionq.run("stop", "--force").returncode == 0
    ended(worker)
