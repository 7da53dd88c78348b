"""The quality gate of folder runs: a flawed answer is asked for again with changed settings, a bounded number of times.

The answer of the last attempt is kept, flawed or not. A chat completion returns whatever the model said.
"""

from __future__ import annotations

from dataclasses import replace

from jobs.captions.wording.asked_language import is_in_wrong_language
from jobs.creation.changed_question import changed_question
from jobs.requests import Request
from jobs.store.result import Result
from jobs.store.tables import Job
from worker.pipeline.answer_cache import mended_key


def checked(job: Job, result: Result) -> Result:
    """Return the result; if it writes a file in another language than was asked for, with that as its quality."""
    if job.output is None or result.quality is not None:
        return result
    prompt = "\n".join(text for message in job.parsed_request().messages for text in message.texts)
    return replace(result, quality="wrong_language") if is_in_wrong_language(result.text, prompt) else result


def has_gate(job: Job) -> bool:
    """Whether flawed answers of the job are asked for again."""
    return job.output is not None and job.parsed_delivery().quality_retries > 0


def under_first_question(job: Job, result: Result) -> Result:
    """Return the result; if changed settings gave it, with the key under which the first question of the job finds it again."""
    if job.quality_retries == 0 or job.cache_key is None:
        return result
    return replace(result, cache_key=mended_key(job.cache_key))


def next_question(job: Job, result: Result) -> Request | None:
    """Return the question that is asked next because of a flawed answer; None: the answer is the job's last.

    Only jobs that write a file pass the gate. An answer that an earlier attempt kept, because its file could not be written, has
    passed the gate already.
    """
    if result.quality is None or job.output is None or job.finish_reason is not None:
        return None
    if job.quality_retries >= job.parsed_delivery().quality_retries:
        return None
    return changed_question(job.parsed_request(), result.quality, result.completion_tokens)
