"""Errors on their way out: what of them is written down."""

from __future__ import annotations

import logging

import pytest

from api.errors import outward
from jobs.errors import CaptionqError, DatabaseError, LeavingError


@pytest.mark.parametrize(("error", "level"), [(LeavingError(), logging.INFO), (DatabaseError(), logging.ERROR)])
def test_an_orderly_end_is_no_error_in_the_log(
    error: CaptionqError, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Each answer that is too late says so to its client; whoever reads the log has nothing to mend."""
    caplog.set_level(logging.INFO, logger="captionq.api")
    assert outward(error) is error
    assert [record.levelno for record in caplog.records] == [level]
