"""JSON files and XMP sidecars beside images: complete, repeatable, and never in place of a file of others."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.captions.outputs.late_outputs import write_late
from jobs.captions.outputs.side_files import own_texts
from jobs.captions.outputs.side_names import json_path, xmp_path
from jobs.captions.outputs.tables import row_of
from jobs.captions.outputs.xmp_packet import description_of, with_caption
from jobs.captions.sidecars import Sidecars
from jobs.captions.undo import undo_run
from jobs.errors import OutputChangedError, OutputOccupiedError
from jobs.images.xmp import parse_xmp
from jobs.options.outputs import FileKind
from jobs.store.store import Store
from tests.support.outputs import captioned, claim_job, contents, make_run, save_picture, write_files
from tests.support.rows import RESULT


def test_the_json_file_holds_all_that_is_known_of_the_answer(store: Store, tmp_path: Path) -> None:
    """Caption, model, prompt, parameters, tokens and times, under the name of the text."""
    image = save_picture(tmp_path / "photo.jpg")
    captioned(store, image, make_run(store), output=("txt", "json"))
    found = json.loads((tmp_path / "photo.json").read_text())
    assert (tmp_path / "photo.txt").read_text() == f"{found['caption']}\n" == f"{RESULT.text}\n"
    assert found["image"] == str(image)
    assert (found["model"], found["revision"]) == ("demo", None)
    assert found["prompt"] == "Describe this image."
    assert found["parameters"] == {"max_tokens": 256, "temperature": 0.0}
    assert found["tokens"] == {"prompt": 40, "image": 16, "completion": 9}
    assert found["seconds"]["decode"] == RESULT.decode_seconds


def test_a_second_attempt_writes_the_same_files(store: Store, tmp_path: Path) -> None:
    """The worker died after the files: the next attempt, with another answer and other times, knows them as its own."""
    job = claim_job(store, save_picture(tmp_path / "photo.jpg"), make_run(store), output=("txt", "json", "xmp"))
    write_files(store, job)
    first = contents(tmp_path)
    store.recover("worker")
    job = store.claim([job.id], "worker")[job.id]
    write_files(store, job)
    assert contents(tmp_path).keys() == first.keys()
    assert contents(tmp_path)["photo.xmp"] == first["photo.xmp"]
    write_files(store, job, "Another answer.")
    assert json.loads((tmp_path / "photo.json").read_text())["caption"] == "Another answer."
    assert description_of((tmp_path / "photo.xmp").read_bytes()) == "Another answer."


def test_a_json_file_of_others_is_left_alone(store: Store, tmp_path: Path) -> None:
    """Also one of captionq's that was changed by hand."""
    image, batch = save_picture(tmp_path / "photo.jpg"), make_run(store)
    (tmp_path / "photo.json").write_text('{"title": "from a phone"}')
    with pytest.raises(OutputChangedError, match=r"photo\.json was not written by captionq"):
        captioned(store, image, batch, output=("json",))
    assert (tmp_path / "photo.json").read_text() == '{"title": "from a phone"}'
    assert not (tmp_path / "photo.txt").exists()


def test_a_sidecar_keeps_the_fields_and_the_description_of_others(store: Store, tmp_path: Path) -> None:
    """A person's description stays unless forced; captionq's own is replaced, also after another program's change."""
    image, batch, sidecar = save_picture(tmp_path / "photo.jpg"), make_run(store), tmp_path / "photo.jpg.xmp"
    sidecar.write_bytes(with_caption(None, "By hand.", ["lake"]))
    before = sidecar.read_bytes()
    captioned(store, image, batch, output=("txt", "xmp"))
    assert sidecar.read_bytes() == before
    captioned(store, image, batch, "Forced.", output=("txt", "xmp"), existing="replace", force=True)
    assert description_of(sidecar.read_bytes()) == "Forced."
    # Another program changes a field, and writes the file anew.
    sidecar.write_bytes(sidecar.read_bytes().replace(b"lake", b"sea"))
    captioned(store, image, batch, "Again.", output=("txt", "xmp"))
    assert description_of(sidecar.read_bytes()) == "Again."
    assert parse_xmp(sidecar.read_bytes())["keywords"] == "sea"
    assert not (tmp_path / "photo.xmp").exists()


