"""The worker's name, by which a worker finds the jobs that its predecessor left. Cheap to import."""

from __future__ import annotations

import secrets
import socket

from jobs.configuration.settings import Settings
from jobs.durable_files import write_durably


def worker_name(settings: Settings) -> str:
    """Return the worker's name, the same at every start.

    The data folder keeps the name: a Mac's host name changes with the network, and two Macs with one database may share a name.
    """
    kept = settings.data_dir / "worker.name"
    name = kept.read_text() if kept.exists() else ""
    if not name:
        name = f"captionq-{socket.gethostname()}-{secrets.token_hex(4)}"
        # Without the name, rows that this worker runs would wait for it for ever.
        write_durably(kept, name)
    return name
