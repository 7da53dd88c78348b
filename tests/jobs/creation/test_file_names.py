"""File names of every kind, from the walk to the text beside the image."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.path_list import read_path_list
from jobs.captions.output_names import fold
from jobs.creation.chosen_images import choose
from jobs.creation.existing_texts import PendingImage, SkippedImage, plan_images
from jobs.creation.question import Question, job_about
from jobs.images.walking.folder_walk import find_by_folder
from jobs.options.caption_options import CaptionOptions
from jobs.requests import path_of
from jobs.sampling import Sampling
from jobs.store.store import Store
from jobs.store.tables import Batch

QUESTION = Question("demo", "Describe this image.", Sampling())
OPTIONS = CaptionOptions()
ENDINGS = (".jpg", ".JPG", ".jpeg", ".png", ".heic", ".txt.png")


def image_name(stem: bytes, ending: str) -> bytes:
    """Make a name of at most 255 bytes that no walk passes over."""
    return stem[: 255 - len(ending)] + ending.encode()


#: Stems as people and programs write them: accents in both forms, emoji, line ends, dashes, other encodings, long ones.
STEMS = st.one_of(
    st.sampled_from(
        [
            "é",
            "e\u0301",
            "É",
            "ß",
            "SS",
            "a",
            "A",
            "-n",
            "--",
            "a\nb",
            "👩‍👩‍👧",
            "日本" * 43,
            "x" * 255,
            "~",
            "a#b?c%20d",
            " ",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=90),
    st.text(max_size=20).map(
        lambda text: unicodedata.normalize("NFD", text).replace("/", "_").replace("\0", "_") or "x"
    ),
).map(lambda text: text.encode(errors="surrogatepass")) | st.binary(min_size=1, max_size=30).map(
    lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_")
)
NAMES = st.builds(image_name, STEMS, st.sampled_from(ENDINGS)).filter(lambda name: not name.startswith(b"."))


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that knows no text."""
    from jobs.configuration.settings import Settings

    made = Settings(data_dir=tmp_path_factory.mktemp("names"), model="demo")
    made.make_folders()
    return Store(made)


@settings(max_examples=150)
@given(names=st.sets(NAMES, min_size=1, max_size=8))
def test_each_image_gets_a_text_of_its_own_and_is_skipped_afterwards(empty_store: Store, names: set[bytes]) -> None:
    """The row names the very files, the text's name is no other image's, and the next run finds it."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name in names:
            (folder / os.fsdecode(name)).touch()
        listed = b"\0".join(os.fsencode(folder) + b"/" + name for name in sorted(names)) + b"\0"
        assert sorted(os.fsencode(path.name) for path in read_path_list(listed)) == sorted(names)
        planned = list(
            choose(
                plan_images(find_by_folder([folder], recursive=True), OPTIONS, store=empty_store, digest_of=str),
                OPTIONS,
            )
        )
        assert sorted(os.fsencode(one.image.name) for one in planned) == sorted(names)
        texts: set[str] = set()
        for one in planned:
            assert isinstance(one, PendingImage)
            job = job_about(one, QUESTION, Batch(description="test", model="demo"))
            assert job.source is not None
            assert job.output is not None
            assert (path_of(job.source), path_of(job.output)) == (one.image, one.output)
            assert len(os.fsencode(one.output.name)) <= 255
            texts.add(fold(one.output.name))
        assert len(texts) == len(planned)
        for one in planned:
            one.output.write_text("The caption of this image.\n")
        again = plan_images(find_by_folder([folder], recursive=True), OPTIONS, store=empty_store, digest_of=str)
        assert all(isinstance(one, SkippedImage) for one in again)
