"""Names from outside as labels: harmless, distinct and fit to be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.configuration.settings import Settings
from jobs.images.stored.blobs import blob_path
from jobs.images.stored.safe_names import MAX_LABEL, clean_label, make_distinct
from jobs.images.stored.zip_upload import unpack_images
from tests.support.unpacking import files_below, labels_of
from tests.support.zips import Member, make_zip

pytestmark = pytest.mark.usefixtures("nothing_half_written")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (b"../../etc/cron.d/a.png", "etc/cron.d/a.png"),
        (b"/etc/a.png", "etc/a.png"),
        (b"..\\..\\Windows\\a.png", "Windows/a.png"),
        (b"C:\\Users\\a.png", "Users/a.png"),
        (b"c:a.png", "a.png"),
        (b"\\\\host\\share\\a.png", "host/share/a.png"),
        (b"./a/././/b.png", "a/b.png"),
        (b"a/ .. /b.png", "a/b.png"),
        (b"line\nbreak\x1b[31m.png", "line�break�[31m.png"),
        ("turned\u202egnp.png".encode(), "turned�gnp.png"),
        ("Überall/café 10.00\u202fPM.png".encode(), "Überall/café 10.00\u202fPM.png"),
        (b"caf\x82.png", "café.png"),
        (b"\xff" * 10 + b".png", "\xa0" * 10 + ".png"),
    ],
)
def test_a_name_becomes_a_harmless_label(settings: Settings, name: bytes, label: str) -> None:
    """Nothing is written except blobs."""
    around = set(files_below(settings.data_dir.parent))
    (one,) = unpack_images(make_zip([Member(name, b"one")]), settings)
    assert one.name == label
    assert set(files_below(settings.data_dir.parent)) - around == {blob_path(one.sha256, settings)}


def test_a_name_that_is_no_utf8_although_it_says_so_is_still_a_name(settings: Settings) -> None:
    """Python's own module refuses the whole zip."""
    (one,) = unpack_images(make_zip([Member(b"a\xff\xfe.png", b"one", flags=0x0800)]), settings)
    assert one.name == "a��.png"


def test_an_overlong_name_keeps_its_end(settings: Settings) -> None:
    """The label still has an image's extension."""
    (one,) = unpack_images(make_zip([Member(b"folder/" * 9000 + b"x" * 300 + b".png", b"one")]), settings)
    assert one.name == "…" + "x" * (MAX_LABEL - 5) + ".png"


def test_duplicates_are_told_apart(settings: Settings) -> None:
    """Also from a name that looks like a numbered duplicate, and if only the cleaning made the names equal."""
    names = [b"a.png", b"a (2).png", b"a.png", b"/a.png", b"b/a.png", b"a.png"]
    members = [Member(name, bytes([number])) for number, name in enumerate(names)]
    unpacked = unpack_images(make_zip(members), settings)
    assert labels_of(unpacked) == ["a.png", "a (2).png", "a (3).png", "a (4).png", "b/a.png", "a (5).png"]
    assert [blob_path(one.sha256, settings).read_bytes() for one in unpacked] == [bytes([n]) for n in range(6)]


@given(st.lists(st.sampled_from(["a.png", "a (2).png", "a (3).png", "a (2) (2).png", "b"]), max_size=12))
def test_labels_are_distinct_whatever_they_were(labels: list[str]) -> None:
    """The first of equal labels keeps its name."""
    distinct = make_distinct(labels)
    assert len(set(distinct)) == len(labels)
    assert distinct[:1] == labels[:1]


@given(
    st.text(st.characters(), max_size=400)
    | st.lists(st.sampled_from(["..", "/", "\\", "a", ":", "\0", " "])).map("".join)
)
def test_a_label_leads_nowhere_and_can_be_shown(name: str) -> None:
    """This holds for any name; and the label of a label is the same."""
    label = clean_label(name)
    assert label.encode()
    assert 0 < len(label) <= MAX_LABEL
    assert not label.startswith("/")
    assert not {"..", ".", ""} & set(label.split("/"))
    assert not any(ord(character) < 32 or character == "\\" for character in label)
