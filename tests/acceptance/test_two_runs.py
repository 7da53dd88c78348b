"""Two commands over one folder, and a command over a folder that was posted: real processes, broken on purpose.

In every case each image is captioned exactly once.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.configuration.settings import Settings
from jobs.queue import broker
from jobs.store.store import Store
from jobs.store.tables import OPEN
from tests.acceptance.test_caption import done, start_slowly, succeeded, texts_of
from tests.support.processes import DATA_FOLDER, Captionq, ended, until
from tests.support.scenes import save_scenes
from tests.support.serving import Served, serving

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that may read the folders of the test run, shared: its start takes longer than the tests."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("served") / DATA_FOLDER, model="demo")
    settings.make_folders()
    with serving(settings, "--allow-root", tmp_path_factory.getbasetemp()) as served:
        yield served


def wait_for_words(running: subprocess.Popen[str], words: str) -> None:
    """Wait until a command prints these words to its standard error."""
    assert running.stderr is not None
    printed = ""
    while words not in printed:
        line = running.stderr.readline()
        assert line, printed
        printed += line


def open_jobs(settings: Settings) -> int:
    """Return the number of jobs that have not ended."""
    store = Store(settings)
    counts = store.counts()
    store.close()
    return sum(counts[status] for status in OPEN)


def leader_and_follower(captionq: Captionq, folder: Path) -> tuple[subprocess.Popen[str], subprocess.Popen[str]]:
    """Start a run, and another one that follows it."""
    return start_slowly(captionq, folder), follow(captionq, folder)


def follow(captionq: Captionq, folder: Path) -> subprocess.Popen[str]:
    """Start the same command again, and wait until it has found the first run's open jobs."""
    with captionq.paused():
        follower = captionq.start("caption", folder)
        wait_for_words(follower, "being captioned by another run (batch_")
    return follower


def test_two_identical_commands_at_the_same_moment_both_end_well(captionq: Captionq, tmp_path: Path) -> None:
    """Each command reports all images; neither says that there were none."""
    captions = save_scenes(tmp_path / "pictures", 12)
    both = [ended(run) for run in [captionq.start("caption", tmp_path / "pictures") for _ in range(2)]]
    assert [ran.returncode for ran in both] == [0, 0], both
    assert all("12 images: " in ran.stdout and "0 failed" in ran.stdout for ran in both)
    assert texts_of(captions) == captions
    assert sorted(succeeded(captionq.settings).values()) == [1] * 12
    assert captionq.processes() == []


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.thorough)])
def test_a_follower_takes_over_when_its_leader_ends(captionq: Captionq, tmp_path: Path, how: signal.Signals) -> None:
    """After Ctrl-C or a kill the leader's worker and broker end with it, and the follower starts its own."""
    captions = save_scenes(tmp_path / "pictures", 20)
    leader, follower = leader_and_follower(captionq, tmp_path / "pictures")
    leader.send_signal(how)
    ended(leader)
    ran = ended(follower)
    assert ran.returncode == 0, ran.stderr
    assert "0 failed" in ran.stdout
    assert texts_of(captions) == captions
    assert sorted(succeeded(captionq.settings).values()) == [1] * 20
    assert list(captionq.settings.run_dir.glob("*.lock")) == []


def test_a_leader_does_not_miss_its_follower(captionq: Captionq, tmp_path: Path) -> None:
    """The leader ends well after SIGKILL of its follower, and of the worker and the broker that both use."""
    captions = save_scenes(tmp_path / "pictures", 18)
    leader, killed = leader_and_follower(captionq, tmp_path / "pictures")
    killed.kill()
    killed.communicate()
    follower = follow(captionq, tmp_path / "pictures")
    connection = broker.find(captionq.settings)
    assert connection is not None
    for process in (captionq.worker_pid(), connection.info("server")["process_id"]):
        subprocess.run(["kill", "-9", str(process)], check=True)
    both = [ended(leader), ended(follower)]
    assert [ran.returncode for ran in both] == [0, 0], both
    assert texts_of(captions) == captions
    assert sorted(succeeded(captionq.settings).values()) == [1] * 18


