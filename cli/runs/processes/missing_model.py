"""The default model of a server, if it is not on this machine: a line in the log says so, with the size of the download."""

from __future__ import annotations

import logging
import threading

from rich.filesize import decimal

from jobs.errors import ModelNotFoundError, ModelUnavailableError
from worker.models.download import download_size

logger = logging.getLogger("captionq.serve")


def announce_missing_model(name: str) -> threading.Thread:
    """Log that a model will be fetched, once the hub has said its size or has not answered. Returns the thread that does it."""
    thread = threading.Thread(target=_announce, args=(name,), name="missing-model", daemon=True)
    thread.start()
    return thread


def _announce(name: str) -> None:
    try:
        size = f" ({decimal(download_size(name).missing)} to download)"
    except ModelNotFoundError as error:
        logger.warning("%s", error.message)
        return
    except ModelUnavailableError:
        # The first request may find the hub back, and says the cause if not.
        size = ""
    logger.info(
        "%s is not here%s. It is fetched at the first request, or now: captionq models pull %s", name, size, name
    )
