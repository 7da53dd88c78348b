"""A job's fields as files and tables hold them: paths, prompt, settings."""

from __future__ import annotations

from jobs.models.adapters import split_name
from jobs.models.model_info import revision_of
from jobs.requests import path_of
from jobs.store.result import Result
from jobs.store.tables import Job


def caption_record(job: Job, text: str, result: Result) -> dict[str, object]:
    """Return the content of an image's JSON file.

    Args:
        job: about the image.
        text: the caption as the other files hold it.
        result: the answer's.
    """
    return {
        "image": path_for_programs(job.source or ""),
        "caption": text,
        "model": split_name(job.model)[0],
        "adapter": split_name(job.model)[1],
        "revision": revision_of(job.model),
        "prompt": prompt_of(job),
        "parameters": settings_of(job),
        "finish_reason": result.finish_reason,
        "quality": result.quality,
        "cached": result.cached,
        "tokens": {
            "prompt": result.prompt_tokens,
            "image": result.image_tokens,
            "completion": result.completion_tokens,
        },
        "seconds": {
            "queue": job.queue_seconds,
            "preprocess": result.preprocess_seconds,
            "prefill": result.prefill_seconds,
            "decode": result.decode_seconds,
        },
        "job": job.id,
    }


def prompt_of(job: Job) -> str:
    """Return the texts of the request, with their roles if there are several."""
    messages = job.parsed_request().messages
    texts = [(message.role, text) for message in messages for text in message.texts]
    return texts[0][1] if len(texts) == 1 else "\n".join(f"{role}: {text}" for role, text in texts)


def settings_of(job: Job) -> dict[str, object]:
    """Return the settings of the answer: its limit, its temperature, and those that differ from the defaults."""
    request = job.parsed_request()
    always = {"max_tokens": request.sampling.max_tokens, "temperature": request.sampling.temperature}
    settings = {**always, **request.sampling.model_dump(mode="json", exclude_defaults=True)}
    if request.response_format is not None:
        settings["response_format"] = request.response_format.model_dump(mode="json", by_alias=True)
    return settings


def shown_path(address: str) -> str:
    """Return the path of a file address, for a terminal: with escapes for bytes that are not UTF-8."""
    return str(path_of(address)) if address.startswith("file:") else address


def path_for_programs(address: str) -> str:
    """Return the path of a file address; the address itself if the path is not UTF-8, which JSON cannot hold."""
    path = shown_path(address)
    try:
        path.encode()
    except UnicodeEncodeError:
        return address
    return path
