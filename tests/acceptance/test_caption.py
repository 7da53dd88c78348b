"""`captionq caption` as a user runs it: real command, broker and model, broken on purpose and run again."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from jobs.captions.outputs.xmp_packet import description_of
from jobs.configuration.settings import Settings
from jobs.images.xmp import parse_xmp
from jobs.models.batching_verdicts import Batching, read_verdicts
from jobs.queue import broker
from jobs.queue.broker_socket import socket_path
from jobs.store.store import Store
from jobs.store.tables import JobStatus
from tests.support.adapters import save_adapter
from tests.support.bad_images import write_bad_images, write_noisy_tiff
from tests.support.known_models import know_built_in_models
from tests.support.outputs import contents
from tests.support.processes import DATA_FOLDER, Captionq, ended, until
from tests.support.scenes import save_scenes
from tools.demo_model.scenes import COLORS, SHAPES

pytestmark = pytest.mark.timeout(400)

#: The quality gate asks for no answer again.
ONCE = ("--quality-retries", "0")


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Captionq]:
    """The command beside a running worker, for tests about files rather than processes: they share the worker's start."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("warm") / DATA_FOLDER, model="demo")
    settings.make_folders()
    know_built_in_models(settings)
    captionq = Captionq(settings)
    worker = start_worker(captionq)
    yield captionq
    captionq.kill_all()
    worker.communicate()


def start_worker(captionq: Captionq) -> subprocess.Popen[str]:
    """Start `captionq work`, and wait until it is ready."""
    worker = captionq.start("work")
    until(lambda: captionq.settings.worker_lock.exists() and captionq.broker_answers(), "the worker")
    return worker


def texts_of(captions: dict[Path, str]) -> dict[Path, str]:
    """Return the contents of these images' text files."""
    return {path: path.with_suffix(".txt").read_text().rstrip("\n") for path in captions}


def done(folder: Path) -> int:
    """Return the number of text files."""
    return len(list(folder.glob("*.txt")))


def succeeded(settings: Settings) -> Counter[str]:
    """Return the number of succeeded jobs of each image."""
    store = Store(settings)
    rows = store.jobs(statuses=[JobStatus.SUCCEEDED])
    store.close()
    return Counter(row.source or "" for row in rows)


def start_slowly(captionq: Captionq, folder: Path) -> subprocess.Popen[str]:
    """Start a run with two slots, which is far from done at its first captions."""
    captionq.environment["CAPTIONQ_SLOTS"] = "2"
    running = captionq.start("caption", folder)
    del captionq.environment["CAPTIONQ_SLOTS"]
    # Its worker runs, so that a test can suspend it.
    until(lambda: done(folder) >= 1, "the first caption")
    return running


def test_a_folder_with_good_and_bad_files(captionq: Captionq, tmp_path: Path) -> None:
    """Good files get their captions, each bad file its reason, and no process runs on afterwards."""
    # As on a machine that is new to captionq: the batching check runs.
    (captionq.settings.data_dir / "verdicts.json").unlink()
    folder = tmp_path / "pictures"
    captions = save_scenes(folder, 8) | save_scenes(folder / "below", 4, ".jpg")
    bad = write_bad_images(folder / "bad")
    write_noisy_tiff(folder / "bad" / "noisy.tiff")
    # A walk enters this folder, which holds no image.
    del bad["folder.png"]
    ran = captionq.run("caption", folder)
    assert ran.returncode == 1
    assert texts_of(captions) == captions
    assert f"22 images: 13 captioned, 0 skipped, {len(bad)} failed" in ran.stdout
    reasons = [line for line in ran.stdout.splitlines() if line.startswith("  ")]
    assert sorted(Path(line.strip().partition(":")[0]).name for line in reasons) == sorted(bad)
    assert len({line.partition(": ")[2] for line in reasons}) == len(bad)
    assert [path.name for path in (folder / "bad").glob("*.txt")] == ["noisy.txt"]
    assert ran.stderr.splitlines() == ["The model 'demo' knows coloured shapes only. For photographs use --model."]
    assert [verdict.batching for verdict in read_verdicts(captionq.settings).values()] == [Batching.TOGETHER]
    assert not captionq.broker_answers()
    assert captionq.processes() == []


