"""Options for the files that a run writes."""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

from pydantic import Field, field_validator

from jobs.answer_format.response_format import Part

FileKind = Literal["txt", "json", "xmp"]
#: Presets whose answers are lists of keywords.
KEYWORD_PRESETS = frozenset({"tags", "booru"})


class OutputOptions(Part):
    """Options that choose the files of a run."""

    SECTION: ClassVar[str] = "Outputs"

    output: tuple[FileKind, ...] = Field(
        default=("txt",),
        min_length=1,
        max_length=len(get_args(FileKind)),
        description=(
            "Files beside each image: txt, json (with model, prompt, tokens and times), xmp (a sidecar for photo programs, in "
            "which everything else stays)."
        ),
    )
    keywords: bool = Field(
        default=False,
        description=(
            "In xmp and with embed: write the answer as keywords, split at commas, not as the description. The presets tags and "
            "booru do so anyway."
        ),
    )
    embed: bool = Field(
        default=False,
        description=(
            "Also write the caption into the image file (IPTC and XMP), with exiftool. The file as it was stays beside it as "
            "photo.jpg_original."
        ),
    )

    @field_validator("output")
    @classmethod
    def _put_in_order(cls, value: tuple[FileKind, ...]) -> tuple[FileKind, ...]:
        # Equal choices have equal digests.
        return tuple(kind for kind in get_args(FileKind) if kind in value)

    @property
    def writes_text(self) -> bool:
        """Whether each image gets a text file."""
        return "txt" in self.output

    @property
    def writes_metadata(self) -> bool:
        """Whether captions go where photo programs keep descriptions and keywords."""
        return self.embed or "xmp" in self.output
