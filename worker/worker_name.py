"""The worker's name, by which a worker finds the jobs that its predecessor left. Cheap to import."""

from __future__ import annotations

import secrets
import socket

from jobs.configuration.settings import Settings
from jobs.configuration.worker_identity import kept_name, name_file
from jobs.disk.durable_files import write_durably


def worker_name(settings: Settings) -> str:
    """Return the worker's name, the same at every start.

    The data folder keeps the name: a Mac's host name changes with the network, and two Macs with one database may share a name.
    """
    name = kept_name(settings)
    if name is None:
        name = f"captionq-{socket.gethostname()}-{secrets.token_hex(4)}"
        # Without the name, rows that this worker runs would wait for it for ever.
        write_durably(name_file(settings), name)
    return name
