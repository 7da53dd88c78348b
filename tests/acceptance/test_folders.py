"""`/v1/folders` of a running `captionq serve`: served folders, uploads and zips, followed to their results."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.captions.outputs.xmp_packet import description_of
from jobs.configuration.settings import Settings
from tests.acceptance.test_chat import picture, png
from tests.support.adapters import save_adapter
from tests.support.processes import DATA_FOLDER, until
from tests.support.scenes import draw_many, save_scenes
from tests.support.serving import Served, events_of, serving

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests of this file, with one served folder."""
    folder = tmp_path_factory.mktemp("folders")
    (folder / "pictures").mkdir()
    settings = Settings(data_dir=folder / DATA_FOLDER)
    settings.make_folders()
    with serving(settings, "--allow-root", folder / "pictures") as running:
        yield running


def root(served: Served) -> Path:
    """Return the served folder."""
    return served.captionq.settings.data_dir.parent / "pictures"


def ended(served: Served, folder: dict[str, Any]) -> dict[str, Any]:
    """Wait until all of the folder has ended, and return it."""
    until(lambda: served.client.get(f"/v1/folders/{folder['id']}").json()["status"] == "ended", "the folder's end")
    found: dict[str, Any] = served.client.get(f"/v1/folders/{folder['id']}").json()
    return found


def results(served: Served, folder: dict[str, Any]) -> dict[str, Any]:
    """Return the texts by the names of their images."""
    lines = served.client.get(f"/v1/folders/{folder['id']}/results").text.splitlines()
    return {line["source"]: line["text"] for line in map(json.loads, lines)}


def test_a_folder_below_a_root_is_captioned_as_on_the_command_line(served: Served) -> None:
    """Text files lie beside the images. The second time, images with a text are skipped."""
    captions = save_scenes(root(served) / "one" / "deep", 6)
    (root(served) / "one" / "bad.jpg").write_bytes(b"this is no picture")
    made = served.client.post("/v1/folders", json={"path": str(root(served) / "one"), "preset": "describe"})
    assert made.status_code == 201
    folder = ended(served, made.json())
    assert folder["counts"] == {"total": 7, "queued": 0, "running": 0, "succeeded": 6, "failed": 1, "cancelled": 0}
    assert folder["rate"] > 0
    for path, caption in captions.items():
        assert path.with_suffix(".txt").read_text().strip() == caption
    texts = results(served, folder)
    assert texts.pop("bad.jpg") is None
    assert texts == {f"deep/{path.name}": caption for path, caption in captions.items()}
    again = served.client.post("/v1/folders", json={"path": str(root(served) / "one")}).json()
    assert again["counts"]["total"] == 1
    ended(served, again)


def test_a_folder_gets_the_files_of_its_options(served: Served) -> None:
    """As on the command line: JSON files and sidecars without texts. The second time nothing is left to do."""
    folder = root(served) / "outputs"
    captions = save_scenes(folder, 2)
    body = {"path": str(folder), "output": ["xmp", "json"]}
    assert ended(served, served.client.post("/v1/folders", json=body).json())["counts"]["succeeded"] == 2
    for path, caption in captions.items():
        assert json.loads(path.with_suffix(".json").read_text())["caption"] == caption
        assert description_of(path.with_suffix(".xmp").read_bytes()) == caption
    assert list(folder.glob("*.txt")) == []
    assert ended(served, served.client.post("/v1/folders", json=body).json())["counts"]["total"] == 0
    refused = served.client.post("/v1/folders", json={**body, "existing": "append"})
    assert refused.status_code == 400
    assert "append and prepend need txt" in refused.json()["error"]["message"]


def test_no_file_of_a_person_is_replaced_without_force(served: Served) -> None:
    """A text written by hand stays. A picture with the name of a text file is an error of its image."""
    folder = root(served) / "existing"
    captions = save_scenes(folder, 3)
    first, second, third = (path.with_suffix(".txt") for path in captions)
    first.write_text("by hand\n")
    second.write_bytes(next(iter(captions)).read_bytes())
    picture = second.read_bytes()
    body = {"path": str(folder), "existing": "replace"}
    made = ended(served, served.client.post("/v1/folders", json=body).json())
    assert (made["counts"]["total"], made["counts"]["succeeded"], made["counts"]["failed"]) == (2, 1, 1)
    lines = served.client.get(f"/v1/folders/{made['id']}/results").text.splitlines()
    assert {(line["error"] or {}).get("code") for line in map(json.loads, lines)} == {None, "output_occupied"}
    assert (first.read_text(), second.read_bytes()) == ("by hand\n", picture)
    assert third.read_text().strip() == captions[third.with_suffix(".png")]
    forced = ended(served, served.client.post("/v1/folders", json={**body, "force": True}).json())
    assert (forced["counts"]["succeeded"], forced["counts"]["failed"]) == (2, 1)
    assert first.read_text().strip() == captions[first.with_suffix(".png")]
    assert second.read_bytes() == picture
    assert served.client.post("/v1/folders", json={"path": str(folder), "force": True}).status_code == 400


