"""Imports of the libraries that load models: seconds, spent beside the worker's other preparations."""

from __future__ import annotations

import os
import threading

from jobs.configuration.settings import Settings
from worker.models.transformers_index import keep_index


class LibraryImports:
    """Imports on a thread of their own. An error is left to the import where a model is loaded, which names the model."""

    def __init__(self, settings: Settings) -> None:
        """Begin to import. The calling module must have imported its own modules."""
        limit_buffers(settings)
        keep_index()
        self._thread = threading.Thread(target=_import, name="library-imports", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the libraries are imported."""
        self._thread.join()


def limit_buffers(settings: Settings) -> None:
    """Tell mlx how many operations a command buffer of Metal takes. mlx reads the variable once, before its first computation."""
    if settings.metal_ops_per_buffer is not None:
        os.environ["MLX_MAX_OPS_PER_BUFFER"] = str(settings.metal_ops_per_buffer)


def _import() -> None:
    import mlx_vlm.utils  # noqa: F401