def test_a_second_run_does_nothing(warm: Captionq, tmp_path: Path) -> None:
    """Images that have a text are skipped without a job; with `replace` they are captioned again."""
    captions = save_scenes(tmp_path / "pictures", 3)
    assert warm.run("caption", tmp_path / "pictures").returncode == 0
    stamps = {path: path.with_suffix(".txt").stat().st_mtime_ns for path in captions}
    again = warm.run("caption", tmp_path / "pictures")
    assert again.returncode == 0
    assert "3 images: 0 captioned, 3 skipped, 0 failed" in again.stdout
    assert {path: path.with_suffix(".txt").stat().st_mtime_ns for path in captions} == stamps
    jobs = succeeded(warm.settings)
    assert [jobs[path.as_uri()] for path in captions] == [1] * 3
    replaced = warm.run("caption", tmp_path / "pictures", "--existing", "replace", "--preset", "tags")
    assert "3 images: 3 captioned, 0 skipped, 0 failed" in replaced.stdout
    assert all("background" in text and "." not in text for text in texts_of(captions).values())


def test_one_image_gets_its_answer_printed(warm: Captionq, tmp_path: Path) -> None:
    """Standard output has only the answer. A cut-off answer is named, and fails with --strict; cut-off JSON always fails."""
    (image, other), captions = save_scenes(tmp_path / "pictures", 2), save_scenes(tmp_path / "pictures", 2)
    asked = warm.run("caption", image)
    assert (asked.returncode, asked.stdout) == (0, f"{captions[image]}\n")
    assert "1 image: 1 captioned" in asked.stderr
    again = warm.run("caption", image, "--prompt", "How many shapes are there?")
    assert (again.returncode, again.stdout) == (0, "")
    assert "1 already has a .txt" in again.stderr
    cut = warm.run("caption", image, "--existing", "replace", "--max-tokens", "3", "--strict", *ONCE)
    assert cut.returncode == 1
    assert captions[image].startswith(cut.stdout.strip())
    assert f"1 answer was cut off ({image})" in cut.stderr
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"color": {"type": "string"}}}')
    for _ in range(2):
        broken = warm.run("caption", other, "--json-schema", schema, "--max-tokens", "3", *ONCE)
        assert (broken.returncode, broken.stdout) == (1, "")
        assert "The answer was cut off at 3 tokens before its JSON ended; allow more (--max-tokens)." in broken.stderr
        assert not other.with_suffix(".txt").exists()


