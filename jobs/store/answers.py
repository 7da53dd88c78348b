"""The answers of a row: one, or several sampled ones (`n`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from jobs.store.tables import Job
from jobs.tools import MAX_CALLS, ToolCall, calls_of


@dataclass(frozen=True)
class Answer:
    """One answer to a request."""

    text: str
    #: `stop` or `length`.
    finish_reason: str | None
    reasoning: str | None = None
    #: The calls of functions: `[{"name", "arguments"}, …]`.
    tool_calls: list[dict[str, str]] | None = None
    #: In OpenAI's shape; None: the request did not ask for them.
    logprobs: list[dict[str, Any]] | None = None
    #: The id of the job, and the number of the answer, from 0.
    job_id: str = ""
    number: int = 0

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The calls of functions, with ids that no other answer of the job has."""
        return calls_of(self.tool_calls, self.job_id, first=self.number * MAX_CALLS)


#: The fields of an answer that results and rows hold.
STORED = ("text", "finish_reason", "reasoning", "tool_calls", "logprobs")


def answers_of(job: Job) -> list[Answer]:
    """Return the answers of a job that has any, the row's own first."""
    first = Answer(
        text=job.text or "",
        finish_reason=job.finish_reason,
        reasoning=job.reasoning,
        tool_calls=_loaded(job.tool_calls),
        logprobs=_loaded(job.logprobs),
        job_id=job.id,
    )
    others = _loaded(job.choices) or []
    return [first, *(Answer(**one, job_id=job.id, number=number) for number, one in enumerate(others, start=1))]


def _loaded(stored: str | None) -> Any:
    return None if stored is None else json.loads(stored)