def test_a_folder_is_planned_as_on_the_command_line(served: Served) -> None:
    """Patterns leave images out, a blank text is written over, and a folder in a text's place is an error of its image."""
    folder = root(served) / "planned"
    captions = save_scenes(folder / "trip.jpg", 4)
    first, second, third, _ = captions
    first.with_suffix(".txt").write_bytes(b"\xef\xbb\xbf\n")
    second.with_suffix(".txt").mkdir()
    body = {"path": str(folder), "exclude": [third.name.upper()]}
    made = ended(served, served.client.post("/v1/folders", json=body).json())
    assert (made["counts"]["total"], made["counts"]["succeeded"], made["counts"]["failed"]) == (3, 2, 1)
    assert first.with_suffix(".txt").read_text().strip() == captions[first]
    assert not third.with_suffix(".txt").exists()
    refused = served.client.post("/v1/folders", json={"path": str(folder), "exclude": ["!"]})
    assert refused.status_code == 400
    assert "The pattern '!' is not valid" in refused.json()["error"]["message"]


def test_images_and_zips_are_uploaded(served: Served) -> None:
    """Images have their names within the zip; other files of the zip are left out."""
    pictures = draw_many(4)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("holiday/a.png", png(pictures[0]))
        opened.writestr("../../b.png", png(pictures[1]))
        opened.writestr("notes.txt", "no picture")
        opened.writestr("__MACOSX/._a.png", "no picture either")
    made = served.client.post(
        "/v1/folders",
        files=[
            ("files", ("all.zip", archive.getvalue())),
            ("files", ("c.png", png(pictures[2]))),
            ("files", ("d.png", png(pictures[3]))),
        ],
        data={"options": json.dumps({"prompt": "Describe this image."})},
    )
    assert made.status_code == 201, made.text
    folder = ended(served, made.json())
    assert sorted(results(served, folder).values()) == sorted(drawn.caption for drawn in pictures)
    assert {"holiday/a.png", "b.png", "c.png", "d.png"} == set(results(served, folder))


def test_an_upload_is_described_by_clean_names(served: Served) -> None:
    """No character reverses a terminal's text, and no name is taken for a folder of this machine."""
    files = [("files", (name, b"not looked at yet")) for name in ("/etc/a\u202egnp.png", "../", "b.png")]
    made = served.client.post("/v1/folders", files=files).json()
    assert made["description"] == "etc/a\N{REPLACEMENT CHARACTER}gnp.png, file, b.png"


def test_two_runs_over_one_folder_do_not_take_each_others_jobs(served: Served) -> None:
    """The second run is refused with a conflict."""
    save_scenes(root(served) / "twice", 10)
    with served.paused():
        first = served.client.post("/v1/folders", json={"path": str(root(served) / "twice")}).json()
        second = served.client.post(
            "/v1/folders", json={"path": str(root(served) / "twice"), "prompt": "What is this?"}
        )
    assert second.status_code == 409
    assert second.json()["error"]["code"] == "conflict"
    assert ended(served, first)["counts"]["succeeded"] == 10