def test_an_answer_of_keywords_becomes_keywords(store: Store, tmp_path: Path) -> None:
    """Split at commas and lines; bullets, quotes and repetitions go; the description stays."""
    image = save_picture(tmp_path / "photo.jpg")
    captioned(store, image, make_run(store), '- sea, "blue sky",\n* boat; sea.', output=("xmp",), keywords=True)
    content = (tmp_path / "photo.xmp").read_bytes()
    assert parse_xmp(content)["keywords"] == "sea, blue sky, boat"
    assert description_of(content) == ""


def test_a_sidecar_that_is_no_xmp_is_refused_and_left(store: Store, tmp_path: Path) -> None:
    """An empty file, other XML, or a text: the answer is kept, and the sentence says how to write it."""
    image, batch = save_picture(tmp_path / "photo.jpg"), make_run(store)
    for wrong in (b"", b"<html/>", b"a note"):
        (tmp_path / "photo.xmp").write_bytes(wrong)
        job = claim_job(store, image, batch, output=("txt", "xmp"))
        with pytest.raises(OutputOccupiedError, match=r"photo\.xmp is no XMP sidecar.*captionq jobs retry"):
            write_files(store, job)
        assert (tmp_path / "photo.xmp").read_bytes() == wrong
        store.cancel([job.id])


@given(
    st.sets(
        st.sampled_from(["a.jpg", "a.JPG", "A.jpg", "a.heic", "a.jpg.png", "\u00e9.jpg", "e\u0301.jpg"]), min_size=1
    )
)
def test_no_two_images_share_a_file(names: set[str]) -> None:
    """The names follow those of the texts."""
    texts = Sidecars()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.scandir", lambda _: _Folder(names))
        images = [Path("/pictures") / name for name in sorted(names)]
        chosen = [texts.path_for(image) for image in images]
    for paths in (
        [json_path(text) for text in chosen],
        [xmp_path(image, text) for image, text in zip(images, chosen, strict=True)],
    ):
        assert len({str(path).casefold() for path in paths}) == len({str(text).casefold() for text in chosen})


class _Folder(list[Path]):
    """Entries of a folder, as os.scandir yields them."""

    def __init__(self, names: set[str]) -> None:
        super().__init__(Path(name) for name in names)

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_reads_the_sidecar(store: Store, tmp_path: Path) -> None:
    """Without a warning."""
    captioned(store, save_picture(tmp_path / "photo.jpg"), make_run(store), "Grün\nund blau", output=("xmp",))
    command = ["exiftool", "-json", "-validate", "-Description", str(tmp_path / "photo.xmp")]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[0]
    assert found["Description"] == "Grün\nund blau"


def test_files_beside_a_joined_text_hold_the_new_text(store: Store, tmp_path: Path) -> None:
    """With prefix and trigger, without the text that was there; a second run knows its description, and undo brings all back."""
    image, output = save_picture(tmp_path / "photo.jpg"), tmp_path / "photo.txt"
    output.write_text("by hand\n")
    before, batch = contents(tmp_path), make_run(store)
    shaped = {"existing": "append", "trigger": "ohwx", "suffix": "!", "output": ("txt", "json", "xmp")}
    job = captioned(store, image, batch, "A cat.", **shaped)
    assert output.read_text() == "by hand ohwx, A cat.!\n"
    assert json.loads((tmp_path / "photo.json").read_bytes())["caption"] == "ohwx, A cat.!"
    assert description_of((tmp_path / "photo.xmp").read_bytes()) == "ohwx, A cat.!"
    assert row_of(store.job(job.id))["caption"] == "ohwx, A cat.!"
    assert own_texts(store.job(job.id), store) == {"ohwx, A cat.!"}
    # Another program has saved the sidecar: the description is still captionq's own.
    sidecar = tmp_path / "photo.xmp"
    sidecar.write_bytes(sidecar.read_bytes() + b"\n")
    captioned(store, image, batch, "A dog.", prefix="a: ", output=("xmp",))
    assert description_of(sidecar.read_bytes()) == "a: A dog."
    assert output.read_text() == "by hand ohwx, A cat.!\n"
    (tmp_path / "photo.json").unlink()
    kinds: tuple[FileKind, ...] = ("json",)
    assert write_late([store.job(job.id)], kinds, store, keywords=False).images == 1
    assert json.loads((tmp_path / "photo.json").read_bytes())["caption"] == "ohwx, A cat.!"
    undone = undo_run(batch.id, store)
    # The run did not make the sidecar as it is between its two changes.
    assert {path.name for path in undone.left} == {"photo.xmp"}
    assert {name: data for name, data in contents(tmp_path).items() if name != "photo.xmp"} == before
