"""The feature cache of one model: features of images that a later run or a later worker finds on the disk."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
from collections import Counter, deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from worker.features import feature_files
from worker.features.packing import DamagedError, NotPackedError, as_bytes, pack, unpack

logger = logging.getLogger("captionq.features")

#: Bytes of features that may wait to be written. If the disk is slower than the model, images beyond are not kept.
_WAITING_BYTES = 256_000_000
#: Files written until the folder is counted again: another worker may write there, too.
_COUNTED_EVERY = 64
#: Bytes of the disk that are left to others.
_LEFT_FREE = 1_000_000_000


class FeatureCache:
    """Features by image key, in files. To be used from the thread that generates; a thread of its own writes.

    Several workers may use one folder: a file is complete or not there, and each of them may remove any.
    """

    def __init__(self, folder: Path, budget: int, fingerprint: str) -> None:
        """Args:
        folder: The folder of the features of all models.
        budget: Bytes that these may take.
        fingerprint: Equal only for the same weights and libraries; a name for a folder.
        """
        self._folder = folder
        self._budget = budget
        self._own = folder / fingerprint
        #: Events by kind: images `read`, `written`, `damaged`, and `left_out` because of their size or of the disk.
        self._counts: Counter[str] = Counter(read=0, written=0, damaged=0, left_out=0)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="features")
        #: What is being written, the oldest first, with its bytes. Used by the thread that generates only.
        self._writing: deque[tuple[Future[None], int]] = deque()
        self._lock = threading.Lock()
        #: Bytes of all files, as far as this process knows. Used by the writer's thread only.
        self._held = 0
        self._says_faults = True
        self._writer.submit(self._count)

    @property
    def counts(self) -> Mapping[str, int]:
        """Images `read`, `written`, `damaged` and `left_out` since the model was loaded."""
        with self._lock:
            return dict(self._counts)

    def __contains__(self, key: bytes) -> bool:
        return self._path(key).exists()

    def get(self, key: bytes) -> Any | None:
        """Return the features of an image; None: they are not here, or their file was damaged and is removed."""
        path = self._path(key)
        try:
            features = unpack(path.read_bytes(), self._name(path))
            os.utime(path)
        except FileNotFoundError:
            return None
        except (DamagedError, OSError) as error:
            self._note("damaged")
            logger.warning("Image features in %s are not used: %s", path, error)
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        self._note("read")
        return features

    def put(self, key: bytes, features: Any) -> None:
        """Keep evaluated features, in a moment; not those of a form that cannot be kept."""
        if key in self:
            return
        try:
            form, arrays = pack(features)
        except NotPackedError:
            self._note("left_out")
            return
        size = sum(array.nbytes for array in arrays.values())
        if size > self._budget or self._waiting_bytes() + size > _WAITING_BYTES:
            self._note("left_out")
            return
        self._writing.append((self._writer.submit(self._write, self._path(key), form, arrays), size))

    def close(self) -> None:
        """Wait until everything is written."""
        self._writer.shutdown()
        self._waiting_bytes()

    def _path(self, key: bytes) -> Path:
        name = hashlib.blake2b(key, digest_size=16).hexdigest()
        return self._own / f"{name}{feature_files.ENDING}"

    def _name(self, path: Path) -> str:
        return f"{self._own.name}/{path.name}"

    def _note(self, kind: str) -> None:
        with self._lock:
            self._counts[kind] += 1

    def _waiting_bytes(self) -> int:
        """Return the bytes that wait to be written."""
        while self._writing and self._writing[0][0].done():
            if (error := self._writing.popleft()[0].exception()) is not None:
                logger.error("Image features could not be written: %s", error)
        return sum(size for _, size in self._writing)

    def _count(self) -> None:
        with suppress(OSError):
            self._held = feature_files.shrink(self._folder, self._budget)

    def _write(self, path: Path, form: dict[str, Any], arrays: dict[str, Any]) -> None:
        data = as_bytes(form, arrays, self._name(path))
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if shutil.disk_usage(self._folder).free - len(data) < _LEFT_FREE:
                self._leave_out(f"the disk has less than {_LEFT_FREE / 1e9:.0f} GB left")
                return
            feature_files.write(path, data)
        except OSError as error:
            self._leave_out(str(error.strerror or error))
            return
        self._says_faults = True
        self._note("written")
        self._held += len(data)
        if self._held > self._budget or self._counts["written"] % _COUNTED_EVERY == 0:
            self._count()

    def _leave_out(self, reason: str) -> None:
        self._note("left_out")
        if self._says_faults:
            logger.warning("Image features are not kept in %s: %s.", self._folder, reason)
        self._says_faults = False
