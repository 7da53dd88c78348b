"""The order of a run's pictures, and the choice of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.errors import ImageError
from jobs.store.queries.run_pictures import PictureChoice, Show, Sort, picture_ids
from jobs.store.queries.token_totals import TokenTotals, add_tokens
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


def test_every_word_of_a_search_is_found_in_captions_and_names(store: Store, run: Batch) -> None:
    """Case does not matter, and the wildcards of LIKE are letters like others."""
    dog, share, umlaut = add(store, run, "dog 100%", "other", "Bäume")
    store.succeed(dog.id, replace(RESULT, text="A Brown fox, no dog."))
    store.succeed(share.id, replace(RESULT, text="Half of a brown_fox."))

    def found(search: str) -> list[str]:
        return picture_ids(store.engine, run.id, PictureChoice(search=search))

    assert found("brown") == [dog.id, share.id]
    assert found("dog BROWN") == [dog.id]
    assert found("100%") == [dog.id]
    assert found("n_f") == [share.id]
    assert found("Bäume") == [umlaut.id]


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
