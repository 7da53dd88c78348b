"""The answers of a run that look wrong: their number, the reasons, and the way to a review."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cli.output.job_fields import name_of
from cli.output.plurals import counted
from jobs.store.tables import Job, JobStatus

#: Most doubtful answers that the summary lists.
SHOWN_ANSWERS = 20
#: Most names of images whose answers were cut off.
SHOWN_NAMES = 3
CUT_OFF = "cut_off"
#: The reason in words, by the `quality` of a job.
REASONS = {
    "empty": "its answer is empty",
    "repetition": "its answer repeats itself",
    "refusal": "the model refuses to answer",
    "wrong_language": "its answer is in another language than was asked for",
    "truncated_image": "the image is truncated, its last rows may be missing",
}


class DoubtfulAnswers:
    """The answers that look wrong, and those of failed jobs."""

    def __init__(self) -> None:
        #: Number of answers by quality, and the first jobs of each.
        self._doubts: Counter[str] = Counter()
        self._doubtful: list[Job] = []
        self._cut_off: list[str] = []
        #: By batch, the number of answers that a person should look at.
        self._to_review: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Number of answers of succeeded jobs that look wrong."""
        return self._doubts.total()

    def count(self, job: Job) -> None:
        """Count a job that has ended, if its answer looks wrong or could not be used."""
        flaw = job.quality if job.status == JobStatus.SUCCEEDED else None
        has_answer = job.status == JobStatus.FAILED and job.finish_reason is not None
        if job.batch_id is not None and (flaw is not None or has_answer):
            self._to_review[job.batch_id] += 1
        if flaw is None:
            return
        self._doubts[flaw] += 1
        if flaw == CUT_OFF:
            self._cut_off += [name_of(job)] if len(self._cut_off) < SHOWN_NAMES else []
        elif len(self._doubtful) < SHOWN_ANSWERS:
            self._doubtful.append(job)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the summary."""
        if cut_off := self._doubts[CUT_OFF]:
            names = ", ".join(self._cut_off) + (", …" if cut_off > len(self._cut_off) else "")
            were = "was" if cut_off == 1 else "were"
            yield f"{counted(cut_off, 'answer')} {were} cut off ({names}): allow more with --max-tokens"
        for job in self._doubtful:
            yield f"  {name_of(job)}: {REASONS.get(job.quality or '', job.quality)}"
        if (more := self.total - cut_off - len(self._doubtful)) > 0:
            yield f"  and {more} more whose answers look wrong"
        for batch_id, count in self._to_review.items():
            yield f"{counted(count, 'answer')} {'needs' if count == 1 else 'need'} review: captionq review {batch_id}"
