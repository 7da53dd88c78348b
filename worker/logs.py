"""Where a worker's words go: all of them into a file, what a person needs to know to the terminal."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler

from jobs.settings import Settings

#: Two files of this size (bytes) at most.
FILE_SIZE = 10_000_000


def set_up_logging(settings: Settings, *, quiet: bool) -> None:
    """Log to `logs/worker.log`; `quiet`: to the terminal only what went wrong."""
    settings.make_folders()
    file = RotatingFileHandler(settings.log_dir / "worker.log", maxBytes=FILE_SIZE, backupCount=1, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter("%(message)s"))
    terminal.setLevel(logging.WARNING if quiet else logging.INFO)
    terminal.addFilter(lambda record: record.name.startswith("captionq"))
    logging.basicConfig(level=logging.INFO, handlers=[file, terminal], force=True)
    logging.getLogger("captionq").setLevel(logging.DEBUG)
    # rq says four lines a job at INFO.
    logging.getLogger("rq").setLevel(logging.WARNING)
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
