"""Captions as text files in a zip."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from zipfile import ZipFile

from jobs.captions.outputs.text_zip import PIECE, zipped_texts
from jobs.store.tables import Job
from tests.support.rows import make_job


def job(output: str | None, text: str | None = "A dog.", source: str = "file:///p/a.jpg") -> Job:
    """Return a job with a caption."""
    made = make_job()
    made.output, made.source, made.text = output, source, text
    return made


def test_names_are_those_of_the_text_files_and_lead_nowhere_else() -> None:
    """Twice the same name, parts that climb, bytes that are no text, and uploads; pictures without a caption are left out."""
    edited = job("file:///p/sub/b.txt")
    edited.edited_text = "Mine."
    jobs = [
        job("file:///p/a.txt"),
        edited,
        job("file:///elsewhere/a.txt"),
        job("file:///p/c.txt", None),
        job("file:///p/%FF%0A.txt"),
        job(None, source="../../etc/passwd.png"),
        job(None, source="C:\\x\\y.png"),
    ]
    with ZipFile(io.BytesIO(b"".join(zipped_texts(jobs, Path("/p"))))) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert texts.pop("sub/b.txt") == "Mine.\n"
    assert set(texts.values()) == {"A dog.\n"}
    assert list(texts) == [
        "a.txt",
        "a (2).txt",
        "??.txt".replace("?", "\N{REPLACEMENT CHARACTER}"),
        "etc/passwd.png.txt",
        "x/y.png.txt",
    ]


def kept_by_zips() -> int:
    """Return the bytes that the zip's code has allocated and that are still there; threads of other tests may allocate too."""
    own = [tracemalloc.Filter(True, name) for name in ("*zip*", "*text_files*")]
    found = tracemalloc.take_snapshot().filter_traces(own)
    return sum(one.size for one in found.statistics("filename"))


def test_a_long_run_is_zipped_while_it_is_read() -> None:
    """The first piece comes long before the last picture, and no text stays in memory."""
    taken = 0

    def jobs() -> Iterator[Job]:
        nonlocal taken
        one = job("file:///p/a.txt", "A dog. " * 500)
        for taken in range(20_000):
            one.output = f"file:///p/{taken}.txt"
            yield one

    pieces = zipped_texts(jobs(), Path("/p"))
    assert len(next(pieces)) >= PIECE
    assert taken < 5000
    tracemalloc.start()
    list(islice(pieces, 5))
    before = kept_by_zips(), taken
    for _ in islice(pieces, 5):
        pass
    grown = (kept_by_zips() - before[0]) / (taken - before[1])
    tracemalloc.stop()
    # The directory at the end of the zip needs each name. The texts have 3,500 bytes.
    assert grown < 1500
