"""The options that a job needs when it has its answer: how the answer becomes a text, and which files hold it."""

from __future__ import annotations

from typing import Self

from jobs.options.composition import CompositionOptions
from jobs.options.outputs import OutputOptions


class DeliveryOptions(OutputOptions, CompositionOptions):
    """The part of a run's options that is stored with each job."""

    @classmethod
    def of(cls, options: CompositionOptions | None) -> Self:
        """Take the delivery's part of a run's options; None: the defaults."""
        if options is None:
            return cls()
        return cls(**{name: getattr(options, name) for name in cls.model_fields if hasattr(options, name)})

    @property
    def stored(self) -> str | None:
        """JSON of the options that differ from the defaults; None: none does.

        Whether a text that is there is skipped or replaced was decided when the job was queued.
        """
        decided = {"force"} if self.joins else {"force", "existing", "separator"}
        text = self.model_dump_json(exclude_defaults=True, exclude=decided)
        return None if text == "{}" else text
