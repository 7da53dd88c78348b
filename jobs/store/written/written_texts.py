"""The texts that jobs wrote to files, as their rows tell."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.options.delivery import DeliveryOptions
from jobs.store.tables import OPEN, JobStatus


@dataclass(frozen=True)
class WrittenText:
    """Text that a job wrote to its file, or was about to write when its worker died."""

    digest: str
    status: str
    #: The model's answer.
    answer: str
    #: SHA-256 of the whole file; None: an older version wrote the answer.
    output_after: str | None
    #: The new text, if it is not the answer.
    output_text: str | None
    #: The file's content before.
    previous_text: bytes | None
    delivery: str | None

    @property
    def joined(self) -> bool:
        """Whether the text was added to the text that was there."""
        return self.delivery is not None and DeliveryOptions.model_validate_json(self.delivery).joins

    @property
    def addition(self) -> str:
        """The new text, without a text that it was added to."""
        return self.answer if self.output_text is None else self.output_text

    @property
    def succeeded(self) -> bool:
        """Whether the file was written, and the job has ended."""
        return self.status == JobStatus.SUCCEEDED

    @property
    def open(self) -> bool:
        """Whether the job may still write its file."""
        return self.status in OPEN