def test_answers_that_look_wrong_are_reviewed(warm: Captionq, tmp_path: Path) -> None:
    """One is asked for again until it is whole, one is edited; the edited text is a person's. Nothing is left to review."""
    folder = tmp_path / "pictures"
    (first, second), captions = save_scenes(folder, 2), save_scenes(folder, 2)
    ran = warm.run("caption", folder, "--max-tokens", "8", *ONCE)
    assert ran.returncode == 0
    (line,) = (line for line in ran.stdout.splitlines() if line.startswith("2 answers need review: captionq review "))
    reviewed = subprocess.run(
        [warm.script, "review", line.rpartition(" ")[2]],
        input="a\n\na\n\ne\nBy a person.\n",
        env=warm.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert reviewed.stdout.splitlines()[-1] == "1 answered again, 1 edited; 0 answers left"
    assert captions[first] in reviewed.stdout
    assert texts_of(captions) == {first: captions[first], second: "By a person."}
    again = warm.run("caption", folder, "--existing", "replace", "--max-tokens", "7", "--quality-retries", "5")
    assert "2 images: 1 captioned, 1 skipped, 0 failed" in again.stdout
    assert texts_of(captions) == {first: captions[first], second: "By a person."}
    assert "No answer needs a review." in warm.run("review", line.rpartition(" ")[2]).stdout


def test_a_sample_comes_first(warm: Captionq, tmp_path: Path) -> None:
    """Its texts are kept, so a second sample takes other images; with --yes the others follow in the same batch."""
    folder = tmp_path / "pictures"
    captions = save_scenes(folder, 6)
    first, *_, last = captions
    stopped = warm.run("caption", folder, "--sample", "2")
    assert stopped.returncode == 0
    assert "To go on with the other 4 images, add --yes." in stopped.stderr
    assert "2 images: 2 captioned" in stopped.stdout
    rows = [line.split("\t") for line in stopped.stdout.splitlines() if "\t" in line]
    assert [row[0] for row in rows] == ["image", first.name, "scene-003.png"]
    assert rows[1][1] == captions[first]
    assert done(folder) == 2
    went_on = warm.run("caption", folder, "--sample", "1", "--yes")
    assert "The other 3 images will take about" in went_on.stderr
    assert "6 images: 4 captioned, 2 skipped, 0 failed" in went_on.stdout
    assert texts_of(captions) == captions
    assert f"{last.name}\t" not in went_on.stdout


def test_a_text_that_a_person_wrote_stays(warm: Captionq, tmp_path: Path) -> None:
    """Only --force replaces such a text, and the job keeps the old one. A picture or a folder is never replaced."""
    captions = save_scenes(tmp_path / "pictures", 4)
    assert warm.run("caption", tmp_path / "pictures").returncode == 0
    first, second, third, _ = captions
    first.with_suffix(".txt").write_text("by hand\n")
    second.with_suffix(".txt").write_bytes(third.read_bytes())
    third.with_suffix(".txt").unlink()
    third.with_suffix(".txt").mkdir()
    replaced = warm.run("caption", tmp_path / "pictures", "--existing", "replace", "--preset", "tags")
    assert replaced.returncode == 1
    assert "4 images: 1 captioned, 1 skipped, 2 failed" in replaced.stdout
    assert "1 text was written by hand: --force replaces it too" in replaced.stdout
    assert f"{second}: {second.stem}.txt is a picture" in replaced.stdout
    assert f"{third}: {third.stem}.txt is a folder" in replaced.stdout
    assert second.with_suffix(".txt").read_bytes() == third.read_bytes()
    assert first.with_suffix(".txt").read_text() == "by hand\n"
    forced = warm.run("caption", first, "--existing", "replace", "--force", "--format", "json")
    assert forced.returncode == 0
    assert texts_of({first: ""}) == {first: captions[first]}
    assert json.loads(forced.stdout)["previous_text"] == "by hand\n"
    shown = warm.run("jobs", "show", json.loads(forced.stdout)["id"]).stdout
    assert any(line.split() == ["previous", "text", "by", "hand"] for line in shown.splitlines())


def test_ctrl_c_keeps_finished_captions_and_the_same_command_resumes(captionq: Captionq, tmp_path: Path) -> None:
    """Every image ends with exactly one result, the right one."""
    folder = tmp_path / "pictures"
    captions = save_scenes(folder, 32)
    running = start_slowly(captionq, folder)
    with captionq.paused_at(lambda: done(folder) >= 5, "the first captions"):
        running.send_signal(signal.SIGINT)
    stopped = ended(running)
    assert stopped.returncode == 130
    assert "captioned and kept." in stopped.stderr
    assert "run the same command again" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert captionq.processes() == []
    kept = done(folder)
    assert 5 <= kept < 32
    again = captionq.run("caption", folder)
    assert again.returncode == 0
    assert f"32 images: {32 - kept} captioned, {kept} skipped, 0 failed" in again.stdout
    assert texts_of(captions) == captions
    assert set(succeeded(captionq.settings).values()) == {1}


@pytest.mark.thorough
def test_the_run_survives_its_worker(captionq: Captionq, tmp_path: Path) -> None:
    """After SIGKILL of the worker another one takes over, and every image is captioned exactly once.

    In `test_two_runs.py` a run loses broker and worker at once, in `test_texts.py` its worker.
    """
    folder = tmp_path / "pictures"
    captions = save_scenes(folder, 32)
    running = start_slowly(captionq, folder)
    with captionq.paused_at(lambda: done(folder) >= 5, "the first captions"):
        subprocess.run(["kill", "-9", str(captionq.worker_pid())], check=True)
    ran = ended(running)
    assert ran.returncode == 0, ran.stderr
    # Written by the one that took over: the killed one had no time to.
    assert captionq.settings.worker_lock.read_text() == "ended\n"
    assert texts_of(captions) == captions
    counts = succeeded(captionq.settings)
    assert len(counts) == 32
    assert set(counts.values()) == {1}


@pytest.mark.thorough
def test_a_killed_broker_comes_back(captionq: Captionq, tmp_path: Path) -> None:
    """After SIGKILL Valkey is started again, and every image is captioned exactly once.

    In `test_two_runs.py` a run loses broker and worker at once.
    """
    folder = tmp_path / "pictures"
    captions = save_scenes(folder, 32)
    running = start_slowly(captionq, folder)
    with captionq.paused_at(lambda: done(folder) >= 5, "the first captions"):
        connection = broker.find(captionq.settings)
        assert connection is not None
        subprocess.run(["kill", "-9", str(connection.info("server")["process_id"])], check=True)
    ran = ended(running)
    assert ran.returncode == 0, ran.stderr
    assert texts_of(captions) == captions
    assert set(succeeded(captionq.settings).values()) == {1}


def test_a_run_uses_the_worker_that_is_there(captionq: Captionq, tmp_path: Path) -> None:
    """`captionq work` takes the jobs and stays; a second worker refuses; rq's own tools see the first; Ctrl-C ends it."""
    worker = start_worker(captionq)
    captions = save_scenes(tmp_path / "pictures", 6)
    ran = captionq.run("caption", tmp_path / "pictures", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {Path(line["image"]): line["text"] for line in lines} == captions
    assert all(line["usage"]["prompt_tokens"] > line["usage"]["image_tokens"] > 0 for line in lines)
    assert all(line["seconds"]["decode"] > 0 and line["finish_reason"] == "stop" for line in lines)
    assert worker.poll() is None
    second = captionq.run("work")
    assert second.returncode == 1
    assert f"A worker (PID {worker.pid}) " in second.stderr
    url = f"unix://{quote(str(socket_path(captionq.settings)))}"
    rq = Path(sys.executable).with_name("rq")
    info = subprocess.run([str(rq), "info", "--url", url], capture_output=True, text=True, check=True).stdout
    assert "1 workers" in info
    assert "interactive, bulk" in info
    assert "captionq-" in info
    worker.send_signal(signal.SIGINT)
    assert ended(worker).returncode == 0
    assert not captionq.broker_answers()


def test_keywords_of_a_vocabulary(warm: Captionq, tmp_path: Path) -> None:
    """The demo model's own keywords where they are in the list; words of the list only, also if the choice is at random."""
    captions = save_scenes(tmp_path / "pictures", 6)
    words = tmp_path / "words.txt"
    lines = ["Shapes", *(f"\t{color} {shape}" for color in COLORS for shape in SHAPES), "heart", "red background"]
    words.write_text("\n".join(lines))
    known = {line.strip() for line in lines} - {"Shapes"}
    vocabulary = ("--vocabulary", words, "--max-keywords", "3")
    greedy = warm.run("caption", tmp_path / "pictures", *vocabulary)
    assert greedy.returncode == 0, greedy.stderr
    right = 0
    for path, text in texts_of(captions).items():
        given = text.split(", ")
        assert set(given) <= known
        assert len(given) == len(set(given)) <= 3
        right += given[0] in captions[path]
    assert right >= 5
    for seed in ("1", "2"):
        hot = ("--temperature", "1", "--seed", seed, "--existing", "replace")
        assert warm.run("caption", tmp_path / "pictures", *vocabulary, *hot).returncode == 0
        for text in texts_of(captions).values():
            assert set(text.split(", ")) <= known


def test_prompts_by_weight_and_fewer_words(warm: Captionq, tmp_path: Path) -> None:
    """A repeated run asks each image the same and writes the same."""
    captions = save_scenes(tmp_path / "pictures", 8)
    prompts = tmp_path / "prompts.toml"
    prompts.write_text(
        '[[prompts]]\nprompt = "Describe this image."\n[[prompts]]\nprompt = "List keywords for this image."\n'
    )
    rows: list[list[dict[str, Any]]] = []
    for _ in range(2):
        ran = warm.run(
            *("caption", tmp_path / "pictures", "--prompts", prompts, "--max-pixels", "1024", "--no-cache"),
            *("--existing", "replace", "--format", "json"),
        )
        assert ran.returncode == 0, ran.stderr
        rows.append([json.loads(line) for line in ran.stdout.splitlines() if "image" in json.loads(line)])
    first, second = ({row["image"]: row["text"] for row in run if row.get("image")} for run in rows)
    assert first == second
    assert len(first) == len(captions)
    assert len({text.endswith("background") for text in first.values()}) == 2
    cut = warm.run(
        *("caption", tmp_path / "pictures", "--prompt", "Describe this image.", "--max-words", "3"),
        *("--existing", "replace", "--format", "json"),
    )
    assert cut.returncode == 0, cut.stderr
    assert all(len(text.split()) <= 3 for text in texts_of(captions).values())
    # The demo model knows no alt text, and says far too much.
    alt = warm.run("caption", tmp_path / "pictures", "--preset", "alt-text", "--existing", "replace")
    assert alt.returncode == 0, alt.stderr
    assert all(0 < len(text) <= 125 for text in texts_of(captions).values())


def test_an_adapter_is_part_of_the_model(warm: Captionq, tmp_path: Path) -> None:
    """The JSON files name it, and nothing of the model without it is taken from the cache; a folder without one is refused."""
    captions = save_scenes(tmp_path / "pictures", 2)
    lora = save_adapter(tmp_path / "lora")
    plain = warm.run("caption", tmp_path / "pictures")
    assert plain.returncode == 0, plain.stderr
    ran = warm.run(
        *("caption", tmp_path / "pictures", "--adapter", lora, "--output", "txt,json", "--existing", "replace"),
        *("--max-tokens", "8", "--quality-retries", "0"),
    )
    assert ran.returncode == 0, ran.stderr
    for path, caption in captions.items():
        record = json.loads(path.with_suffix(".json").read_text())
        assert (record["model"], record["adapter"], record["cached"]) == ("demo", str(lora), False)
        assert not caption.startswith(record["caption"])
    refused = warm.run("caption", tmp_path / "pictures", "--adapter", tmp_path / "pictures", "--existing", "replace")
    assert refused.returncode != 0
    assert "'pictures' is not an adapter: it has no adapter_config.json." in refused.stderr


def test_a_watched_folder_gets_texts_for_images_that_come(warm: Captionq, tmp_path: Path) -> None:
    """Ctrl-C ends the watching with a summary; between the text and its report it interrupts a pass instead.

    A table has the images of all passes.
    """
    folder, table = tmp_path / "pictures", tmp_path / "captions.jsonl"
    (first, second, third), captions = save_scenes(folder, 3), save_scenes(folder, 3)
    later = tmp_path / second.name
    second.rename(later)
    third.unlink()
    watching = warm.start("caption", folder, "--watch", "--table", table)
    until(first.with_suffix(".txt").exists, "the first text")
    later.rename(second)
    until(second.with_suffix(".txt").exists, "the text of the image that came")
    watching.send_signal(signal.SIGINT)
    said, _ = watching.communicate()
    assert watching.returncode in (0, 130)
    assert texts_of({first: "", second: ""}) == {first: captions[first], second: captions[second]}
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert [row["path"] for row in rows] == [str(first), str(second)]
    if watching.returncode == 0:
        assert "2 images: 2 captioned, 0 skipped, 0 failed" in said
        assert [row["caption"] for row in rows] == [captions[first], captions[second]]


def test_outputs_tables_and_their_undo(warm: Captionq, tmp_path: Path) -> None:
    """JSON files, sidecars and tables of a run; two undos leave the folder as it was."""
    folder, table = tmp_path / "pictures", tmp_path / "captions.csv"
    captions = save_scenes(folder, 3)
    names = sorted(path.name for path in folder.iterdir())
    first = warm.run("caption", folder, "--output", "txt,json,xmp", "--table", table)
    assert first.returncode == 0, first.stderr
    for path, caption in captions.items():
        assert json.loads(path.with_suffix(".json").read_text())["caption"] == caption
        assert description_of(path.with_suffix(".xmp").read_bytes()) == caption
    with table.open(newline="") as file:
        rows = [(row["path"], row["caption"], row["status"]) for row in csv.DictReader(file)]
    assert rows == [(str(path), caption, "succeeded") for path, caption in sorted(captions.items())]
    files = contents(folder)
    tags = warm.run("caption", folder, "--output", "txt,xmp", "--preset", "tags", "--existing", "replace")
    assert "3 captioned" in tags.stdout
    assert "background" in parse_xmp(next(iter(captions)).with_suffix(".xmp").read_bytes())["keywords"]
    # A run that changes nothing is not the last to be undone. Its table has the texts that are there.
    assert "3 skipped" in warm.run("caption", folder, "--table", table).stdout
    assert "skipped" in table.read_text()
    assert "0 files removed, 6 brought back" in warm.run("undo", "last").stdout
    assert contents(folder) == files
    assert warm.run("export", "last", "--table", folder / "metadata.jsonl", "--format", "metadata").returncode == 0
    assert len((folder / "metadata.jsonl").read_text().splitlines()) == 3
    assert "9 files removed, 0 brought back" in warm.run("undo", "last").stdout
    assert sorted(path.name for path in folder.glob("[!m]*")) == names
    exported = warm.run("export", "last", "--table", tmp_path / "captions.jsonl")
    assert exported.stdout == f"{tmp_path / 'captions.jsonl'}: 3 rows\n"
