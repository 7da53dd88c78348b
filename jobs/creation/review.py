"""A person's decisions about an answer: the text of its file is edited, or its image is asked about again."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.captions.text_files import check_place, read_output, shown, text_bytes, write_output
from jobs.creation.changed_question import changed_question
from jobs.creation.question import digest_with
from jobs.errors import OutputChangedError, OutputOccupiedError
from jobs.requests import ImagePart, Message, Request, TextPart, path_of
from jobs.store.store import Store
from jobs.store.tables import Batch, Job, Lane

#: The name under which reviews make temporary files.
WRITER = "review"


@dataclass(frozen=True)
class EditedFile:
    """The text that a person edits, and the content of the file that holds it; None: no file does."""

    text: str
    content: bytes | None


def text_to_edit(job: Job) -> EditedFile:
    """Return the text of the job's file, or the job's answer if there is no file. Raises OutputError."""
    content = None if job.output is None else read_output(path_of(job.output))
    if content is None:
        return EditedFile(job.text or "", None)
    try:
        return EditedFile(content.decode().rstrip("\n"), content)
    except UnicodeDecodeError as error:
        name = shown(path_of(job.output or ""))
        raise OutputOccupiedError(
            f"{name} is not in UTF-8, so it cannot be edited here. Use your own editor."
        ) from error


def save_edit(job: Job, edited: EditedFile, text: str, store: Store) -> None:
    """Write an edited text into the job's file and its row. The row keeps the model's text.

    Raises:
        OutputChangedError: the file has changed since the text was shown, and stays as it is.
        OutputError, ForbiddenError: the file cannot be written.
    """
    if job.output is not None:
        path, content = path_of(job.output), text_bytes(text)
        check_place(path, job.parsed_roots())
        if content != edited.content and not write_output(path, content, replaces=edited.content, writer=WRITER):
            raise OutputChangedError(f"{shown(path)} was changed meanwhile; it was left as it is.")
    store.review(job.id, edited_text=text)


def asked_again(job: Job, prompt: str | None, batch: Batch) -> Job:
    """Make an urgent job that asks about the job's images again.

    Args:
        job: has an answer.
        prompt: the new question; None: the same one, with changed settings.
        batch: of the new job.
    """
    asked = job.parsed_request()
    request = _changed(job, asked) if prompt is None else _with_prompt(asked, prompt)
    kept = {"model", "source", "output", "output_before", "delivery", "roots"}
    digest = request.digest if job.delivery is None else digest_with(request.digest, job.delivery)
    values = job.model_dump(include=kept)
    return Job(batch_id=batch.id, lane=Lane.INTERACTIVE, request=request.model_dump_json(), digest=digest, **values)


def _changed(job: Job, asked: Request) -> Request:
    changed = changed_question(asked, job.quality, job.completion_tokens or 0) or changed_question(asked, None, 0)
    # Without a flaw, some setting can always be changed.
    assert changed is not None
    return changed


def _with_prompt(asked: Request, prompt: str) -> Request:
    """Return the request with its images, its system message and another question."""
    system = [message for message in asked.messages if message.role == "system"]
    images = [ImagePart(image_url=image) for image in asked.images]
    question = Message(role="user", content=[*images, TextPart(text=prompt)])
    return asked.model_copy(update={"messages": [*system, question]})
