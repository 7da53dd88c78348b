"""Validation of a batch's file, before any line becomes a job. Bodies are checked later, line by line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from jobs.batches.lines import LineError, LineFlaw, LineRequest, parse_line, read_lines
from jobs.errors import ModelError
from jobs.models.model_info import public_name

#: Maximum number of flaws that are collected.
MAX_FLAWS = 100

#: Function that returns the model of a body's `model`. Raises ModelError.
ResolveModel = Callable[[str | None], str]


@dataclass(frozen=True)
class FileLimits:
    """Limits of one file."""

    lines: int
    #: In bytes.
    longest_line: int


@dataclass(frozen=True)
class CheckedFile:
    """A file whose lines have all been parsed."""

    #: Number of requests.
    total: int
    #: The model of all requests; None: no body has a valid one.
    model: str | None
    #: Empty: the file is valid.
    flaws: tuple[LineFlaw, ...]


def check_file(file: BinaryIO, endpoint: str, limits: FileLimits, resolve: ResolveModel) -> CheckedFile:
    """Check every line of a file. Memory does not grow with the texts of the file."""
    checker = _Checker(resolve)
    for line in read_lines(file, longest=limits.longest_line):
        checker.total += 1
        if checker.total > limits.lines:
            words = f"The file has more than {limits.lines} requests (CAPTIONQ_MAX_BATCH_LINES). Send it in parts."
            return CheckedFile(0, None, (LineFlaw("too_many_requests", words),))
        try:
            checker.check(parse_line(line, endpoint))
        except LineError as error:
            checker.flaws.append(error.at(line.number))
            if len(checker.flaws) == MAX_FLAWS:
                break
    if not checker.total:
        checker.flaws.append(LineFlaw("empty_file", "The file has no requests."))
    return CheckedFile(checker.total, checker.model, tuple(checker.flaws))


class _Checker:
    """Checks of a request beside the requests before it."""

    def __init__(self, resolve: ResolveModel) -> None:
        self._resolve = resolve
        self._seen: set[bytes] = set()
        self.total = 0
        self.model: str | None = None
        self.flaws: list[LineFlaw] = []

    def check(self, request: LineRequest) -> None:
        digest = hashlib.blake2b(request.custom_id.encode(), digest_size=16).digest()
        if digest in self._seen:
            raise LineError(
                "duplicate_custom_id",
                f"The custom_id '{request.custom_id[:100]}' stands on an earlier line too. It must be unique in the batch.",
                "custom_id",
            )
        self._seen.add(digest)
        self._check_model(request.body.get("model"))

    def _check_model(self, name: Any) -> None:
        if not isinstance(name, str | None):
            # A flaw of the body, which is answered on its line.
            return
        try:
            model = self._resolve(name)
        except ModelError as error:
            raise LineError(error.code, error.message, "body.model") from None
        self.model = self.model or model
        if model != self.model:
            raise LineError(
                "mismatched_model",
                f"The model '{public_name(model)}' is not that of the lines before ('{public_name(self.model)}'). "
                "A batch has one model: send a file for each.",
                "body.model",
            )
