"""Texts that are joined with texts that are there, from the command line and over HTTP, with processes that die in between."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jobs.configuration.settings import Settings
from jobs.requests import path_of
from jobs.store.store import Store
from tests.acceptance.test_caption import start_worker
from tests.acceptance.test_chat import png
from tests.support.processes import DATA_FOLDER, Captionq, ended, until
from tests.support.scenes import draw_many, save_scenes
from tests.support.serving import serving

pytestmark = pytest.mark.timeout(400)

APPEND = ("--existing", "append", "--separator", "\\n", "--trigger", "ohwx", "--suffix", " --end")


def texts_of(images: dict[Path, str]) -> dict[Path, str]:
    """Return the texts of the images that have one."""
    texts = {image: image.with_suffix(".txt") for image in images}
    return {image: text.read_bytes().decode() for image, text in texts.items() if text.exists()}


def write_by_hand(images: dict[Path, str]) -> dict[Path, str]:
    """Write texts in several encodings beside two thirds of the images; return the expected beginning of each text."""
    encodings = ("utf-8", "cp1252", "utf-16", None)
    expected = {}
    for number, image in enumerate(images):
        encoding = encodings[number % len(encodings)]
        expected[image] = f"Grün {number}\n" if encoding else ""
        if encoding:
            image.with_suffix(".txt").write_bytes(f"Grün {number}\r\n".encode(encoding))
    return expected


def test_an_answer_is_added_once_whatever_dies(captionq: Captionq, tmp_path: Path) -> None:
    """The worker is killed, the run interrupted, and the same command repeated: every text has every word, and one addition."""
    folder = tmp_path / "pictures"
    captions = save_scenes(folder, 24)
    begins = write_by_hand(captions)
    whole = {image: f"{begins[image]}ohwx, {caption} --end\n" for image, caption in captions.items()}
    captionq.environment["CAPTIONQ_SLOTS"] = "2"
    running = captionq.start("caption", folder, *APPEND)
    del captionq.environment["CAPTIONQ_SLOTS"]

    def added() -> int:
        return sum(text.endswith(b"--end\n") for text in (path.read_bytes() for path in folder.glob("*.txt")))

    until(lambda: added() >= 1, "the first text")
    with captionq.paused_at(lambda: added() >= 3, "the first texts"):
        subprocess.run(["kill", "-9", str(captionq.worker_pid())], check=True)
    kept = added()
    until(lambda: added() > kept, "the next worker's texts")
    running.send_signal(signal.SIGINT)
    assert ended(running).returncode == 130
    assert kept < added() < 24
    # A worker that stays, so that the other commands need none of their own.
    worker = start_worker(captionq)
    # The worker goes on with the jobs that the interrupted run left. An image whose text it writes just then fails in this run.
    captionq.run("caption", folder, *APPEND)
    again = captionq.run("caption", folder, *APPEND)
    assert again.returncode == 0, again.stderr
    assert texts_of(captions) == whole
    repeated = captionq.run("caption", folder, *APPEND)
    assert "24 images: 0 captioned, 24 skipped, 0 failed" in repeated.stdout
    assert "24 texts had this addition already" in repeated.stdout
    # Texts with a person's words are not captionq's own.
    replaced = captionq.run("caption", folder, "--existing", "replace")
    assert "24 images: 6 captioned, 18 skipped, 0 failed" in replaced.stdout
    by_hand = {image for image, begin in begins.items() if begin}
    assert texts_of(captions) == {
        image: whole[image] if image in by_hand else f"{caption}\n" for image, caption in captions.items()
    }
    image = next(iter(captions))
    one = captionq.run("caption", image, "--existing", "prepend", "--template", "{stem}: {caption}")
    assert one.stdout == f"{image.stem}: {captions[image]}\n"
    assert texts_of({image: ""}) == {image: f"{image.stem}: {captions[image]} {whole[image]}"}
    shown = json.loads(
        captionq.run("caption", image, "--existing", "append", "--strip-openers", "--format", "json").stdout
    )
    worker.send_signal(signal.SIGINT)
    assert ended(worker).returncode == 0
    assert (shown["text"], shown["output_text"], shown["previous_text"][:6]) == (captions[image], None, "scene-")


def test_a_posted_folder_adds_once_and_its_prompts_have_fields(tmp_path: Path) -> None:
    """The options of the command line are fields of the body; an upload has the fields of its name and of its bytes."""
    settings = Settings(data_dir=tmp_path / DATA_FOLDER)
    settings.make_folders()
    folder = tmp_path / "pictures"
    captions = save_scenes(folder, 4)
    begins = write_by_hand(captions)
    prompt = "Describe this image. ({name} {caption}{camera})"
    body = {"path": str(folder), "existing": "append", "separator": "\\n", "trigger": "ohwx", "prompt": prompt}
    with serving(settings, "--allow-root", folder) as served:

        def post(**request: Any) -> str:
            made = served.client.post("/v1/folders", **request)
            assert made.status_code == 201, made.text
            address = f"/v1/folders/{made.json()['id']}"
            until(lambda: served.client.get(address).json()["status"] == "ended", "the folder's end")
            return str(made.json()["id"])

        first, second = post(json=body), post(json=body)
        form = [("files", ("trip/a.png", png(draw_many(1)[0])))]
        upload = post(files=form, data={"options": json.dumps({"prompt": f"{prompt} {{folder}}"})})
        lines = served.client.get(f"/v1/folders/{first}/results").text.splitlines()
        refused = served.client.post("/v1/folders", json={**body, "template": "{nothing}"})
        assert served.client.get(f"/v1/folders/{second}").json()["counts"]["total"] == 0
    assert refused.status_code == 400
    assert "{nothing} is not a field." in refused.text
    store = Store(settings)
    rows, uploaded = store.jobs(batch_id=first), store.jobs(batch_id=upload)
    store.close()
    for row in rows:
        image = path_of(row.source or "")
        assert row.parsed_request().messages[0].texts == [
            f"Describe this image. ({image.name} {begins[image].strip()})"
        ]
        assert image.with_suffix(".txt").read_text() == f"{begins[image]}ohwx, {row.text}\n"
    assert {json.loads(line)["output_text"] for line in lines} == {row.output_text for row in rows}
    assert uploaded[0].parsed_request().messages[0].texts == ["Describe this image. (a.png ) trip"]