def test_the_same_key_gives_the_same_folder(served: Served) -> None:
    """The images are queued once."""
    files = {"files": ("a.png", png(draw_many(1)[0]))}
    key = {"Idempotency-Key": "folder"}
    first, second = (served.client.post("/v1/folders", files=files, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    other = {"files": ("a.png", png(draw_many(2)[1]))}
    assert served.client.post("/v1/folders", files=other, headers=key).status_code == 409


def test_events_name_each_image_once_and_are_resumed(served: Served) -> None:
    """The whole folder is the last event."""
    files = [("files", (f"{number}.png", png(drawn))) for number, drawn in enumerate(draw_many(6))]
    folder = served.client.post("/v1/folders", files=files).json()
    address = f"/v1/folders/{folder['id']}/events"
    with served.client.stream("GET", address) as response:
        events = list(events_of(response.iter_lines()))
    images = [event for event in events if event["event"] == "image"]
    assert [event["id"] for event in images] == ["1", "2", "3", "4", "5", "6"]
    assert events[-1]["event"] == "result"
    assert events[-1]["data"]["counts"]["succeeded"] == 6
    with served.client.stream("GET", address, headers={"Last-Event-ID": "4"}) as response:
        rest = list(events_of(response.iter_lines()))
    assert [event for event in rest if event["event"] == "image"] == images[4:]
    assert served.client.get(address, headers={"Last-Event-ID": "end"}).status_code == 204


def test_results_come_as_a_table(served: Served) -> None:
    """The table has a heading, and a line for each image that has ended. A name is no formula."""
    names = ("odd, 'name'.png", "=HYPERLINK(1).png")
    files = [("files", (name, png(drawn))) for name, drawn in zip(names, draw_many(2), strict=True)]
    folder = ended(served, served.client.post("/v1/folders", files=files).json())
    response = served.client.get(f"/v1/folders/{folder['id']}/results", params={"format": "csv"})
    assert response.headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(response.text)))
    shown = {"odd, 'name'.png": draw_many(2)[0].caption, "'=HYPERLINK(1).png": draw_many(2)[1].caption}
    assert {row["source"]: row["text"] for row in table} == shown


def test_questions_make_a_table(served: Served) -> None:
    """Each image has a row with its absolute path, each question a typed column; no text files are written."""
    folder = root(served) / "asked"
    save_scenes(folder, 4)
    # Asked by itself, too, the model miscounts the shapes of this scene.
    (folder / "scene-000.png").unlink()
    (folder / "bad.png").write_bytes(b"this is no picture")
    questions = [
        {"name": "n", "question": "How many shapes are there?", "type": "int"},
        {"name": "ground", "question": "What colour is the background?", "type": "white|black|gray"},
    ]
    made = ended(served, served.client.post("/v1/folders", json={"path": str(folder), "questions": questions}).json())
    assert made["counts"]["total"] == 8
    address = f"/v1/folders/{made['id']}/results"
    table = list(csv.DictReader(io.StringIO(served.client.get(address, params={"format": "csv"}).text)))
    found = {row["path"]: (row["n"], row["ground"]) for row in table}
    right = {str(folder / f"scene-{at:03}.png"): drawn.scene for at, drawn in enumerate(draw_many(4)) if at}
    assert found == {
        **{path: (str(len(scene.shapes)), scene.ground) for path, scene in right.items()},
        str(folder / "bad.png"): ("", ""),
    }
    assert [row["error"] for row in table if row["path"].endswith("bad.png")] == [
        "bad.png is not a supported image, or is damaged."
    ]
    lines = [json.loads(line) for line in served.client.get(address).text.splitlines()]
    assert {type(line["value"]) for line in lines if line["question"] == "n" and line["value"] is not None} == {int}
    assert not list(folder.glob("*.txt"))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"prompt": "What?"}, "questions take the place of prompt"),
        ({"prefix": "x"}, "questions write no text files"),
        ({"questions": [{"name": "n", "question": "?"}] * 2}, "Two questions have the name 'n'"),
        ({"questions": [{"name": "n", "question": "?", "type": "integer"}]}, "'integer' is not a type"),
    ],
)
def test_questions_that_cannot_make_a_table_are_refused(served: Served, more: dict[str, Any], reason: str) -> None:
    """The error names the fields that do not go together."""
    body = {"path": str(root(served)), "questions": [{"name": "n", "question": "How many?"}], **more}
    refused = served.client.post("/v1/folders", json=body)
    assert refused.status_code in (400, 422)
    assert reason in refused.json()["error"]["message"]


def test_a_cancelled_folder_keeps_its_results_and_the_rest_is_retried(served: Served) -> None:
    """Images that have a result are not retried."""
    files = [("files", (f"{number}.png", png(drawn))) for number, drawn in enumerate(draw_many(50))]
    bad = ("files", ("bad.png", b"this is no picture"))
    folder = served.client.post("/v1/folders", files=[bad, *files]).json()
    address = f"/v1/folders/{folder['id']}"

    def counts() -> dict[str, int]:
        found: dict[str, int] = served.client.get(address).json()["counts"]
        return found

    with served.paused_at(lambda: counts()["failed"] == 1 and counts()["succeeded"] > 0, "the first results"):
        kept = counts()["succeeded"]
        cancelled = served.client.delete(address).json()
    assert cancelled["status"] == "ended"
    assert 0 < kept < 50
    assert counts() == {**cancelled["counts"], "succeeded": kept, "cancelled": 50 - kept, "failed": 1}
    again = served.client.post(f"{address}/retry")
    assert again.status_code == 201
    whole = ended(served, again.json())
    assert (whole["counts"]["total"], whole["counts"]["failed"]) == (50 - kept + 1, 1)
    assert whole["counts"]["succeeded"] == 50 - kept
    assert set(results(served, whole)).isdisjoint(name for name, text in results(served, folder).items() if text)


