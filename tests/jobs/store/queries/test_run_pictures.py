"""The order of a run's pictures, and the choice of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from jobs.errors import ImageError
from jobs.store.queries.run_pictures import PictureChoice, Show, Sort, picture_ids
from jobs.store.queries.token_totals import TokenTotals, add_tokens
from jobs.store.retention.pruning import delete_batch
from jobs.store.store import Store
from jobs.store.tables import Batch, Job
from tests.support.rows import RESULT, make_job


@pytest.fixture
def run(store: Store) -> Batch:
    """A run with a batch of its own."""
    batch = Batch(description="pictures", model="demo")
    store.add_batch(batch)
    return batch


def add(store: Store, run: Batch, *names: str) -> list[Job]:
    """Store queued jobs with these names of images."""
    jobs = [make_job(name, run) for name in names]
    store.add(jobs)
    store.claim([job.id for job in jobs], "worker")
    return jobs


def finder(store: Store, run: Batch) -> Callable[[str], list[str]]:
    """Return a function that searches the run."""
    return lambda search: picture_ids(store.engine, run.id, PictureChoice(search=search))


def test_pictures_come_by_name_or_the_latest_first(store: Store, run: Batch) -> None:
    """Open jobs come after all that have ended."""
    b, a, c = add(store, run, "b", "a", "c")
    store.succeed(a.id, RESULT)
    store.succeed(b.id, RESULT)
    assert picture_ids(store.engine, run.id, PictureChoice()) == [a.id, b.id, c.id]
    assert picture_ids(store.engine, run.id, PictureChoice(sort=Sort.LATEST)) == [b.id, a.id, c.id]


def test_pictures_are_chosen_by_their_state(store: Store, run: Batch) -> None:
    """Each choice has its own pictures; a duplicate is a cached answer whose question stands twice in the run."""
    good, failed, flawed, edited, cached = add(store, run, "a", "b", "c", "d", "e")
    store.succeed(good.id, replace(RESULT, cache_key="same"))
    store.fail(failed.id, ImageError("b.jpg is not an image."))
    store.succeed(flawed.id, replace(RESULT, quality="cut_off"))
    store.succeed(edited.id, RESULT)
    store.review(edited.id, edited_text="Mine.")
    store.succeed(cached.id, replace(RESULT, cached=True, cache_key="same"))
    found = {show: picture_ids(store.engine, run.id, PictureChoice(show)) for show in Show}
    assert found == {
        Show.ALL: [good.id, failed.id, flawed.id, edited.id, cached.id],
        Show.FAILED: [failed.id],
        Show.REVIEW: [flawed.id],
        Show.CACHED: [cached.id],
        Show.DUPLICATE: [cached.id],
        Show.EDITED: [edited.id],
    }
    store.drop_edit(edited.id)
    assert picture_ids(store.engine, run.id, PictureChoice(Show.EDITED)) == []


def test_a_search_finds_words_beginnings_and_phrases_in_captions_and_names(store: Store, run: Batch) -> None:
    """Case, accents and punctuation do not matter. An edit adds its words, until it is taken back."""
    dog, fox, umlaut = add(store, run, "dog 100%", "IMG_0042", "Bäume")
    store.succeed(dog.id, replace(RESULT, text="A Brown fox, no dog."))
    store.succeed(fox.id, replace(RESULT, text="Half of a brown_fox in a café."))
    found = finder(store, run)
    assert found("brown") == found("BRO") == [fox.id, dog.id]
    assert found("row") == []
    assert found("dog brown") == [dog.id]
    assert found('"brown fox" half') == found("“of a”") == found("0042") == found("cafe") == found("img_00") == [fox.id]
    assert found('"fox brown"') == found('"bro"') == found('"0042 half"') == []
    # Open pictures are found by parts of their names.
    assert found("äume") == [umlaut.id]
    store.review(dog.id, edited_text="Ein Wolf.")
    assert found("wolf") == found("dog wolf") == [dog.id]
    store.drop_edit(dog.id)
    assert found("wolf") == []
    assert found("fox") == [fox.id, dog.id]


def test_any_part_of_a_text_without_spaces_is_found(store: Store, run: Batch) -> None:
    """Chinese, Japanese, Korean and Thai are searched by their characters."""
    texts = ["一只红色的狗在草地上", "公園のベンチにバス", "흰강아지가 잔다", "แมวนอนบนเก้าอี้"]
    jobs = add(store, run, "a", "b", "c", "d")
    for job, written in zip(jobs, texts, strict=True):
        store.succeed(job.id, replace(RESULT, text=written))
    found = finder(store, run)
    assert [found(word) for word in ("红色", "ベンチ", "강아지", "นอน")] == [[job.id] for job in jobs]
    # Neither characters in another order, nor other marks of the voice.
    assert found("色红") == found("バズ") == found("草地下") == []


#: Syntax of FTS5, of `tsquery`, of LIKE and of SQL. Letters and digits in these stand in the caption of the test.
HOSTILE = (
    """dog' OR 1=1 --|"|"dog|dog*|NEAR(dog fox)|words:dog|dog AND|-dog|^dog|{words}:dog|(dog|fox & !|"""
    """':*|\\'|%|_|\u0301|<->|😀|dog\0"""
)


