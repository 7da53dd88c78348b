"""The text of a followed job, put together from events that may come twice, be lost, or belong to another attempt."""

from __future__ import annotations

from jobs.errors import CaptionqError


class DivergedError(CaptionqError):
    """The worker restarted, and its second answer differs from the text already sent. Ask again, or set a seed."""

    code = "restarted"
    status = 502


class GrowingText:
    """Text of a job that a client follows by events, while several attempts may generate it."""

    def __init__(self) -> None:
        self.sent = ""
        self.attempt = 0
        #: The text of the running attempt so far.
        self._text = ""
        #: Whether a part of this attempt's text was lost: the rest comes with the row.
        self._has_gap = False

    @property
    def is_sent(self) -> bool:
        """Whether the client has exactly this attempt's text."""
        return self._text == self.sent

    def add(self, text: str, at: int, attempt: int) -> bool:
        """Add a piece of an attempt's text. Returns False for a piece that came before, or after a gap."""
        if attempt > self.attempt:
            # The text is the same again, unless it is sampled without a seed.
            self.attempt, self._text, self._has_gap = attempt, "", False
        if attempt < self.attempt or self._has_gap or at < len(self._text):
            # Events may come twice.
            return False
        if at > len(self._text):
            self._has_gap = True
            return False
        self._text += text
        return True

    def complete(self, text: str) -> None:
        """Take the whole text of the row. Raises DivergedError."""
        if not text.startswith(self.sent):
            raise DivergedError
        self._text = text

    def take(self) -> str:
        """Return the text that is new to the client. Raises DivergedError."""
        shorter = min(len(self._text), len(self.sent))
        if self._text[:shorter] != self.sent[:shorter]:
            raise DivergedError
        new = self._text[len(self.sent) :]
        self.sent += new
        return new
