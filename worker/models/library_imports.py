"""Imports of the libraries that load models: seconds, spent beside the worker's other preparations."""

from __future__ import annotations

import threading

from worker.models.transformers_index import keep_index


class LibraryImports:
    """Imports on a thread of their own. An error is left to the import where a model is loaded, which names the model."""

    def __init__(self) -> None:
        """Begin to import. The calling module must have imported its own modules."""
        keep_index()
        self._thread = threading.Thread(target=_import, name="library-imports", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the libraries are imported."""
        self._thread.join()


def _import() -> None:
    import mlx_vlm.utils  # noqa: F401
