"""Captions inside image files: exiftool writes them, the pixels and a backup stay as they were."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from jobs.captions.outputs import embedding
from jobs.captions.outputs.embedding import is_embedded
from jobs.captions.undo import undo_run
from jobs.errors import OutputOccupiedError
from jobs.store.store import Store
from jobs.store.written.written_files import WrittenFiles
from tests.support.kills import Killed, dying_at
from tests.support.outputs import captioned, claim_job, contents, make_run, save_picture, write_files
from tests.support.rows import RESULT

needs_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")


def pixels(path: Path) -> bytes:
    """Return the decoded pixels of a picture."""
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


def metadata(path: Path) -> dict[str, object]:
    """Return the fields that captions go to, as exiftool reads them."""
    command = ["exiftool", "-json", "-G1", "-XMP-dc:all", "-IPTC:all", "./" + path.name]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=path.parent)
    return dict(json.loads(ran.stdout)[0])


@needs_exiftool
@pytest.mark.parametrize("name", ["-a%d.jpg", "gr\u00fcn\n.png", "a.webp", "a.tiff"])
def test_a_caption_goes_into_the_file_and_out_again(store: Store, tmp_path: Path, name: str) -> None:
    """The name may be any, with line ends and umlauts; the backup is the old file, and undo brings the very bytes back."""
    image, batch = save_picture(tmp_path / name), make_run(store)
    image.chmod(0o640)
    before, state, shown = contents(tmp_path), image.stat(), pixels(image)
    captioned(store, image, batch, "Gr\u00fcn,\n- zwei Zeilen", embed=True)
    assert metadata(image)["XMP-dc:Description"] == "Gr\u00fcn,\n- zwei Zeilen"
    if not name.endswith("webp"):
        assert metadata(image)["IPTC:Caption-Abstract"] == "Gr\u00fcn,\n- zwei Zeilen"
    assert pixels(image) == shown
    assert (image.stat().st_mode, image.stat().st_mtime_ns) == (state.st_mode, state.st_mtime_ns)
    assert image.with_name(name + "_original").read_bytes() == before[name]
    undone = undo_run(batch.id, store)
    assert (undone.restored, undone.removed) == (1, 1)
    assert contents(tmp_path) == before


@needs_exiftool
@pytest.mark.parametrize("charset", ["Latin", "UTF8"])
def test_a_caption_in_any_script_goes_beside_iptc_in_an_old_encoding(
    store: Store, tmp_path: Path, charset: str
) -> None:
    """All of it is UTF-8 then, also if it was before without saying so. A text that the old encoding can hold changes nothing."""
    image, batch = save_picture(tmp_path / "a.jpg"), make_run(store)
    old = ["-IPTC:Keywords=Gr\u00fcn", "-IPTC:Keywords=See", "-IPTC:City=K\u00f6ln", "-overwrite_original"]
    subprocess.run(["exiftool", "-q", "-charset", f"iptc={charset}", *old, str(image)], check=True)
    captioned(store, image, batch, "A k\u00f6nig.", embed=True)
    assert ("IPTC:CodedCharacterSet" in metadata(image)) == (charset == "UTF8")
    assert metadata(image)["IPTC:Caption-Abstract"] == "A k\u00f6nig."
    captioned(store, image, batch, "\u65e9\u4e0a\u597d.", embed=True, existing="replace", force=True)
    there = metadata(image)
    assert (there["IPTC:Caption-Abstract"], there["IPTC:CodedCharacterSet"]) == ("\u65e9\u4e0a\u597d.", "UTF8")
    assert (there["IPTC:Keywords"], there["IPTC:City"]) == (["Gr\u00fcn", "See"], "K\u00f6ln")


@needs_exiftool
def test_an_image_counts_as_captionq_s_until_others_change_it(store: Store, tmp_path: Path) -> None:
    """A caption in a picture changes the picture, which a watch must not take for a new one."""
    image, batch = save_picture(tmp_path / "a.jpg"), make_run(store)
    assert not is_embedded(image, store)
    captioned(store, image, batch, embed=True)
    assert is_embedded(image, store)
    save_picture(image)
    assert not is_embedded(image, store)
    image.unlink()
    assert not is_embedded(image, store)


@needs_exiftool
def test_a_second_attempt_embeds_once(store: Store, tmp_path: Path) -> None:
    """The worker died before the row ended: the file and its backup are right already."""
    job = claim_job(store, save_picture(tmp_path / "a.jpg"), make_run(store), embed=True)
    write_files(store, job)
    first = contents(tmp_path)
    store.recover("worker")
    write_files(store, store.claim([job.id], "worker")[job.id])
    assert contents(tmp_path) == first
    # Another answer of the same job replaces the first, and both can be taken back.
    write_files(store, store.job(job.id), "Another answer.")
    assert metadata(tmp_path / "a.jpg")["XMP-dc:Description"] == "Another answer."
    assert (tmp_path / "a.jpg_original").read_bytes() == first["a.jpg_original"]
    store.cancel([job.id])
    undo_run(job.batch_id or "", store)
    assert contents(tmp_path) == {"a.jpg": first["a.jpg_original"]}


@needs_exiftool
@pytest.mark.parametrize("step", ["record", "_keep", "replace"])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_write_of_embed_leaves_the_old_or_the_new_file(
    store: Store, tmp_path: Path, step: str, after: bool
) -> None:
    """The next attempt ends the work, and undo brings the old file back and leaves no backup."""
    image, batch = save_picture(tmp_path / "a.jpg"), make_run(store)
    before = contents(tmp_path)
    job = claim_job(store, image, batch, embed=True)
    owner = {"record": WrittenFiles, "_keep": embedding, "replace": Path}[step]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, step, dying_at(1, getattr(owner, step), after=after))
        with pytest.raises(Killed):
            write_files(store, job)
    is_new = step == "replace" and after
    assert (contents(tmp_path)["a.jpg"] != before["a.jpg"]) == is_new
    assert not is_new or contents(tmp_path)["a.jpg_original"] == before["a.jpg"]
    store.recover("worker")
    job = store.claim([job.id], "worker")[job.id]
    write_files(store, job)
    assert metadata(image)["XMP-dc:Description"] == RESULT.text
    store.cancel([job.id])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", dying_at(1, Path.replace, after=after))
        with pytest.raises(Killed):
            undo_run(batch.id, store)
    assert not undo_run(batch.id, store).left
    assert contents(tmp_path) == before


@needs_exiftool
def test_a_description_of_a_person_stays(store: Store, tmp_path: Path) -> None:
    """Unless forced. Keywords are added to those that are there."""
    image, batch = save_picture(tmp_path / "a.jpg"), make_run(store)
    fields = ["-XMP-dc:Description=By hand", "-XMP-dc:Subject=lake", "-IPTC:Keywords=lake"]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *fields, str(image)], check=True)
    before = image.read_bytes()
    captioned(store, image, batch, embed=True)
    assert image.read_bytes() == before
    captioned(store, image, batch, "lake, boat", embed=True, keywords=True)
    found = metadata(image)
    assert found["XMP-dc:Description"] == "By hand"
    assert found["XMP-dc:Subject"] == found["IPTC:Keywords"] == ["lake", "boat"]
    captioned(store, image, batch, "Forced.", embed=True, existing="replace", force=True)
    assert metadata(image)["XMP-dc:Description"] == "Forced."


@needs_exiftool
def test_a_file_that_exiftool_cannot_write_stays(store: Store, tmp_path: Path) -> None:
    """A BMP has no place for metadata, and a link is not replaced by a file; no temporary file is left.

    The sentence says how such an image gets its text. To try again would end the same way.
    """
    batch = make_run(store)
    bmp, link = save_picture(tmp_path / "a.bmp"), tmp_path / "b.jpg"
    link.symlink_to(save_picture(tmp_path / "real.jpg"))
    before = contents(tmp_path)
    for image, reason in ((bmp, r"exiftool could not write into a\.bmp"), (link, r"b\.jpg is not a regular file")):
        with pytest.raises(OutputOccupiedError, match=reason) as raised:
            captioned(store, image, batch, embed=True)
        assert raised.value.message.endswith(". For its other files, run this again without --embed.")
    assert contents(tmp_path) == before
    assert link.is_symlink()


@needs_exiftool
def test_a_composed_text_is_embedded_once(store: Store, tmp_path: Path) -> None:
    """The image gets the new text; a second attempt with the same answer writes nothing, one with another answer replaces it."""
    image, batch = save_picture(tmp_path / "photo.jpg"), make_run(store)
    job = claim_job(store, image, batch, embed=True, prefix="ohwx, ", output=("json",))
    write_files(store, job, "A cat.")
    embedded = image.read_bytes()
    assert b"ohwx, A cat." in embedded
    for answer in ("A cat.", "A dog."):
        store.recover("worker")
        job = store.claim([job.id], "worker")[job.id]
        write_files(store, job, answer)
        assert (image.read_bytes() == embedded) == (answer == "A cat.")
    assert b"ohwx, A dog." in image.read_bytes()
    assert b"A cat." not in image.read_bytes()
