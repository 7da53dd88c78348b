"""Faults of the database that pass are one line of the log; everything else has its stack."""

from __future__ import annotations

import errno
import logging
import sqlite3

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import OperationalError

from jobs.store.databases.passing_faults import log_failure

logger = logging.getLogger("captionq.test")


def full() -> OperationalError:
    """Make the error of a full disk."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return OperationalError("UPDATE job SET …", {}, error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (full(), "It failed. The disk is full, and the database cannot be written."),
        (OSError(errno.ENOSPC, "No space left"), "It failed. The disk is full, and the database cannot be written."),
        (RedisConnectionError("refused"), "It failed. The broker is away (refused)."),
        (ZeroDivisionError("a fault of ours"), "It failed."),
    ],
)
def test_only_faults_that_stay_have_a_stack(error: Exception, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """A fault that passes comes again every second."""
    with caplog.at_level(logging.WARNING, "captionq.test"):
        try:
            raise error  # noqa: TRY301 — the fault of the work that is logged
        except Exception:
            log_failure(logger, "%s failed.", "It")
    (record,) = caplog.records
    assert record.getMessage() == said
    assert (record.exc_info is not None) == isinstance(error, ZeroDivisionError)