@pytest.mark.parametrize("path", ["/", "/etc", "../data", "missing/../../data"])
def test_no_folder_outside_the_roots_is_looked_at(served: Served, path: str) -> None:
    """The answer does not reveal whether the folder exists."""
    response = served.client.post("/v1/folders", json={"path": str(root(served) / path)})
    assert response.status_code == 403, response.text


def test_a_link_to_a_folder_outside_leads_nowhere(served: Served, tmp_path: Path) -> None:
    """Links are refused as the path and below it, even if the images link back: no name is revealed, no file written."""
    outside = save_scenes(tmp_path / "outside", 2)
    folder = root(served) / "links"
    (inside, *_) = save_scenes(folder, 1)
    (tmp_path / "outside" / "back.png").symlink_to(inside)
    (folder / "way").symlink_to(tmp_path / "outside")
    assert served.client.post("/v1/folders", json={"path": str(folder / "way")}).status_code == 403
    found = ended(served, served.client.post("/v1/folders", json={"path": str(folder)}).json())
    assert found["counts"]["succeeded"] == found["counts"]["total"] == 1
    assert set(results(served, found)) == {inside.name}
    assert {path.name for path in (tmp_path / "outside").iterdir()} == {"back.png", *(path.name for path in outside)}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"path": "{root}/none"}, 404),
        ({"path": "{root}", "prompt": "a", "preset": "tags"}, 400),
        ({"path": "{root}", "colour": 1}, 400),
        ({"path": "{root}", "model": "demo-text"}, 400),
        ({"path": "{root}", "model": "what"}, 404),
        ({}, 400),
    ],
)
def test_an_invalid_request_about_a_folder_is_refused(served: Served, body: dict[str, Any], status: int) -> None:
    """The refusal comes before any job is queued."""
    body = {name: value.format(root=root(served)) if name == "path" else value for name, value in body.items()}
    assert served.client.post("/v1/folders", json=body).status_code == status


@pytest.mark.parametrize(
    ("path", "files", "data", "code", "param"),
    [
        ("/v1/folders", ["files"], {"prompt": "What is this?"}, "unknown_parameter", "prompt"),
        ("/v1/folders", ["files", "file"], {}, "unknown_parameter", "file"),
        ("/v1/folders", ["files", "options"], {}, "invalid_request_error", "options"),
        ("/v1/folders", [], {"files": "no file"}, "invalid_request_error", "files"),
        ("/v1/folders", ["files"], {"options": ["{}", "{}"]}, "invalid_request_error", "options"),
        ("/v1/folders", ["files"], {"options": "{"}, "invalid_request_error", "options"),
        ("/v1/folders", ["files"], {"options": "[]"}, "invalid_request_error", "options"),
        ("/v1/folders", ["files"], {"options": '{"response_format": 1}'}, "invalid_request_error", "response_format"),
        ("/v1/files", ["file"], {"purpose": "vision", "expires": "1"}, "unknown_parameter", "expires"),
        ("/v1/files", ["files"], {"purpose": "vision"}, "unknown_parameter", "files"),
        ("/v1/files", ["file"], {"purpose": "fine-tune"}, "invalid_request_error", "purpose"),
        ("/v1/files", ["file", "file"], {"purpose": "vision"}, "invalid_request_error", None),
    ],
)
def test_unknown_fields_of_a_form_are_refused(
    served: Served, path: str, files: list[str], data: dict[str, Any], code: str, param: str | None
) -> None:
    """The error names the field: an ignored prompt would only be noticed when all images are captioned."""
    parts = [(name, ("a.png", png(draw_many(1)[0]))) for name in files] or {"files": (None, data.pop("files"))}
    refused = served.client.post(path, files=parts, data=data)
    assert refused.status_code == 400
    assert (refused.json()["error"]["code"], refused.json()["error"]["param"]) == (code, param)


