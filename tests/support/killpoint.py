"""A worker that kills itself at its Nth write to Redis, before or after the bytes leave.

python tests/support/killpoint.py DATA_DIR N before|after
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from redis.connection import AbstractConnection

from jobs.configuration.settings import Settings
from worker import service


def main() -> None:
    """Work until the lanes are empty or the write is reached; print the number of writes if the lanes are empty first."""
    folder, point, moment = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    send: Any = AbstractConnection.send_packed_command
    writes = 0

    def counted(self: AbstractConnection, *arguments: Any, **options: Any) -> Any:
        nonlocal writes
        # Other threads only listen: their writes are not part of processing a job.
        if threading.current_thread() is not threading.main_thread():
            return send(self, *arguments, **options)
        writes += 1
        if writes == point and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        sent = send(self, *arguments, **options)
        if writes == point and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return sent

    AbstractConnection.send_packed_command = counted  # type: ignore[method-assign]
    service.run(Settings(data_dir=folder), burst=True)
    print(writes)  # noqa: T201  (its only result)


if __name__ == "__main__":
    main()
