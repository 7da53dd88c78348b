"""The process that started a worker: when it ends, the worker's standard input closes, and the worker ends also."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError
from worker.worker_name import worker_name

logger = logging.getLogger("captionq.worker")

#: Seconds beyond the grace period after which a worker whose owner has ended exits at once: a download may hold it up.
LAST_RESORT = 5.0


def end_with_owner(settings: Settings) -> None:
    """End this worker when its standard input closes: at once until it waits for jobs, with its grace from then on.

    To be called before the worker's many imports, during which the owner may end.
    """
    threading.Thread(target=_stop_at_eof, args=(settings,), name="owner", daemon=True).start()


def _stop_at_eof(settings: Settings) -> None:
    # Not through `sys.stdin`: a thread that waits inside its lock would abort an interpreter that exits for another reason.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(settings.grace + LAST_RESORT)
    # Imported here: the worker has imported them meanwhile.
    from sqlalchemy.exc import SQLAlchemyError

    from jobs.store.store import Store

    try:
        # The jobs wait for a model that is still downloading: they are not the cause of a death.
        Store(settings).recover(worker_name(settings), died=False)
    except (CaptionqError, SQLAlchemyError, OSError) as error:
        logger.warning("The jobs of this worker could not be given back (%s); the next worker recovers them.", error)
    finally:
        os._exit(1)