def test_another_question_about_a_live_runs_images_is_left_to_it(captionq: Captionq, tmp_path: Path) -> None:
    """The command names the other run and exits with 1; images that no other run has are captioned."""
    captions = save_scenes(tmp_path / "pictures", 12)
    more = save_scenes(tmp_path / "more", 2)
    leader = start_slowly(captionq, tmp_path / "pictures")
    command = ("caption", tmp_path / "pictures", tmp_path / "more", "--preset", "tags", "--existing", "replace")
    with captionq.paused():
        running = captionq.start(*command)
        wait_for_words(
            running,
            "with another question; run this again when it has ended, or cancel it: captionq jobs cancel batch_",
        )
    other = ended(running)
    assert other.returncode == 1
    assert " left to others" in other.stdout
    assert all("background" in text for text in texts_of(more).values())
    assert ended(leader).returncode == 0
    assert set(texts_of(captions)) == set(captions)


def test_the_processes_of_a_killed_command_end_and_lose_nothing(captionq: Captionq, tmp_path: Path) -> None:
    """After SIGKILL of the command, its worker and broker end by themselves, and the same command resumes.

    It skips images whose texts were written by hand meanwhile and cancels their jobs, so no worker overwrites the texts.
    """
    folder = tmp_path / "pictures"
    captions = save_scenes(folder, 14)
    running = start_slowly(captionq, folder)
    with captionq.paused_at(lambda: done(folder) >= 3, "the first captions"):
        running.kill()
    running.communicate()
    until(lambda: captionq.processes() == [], "worker and broker to end")
    open_images = [path for path in captions if not path.with_suffix(".txt").exists()]
    by_hand, rest = set(open_images[2:]), open_images[:2]
    for path in by_hand:
        path.with_suffix(".txt").write_text("by hand")
    assert by_hand
    assert open_jobs(captionq.settings) >= len(open_images)
    again = captionq.run("caption", folder)
    assert again.returncode == 0
    assert "14 images: 2 captioned, 12 skipped, 0 failed" in again.stdout
    assert open_jobs(captionq.settings) == 0
    assert texts_of(captions) == captions | dict.fromkeys(by_hand, "by hand")
    counts = succeeded(captionq.settings)
    assert set(counts.values()) == {1}
    assert {path.as_uri() for path in rest} <= counts.keys()


def test_a_posted_folder_keeps_its_jobs(served: Served, tmp_path: Path) -> None:
    """A command with the same question follows the jobs; one with another question names the request that has them."""
    folder = tmp_path / "pictures"
    captions = save_scenes(folder, 12)
    with served.paused():
        posted = served.client.post("/v1/folders", json={"path": str(folder), "preset": "describe"}).json()
        other = served.captionq.run("caption", folder, "--preset", "tags")
        assert other.returncode == 1
        assert f"12 images are being captioned by POST /v1/folders ({posted['id']}) with another" in other.stderr
        same = served.captionq.start("caption", folder, "--preset", "describe", "--format", "json")
        wait_for_words(same, f"12 images are being captioned by POST /v1/folders ({posted['id']}): following.")
    ran = ended(same)
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {Path(line["image"]): line["text"] for line in lines} == captions
    assert {line["batch"] for line in lines} == {posted["id"]}
    found = served.client.get(f"/v1/folders/{posted['id']}").json()
    assert (found["status"], found["counts"]["succeeded"]) == ("ended", 12)
    assert len(served.client.get(f"/v1/folders/{posted['id']}/results").text.splitlines()) == 12


def test_a_folder_may_be_posted_when_the_run_that_has_it_is_dead(served: Served, tmp_path: Path) -> None:
    """While the run lives, the refusal names it. Deleting the folder ends the jobs that a command follows."""
    folder = tmp_path / "pictures"
    save_scenes(folder, 12)
    settings = served.captionq.settings
    with served.paused():
        run = served.captionq.start("caption", folder)
        until(lambda: open_jobs(settings) == 12, "the run's jobs")
        refused = served.client.post("/v1/folders", json={"path": str(folder)})
        assert refused.status_code == 409
        assert "another run (batch_" in refused.json()["error"]["message"]
        run.kill()
        run.communicate()
        posted = served.client.post("/v1/folders", json={"path": str(folder), "preset": "tags"})
        assert posted.status_code == 201, posted.text
        assert open_jobs(settings) == 12
        following = served.captionq.start("caption", folder, "--preset", "tags")
        wait_for_words(following, "following")
        deleted = served.client.delete(f"/v1/folders/{posted.json()['id']}").json()
        assert deleted["counts"]["cancelled"] == 12
        ran = ended(following)
        assert ran.returncode == 1
        assert "12 failed" in ran.stdout