def test_no_search_is_taken_for_the_syntax_of_the_index(store: Store, run: Batch) -> None:
    """A search with letters finds them; a search without any shows all pictures."""
    (job,) = add(store, run, "a")
    store.succeed(job.id, replace(RESULT, text="Or 1=1 near dog, fox, words dog and."))
    found = finder(store, run)
    assert [hostile for hostile in HOSTILE.split("|") if found(hostile) != [job.id]] == []


def test_the_words_of_other_runs_and_of_removed_jobs_are_not_found(store: Store, run: Batch) -> None:
    """The index holds the jobs of all runs, and loses them with their rows."""
    other = Batch(description="others", model="demo")
    store.add_batch(other)
    for batch in (run, other):
        (job,) = add(store, batch, batch.description)
        store.succeed(job.id, replace(RESULT, text="A fox."))
    assert len(finder(store, run)("fox")) == 1
    delete_batch(store.engine, other.id)
    with store.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM caption_words")).scalar() == 1
        if connection.dialect.name == "sqlite":
            check = "INSERT INTO caption_words_index (caption_words_index, rank) VALUES ('integrity-check', 1)"
            connection.execute(text(check))


def test_captions_of_an_older_version_are_found(store: Store, run: Batch) -> None:
    """The migration indexes the jobs that have ended."""
    (job,) = add(store, run, "a")
    store.succeed(job.id, replace(RESULT, text="A fox."))
    config = Config()
    config.set_main_option("script_location", "jobs/store/migrations")
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
        command.upgrade(config, "head")
    assert finder(store, run)("fox") == [job.id]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_sqlite_without_fts5_searches_the_same_words(store: Store, run: Batch) -> None:
    """Words, beginnings and phrases are found without the index as with it."""
    (job,) = add(store, run, "a")
    with store.engine.connect() as connection, connection.begin():
        for change in ("INSERT", "UPDATE", "DELETE"):
            connection.execute(text(f"DROP TRIGGER caption_words_{change}"))
        connection.execute(text("DROP TABLE caption_words_index"))
    store.succeed(job.id, replace(RESULT, text="A brown fox."))
    found = finder(store, run)
    assert found("bro") == found('"brown fox"') == found("fox 'a") == [job.id]
    assert found("row") == found('"bro"') == []


def test_a_choice_is_written_into_an_address_without_its_defaults() -> None:
    """Words of a search are quoted."""
    assert PictureChoice().query == ""
    assert PictureChoice(Show.FAILED, search="a&b").link(at=60) == "?show=failed&search=a%26b&at=60"
    assert PictureChoice(Show.FAILED).link(show=Show.ALL) == "?"


def test_tokens_are_added_up_from_the_last_end(store: Store, run: Batch) -> None:
    """Totals go on from the totals before, and failed jobs without usage count nothing."""
    a, b, c = add(store, run, "a", "b", "c")
    store.succeed(a.id, RESULT)
    store.fail(b.id, ImageError())
    first = add_tokens(store.engine, run.id, TokenTotals())
    assert first == TokenTotals(2, 40, 9)
    assert add_tokens(store.engine, run.id, first) == first
    store.succeed(c.id, RESULT)
    assert add_tokens(store.engine, run.id, first) == TokenTotals(3, 80, 18)
