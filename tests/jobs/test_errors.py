"""Errors on their way out: what of them is written down."""

from __future__ import annotations

import logging

import pytest

from api.errors.translation import translate_error
from jobs.errors import CaptionqError, DatabaseError, LeavingError, in_words
from jobs.requests import Sampling
from worker.engine.finished import failed
from worker.engine.sequences import LiveSequence
from worker.models.inputs import Prepared
from worker.pipeline.pipeline import as_captionq_error


@pytest.mark.parametrize(("error", "level"), [(LeavingError(), logging.INFO), (DatabaseError(), logging.ERROR)])
def test_an_orderly_end_is_no_error_in_the_log(
    error: CaptionqError, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each answer that is too late says so to its client; whoever reads the log has nothing to mend."""
    caplog.set_level(logging.INFO, logger="captionq.api")
    assert translate_error(error) is error
    assert [record.levelno for record in caplog.records] == [level]


def wordless() -> None:
    """Raise an error that says nothing."""
    raise AssertionError


def test_an_error_is_never_an_empty_message() -> None:
    """One without words is told by its kind and its place."""
    with pytest.raises(AssertionError) as caught:
        wordless()
    said = "AssertionError in wordless of test_errors.py"
    assert as_captionq_error(caught.value).message == f"Generation failed: {said}"
    row = LiveSequence("any", Prepared([1], 0, Sampling()))
    ended = failed(row, caught.value).error
    assert ended is not None
    assert ended.message == f"Generation failed: {said}"
    assert in_words(ValueError("It is broken.")) == "ValueError: It is broken."
    assert in_words(LeavingError()) == LeavingError().message
    assert in_words(KeyError()) == "KeyError"
