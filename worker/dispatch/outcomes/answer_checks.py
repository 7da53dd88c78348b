"""Answers that are failures: JSON of another shape than was asked for, and a file's text that would be empty but for thoughts."""

from __future__ import annotations

from dataclasses import replace

from jobs.answer_format.response_format import VocabularyFormat, is_followed
from jobs.errors import InvalidJSONAnswerError, OnlyThoughtsError
from jobs.store.result import Result
from jobs.store.tables import Job


def check_answers(job: Job, result: Result) -> None:
    """Check each of the job's answers; see `check_answer`."""
    check_answer(job, result)
    for other in result.choices or ():
        check_answer(job, replace(result, **other))


def check_answer(job: Job, result: Result) -> None:
    """Check that the job's answer is one.

    Raises:
        InvalidJSONAnswerError: The answer is not the whole JSON that was asked for, or its call of a function is not whole.
        OnlyThoughtsError: The job writes a file, and the answer has thoughts but no text.
    """
    cut_off = result.finish_reason == "length"
    request = job.parsed_request()
    response_format, tools = request.response_format, request.tools
    if result.tool_calls or (tools is not None and tools.required):
        is_whole, asked = bool(result.tool_calls) and not cut_off, "its call of a function"
    else:
        is_whole = is_followed(response_format, result.text)
        asked = "its first keyword" if isinstance(response_format, VocabularyFormat) else "its JSON"
    if not is_whole:
        raise InvalidJSONAnswerError(
            f"The answer was cut off at {result.completion_tokens} tokens before {asked} ended; "
            "allow more (--max-tokens)."
            if cut_off
            else "The answer does not have the format that was asked for. Leave out stop strings that may occur in it."
        )
    if job.output is not None and not result.text and result.reasoning:
        raise OnlyThoughtsError(
            f"The model was still thinking when its answer was cut off at {result.completion_tokens} tokens; "
            "allow more (--max-tokens)."
            if cut_off
            else "The model ended its answer while it was still thinking. Ask again, or use another model."
        )
