"""Kinds of containers: files that hold pictures in a way of their own. An extra of captionq reads each kind."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class ContainerKind:
    """A kind of container, and the extra that reads it."""

    #: The kind in words, in the singular and the plural.
    words: tuple[str, str]
    #: The extra of captionq, and the module that it installs.
    extra: str
    module: str
    extensions: frozenset[str]

    @property
    def is_installed(self) -> bool:
        """Whether the extra is installed."""
        return _is_installed(self.module)


KINDS = {
    "RAW": ContainerKind(
        ("RAW photograph", "RAW photographs"),
        "raw",
        "rawpy",
        frozenset(
            ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mrw .nef .nrw .orf .pef .raf .rw2 .rwl "  # noqa: SIM905
            ".sr2 .srf .srw .x3f".split()
        ),
    ),
    "PDF": ContainerKind(("PDF", "PDFs"), "pdf", "pypdfium2", frozenset([".pdf"])),
    "VIDEO": ContainerKind(
        ("video", "videos"),
        "video",
        "av",
        frozenset([".3gp", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".webm", ".wmv"]),
    ),
}


def kind_of_extension(extension: str) -> str | None:
    """Return the kind of container whose files have this extension."""
    return next((kind for kind, one in KINDS.items() if extension.lower() in one.extensions), None)


@cache
def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
