"""The log of a process: a file and the terminal, as text or as one JSON object a line."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler

from jobs.configuration.settings import Settings
from jobs.safe_text import safe_json, safe_text

#: Maximum size of a log file in bytes; at most two files are kept.
FILE_SIZE = 10_000_000


class JSONLines(logging.Formatter):
    """A formatter that writes one object a line: time, level, logger, message, and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.msg.split(" ", maxsplit=1)[0] if fields else record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return safe_json(line)


class SafeLines(logging.Formatter):
    """A formatter of text whose messages, with the names of files in them, cannot steer a terminal or fake a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = safe_text(record.message)
        return super().formatMessage(record)


def set_up_logging(
    settings: Settings, file_name: str, *, as_json: bool = False, quiet: bool = False, to_terminal: bool = True
) -> None:
    """Log to a file in the logs folder, and to the terminal; `quiet`: only warnings and errors there, without the time."""
    settings.make_folders()
    file = RotatingFileHandler(settings.log_dir / file_name, maxBytes=FILE_SIZE, backupCount=1, encoding="utf-8")
    file.setFormatter(JSONLines() if as_json else SafeLines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    terminal = logging.StreamHandler()
    shown = SafeLines("%(message)s" if quiet else "%(asctime)s %(message)s", "%H:%M:%S")
    terminal.setFormatter(JSONLines() if as_json else shown)
    terminal.setLevel(logging.WARNING if quiet else logging.INFO)
    terminal.addFilter(lambda record: record.name.startswith("captionq"))
    logging.basicConfig(level=logging.INFO, handlers=[file, terminal] if to_terminal else [file], force=True)
    logging.getLogger("captionq").setLevel(logging.DEBUG)
    # rq logs four lines a job at INFO.
    logging.getLogger("rq").setLevel(logging.WARNING)
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
