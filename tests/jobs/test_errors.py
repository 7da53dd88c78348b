"""Errors on their way out: the log and the message."""

from __future__ import annotations

import logging

import pytest

from api.errors.translation import translate_error
from jobs.errors import CaptionqError, DatabaseError, LeavingError, in_words
from worker.models.failures import as_captionq_error


@pytest.mark.parametrize(("error", "level"), [(LeavingError(), logging.INFO), (DatabaseError(), logging.ERROR)])
def test_an_orderly_end_is_no_error_in_the_log(
    error: CaptionqError, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The client of each late answer gets the error; the operator has nothing to fix."""
    caplog.set_level(logging.INFO, logger="captionq.api")
    assert translate_error(error) is error
    assert [record.levelno for record in caplog.records] == [level]


def wordless() -> None:
    """Raise an error without a message."""
    raise AssertionError


def test_an_error_is_never_an_empty_message() -> None:
    """An error without a message is described by its class and its place."""
    with pytest.raises(AssertionError) as caught:
        wordless()
    said = "AssertionError in wordless of test_errors.py"
    assert as_captionq_error(caught.value).message == f"Generation failed: {said}"
    assert in_words(ValueError("It is broken.")) == "ValueError: It is broken."
    assert in_words(LeavingError()) == LeavingError().message
    assert in_words(KeyError()) == "KeyError"
