"""The thread of a server that keeps broker and worker running: it looks when one of them ends, and seldom at other times."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import RedisError

from cli.runs.processes.services import Services
from jobs.errors import CaptionqError, WorkerError

logger = logging.getLogger("captionq.serve")

#: Seconds between two checks while broker or worker do not run, and at least between any two.
CHECK_EVERY = 1.0
#: Seconds between two checks while both run: each writes to the broker's file. A broker that is full or suspended is found by
#: then; requests and the worker find it by themselves.
CHECK_SELDOM = 30.0
#: Seconds until a worker that died again and again is started once more.
WORKER_PAUSE = 30.0


@contextmanager
def kept_running(running: Services) -> Iterator[None]:
    """Keep broker and worker running, from a thread, for the length of the block. They end with it."""
    done, look = threading.Event(), threading.Event()
    watch = threading.Thread(target=_watch, args=(running, done, look), name="services", daemon=True)
    watch.start()
    try:
        yield
    finally:
        done.set()
        look.set()
        watch.join()
        running.stop()


def _watch(running: Services, done: threading.Event, look: threading.Event) -> None:
    while not done.is_set():
        look.clear()
        running.on_change(look.set)
        _check(running)
        if done.wait(CHECK_EVERY):
            break
        if running.is_settled:
            look.wait(CHECK_SELDOM - CHECK_EVERY)


def _check(running: Services) -> None:
    try:
        running.ensure()
    except WorkerError as error:
        logger.error("%s Next try in %.0f s.", error.message, WORKER_PAUSE)  # noqa: TRY400  # the sentence says it all
        running.rest(WORKER_PAUSE)
    except (CaptionqError, RedisError) as error:
        logger.error("%s", error)  # noqa: TRY400
    except Exception:
        # A lack of file descriptors or memory may pass, and nothing else would start broker and worker again.
        logger.exception("The broker or the worker could not be checked.")