def test_an_empty_body_or_upload_and_a_broken_zip_are_refused(served: Served) -> None:
    """Each refusal has its reason."""
    assert served.client.post("/v1/folders").json()["error"]["message"] == "The body is empty. Send a JSON object."
    assert served.client.post("/v1/folders", files={"other": ("a.png", b"")}).status_code == 400
    broken = served.client.post("/v1/folders", files={"files": ("a.zip", b"PK\x03\x04 and nothing more")})
    assert broken.json()["error"]["code"] == "invalid_archive"


def test_options_of_the_prompt_are_those_of_the_command_line(served: Served) -> None:
    """Keywords come from the vocabulary, also for an upload's format; a bad option is named."""
    captions = save_scenes(root(served) / "keywords", 3)
    shapes = "Shapes\n  circle\n  square\n  triangle\nstar\n"
    body = {"path": str(root(served) / "keywords"), "vocabulary": shapes, "max_keywords": 2, "max_pixels": 4096}
    ended(served, served.client.post("/v1/folders", json={**body, "detail": "low"}).json())
    for path in captions:
        assert set(path.with_suffix(".txt").read_text().strip().split(", ")) <= {"circle", "square", "triangle", "star"}
    body = {"path": str(root(served) / "keywords"), "prompt": "Describe this image.", "existing": "replace"}
    ended(served, served.client.post("/v1/folders", json={**body, "max_characters": 20}).json())
    assert all(0 < len(path.with_suffix(".txt").read_text().strip()) <= 20 for path in captions)
    for wrong, reason in (
        ({"preset": "tag"}, "did you mean tags"),
        ({"vocabulary": ["a, b"]}, "has a comma"),
        ({"vocabulary": "red", "response_format": {"type": "json_object"}}, "either a schema or vocabulary"),
        ({"max_pixels": 1}, "max_pixels"),
    ):
        refused = served.client.post("/v1/folders", json={"path": str(root(served) / "keywords"), **wrong})
        assert refused.status_code == 400, wrong
        assert reason in refused.json()["error"]["message"]


def test_an_adapter_is_taken_from_a_served_folder_only(served: Served, tmp_path: Path) -> None:
    """As a field of a folder, and within the name of a chat completion's model. Its name shows no path."""
    save_scenes(root(served) / "adapted", 1)
    lora = save_adapter(root(served) / "lora")
    body = {"path": str(root(served) / "adapted"), "adapter": str(lora), "max_tokens": 8, "quality_retries": 0}
    folder = served.client.post("/v1/folders", json=body).json()
    assert folder["model"] == "demo+adapter=lora"
    assert ended(served, folder)["counts"]["succeeded"] == 1
    hello = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    chat = served.client.post("/v1/chat/completions", json={**hello, "model": f"demo+adapter={lora}"})
    assert (chat.status_code, chat.json()["model"]) == (200, "demo+adapter=lora")
    outside = save_adapter(tmp_path / "outside")
    (root(served) / "link").symlink_to(outside)
    for adapter, status in (
        (str(outside), 403),
        (str(root(served) / "link"), 403),
        ("~/lora", 403),
        (str(root(served) / "adapted"), 400),
        ("owner/not-here", 404),
        ("jobs/models", 404),
        ("lora", 404),
    ):
        refused = served.client.post("/v1/folders", json={**body, "adapter": adapter})
        assert refused.status_code == status, adapter
        assert str(tmp_path) not in refused.text
        refused = served.client.post("/v1/chat/completions", json={**hello, "model": f"demo+adapter={adapter}"})
        assert refused.status_code == status, adapter


def test_a_chat_completion_takes_a_vocabulary_and_a_limit_of_pixels(served: Served) -> None:
    """The format is named vocabulary, next to OpenAI's."""
    drawn = draw_many(1)[0]
    question = [picture(drawn), {"type": "text", "text": "List keywords for this image."}]
    body = {"model": "demo", "messages": [{"role": "user", "content": question}], "max_pixels": 1024}
    answer = served.client.post(
        "/v1/chat/completions", json={**body, "response_format": {"type": "vocabulary", "words": ["moon", "sun"]}}
    ).json()
    assert set(answer["choices"][0]["message"]["content"].split(", ")) <= {"moon", "sun"}
    refused = served.client.post("/v1/chat/completions", json={**body, "max_pixels": 0}).json()
    assert refused["error"]["param"] == "max_pixels"
