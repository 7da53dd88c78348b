"""A person's decisions about an answer: the text of its file is edited, or its image is asked about again."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.captions.outputs.edited_outputs import write_edit_beside
from jobs.captions.text_files import check_place, decode_text, is_blank, read_output, shown, text_bytes, write_output
from jobs.captions.wording.composition import joined
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
    """Write an edited text into the job's files and its row. The row keeps the model's text.

    The text file comes last: if another file is in the way, the text stays as it is.

    Raises:
        OutputChangedError: the file has changed since the text was shown, and stays as it is.
        OutputError, ForbiddenError: the file cannot be written.
    """
    _write(job, edited, text, text, store)
    store.review(job.id, edited_text=text)


def take_edit_back(job: Job, edited: EditedFile, store: Store) -> None:
    """Give the job's files the text that the job wrote, and forget the edit. Raises as `save_edit`."""
    caption = text = job.new_text or ""
    options = job.parsed_delivery()
    if options.joins and job.previous_text is not None and job.output is not None and not is_blank(job.previous_text):
        text = joined(caption, decode_text(job.previous_text, path_of(job.output)), options)
    _write(job, edited, text, caption, store)
    store.drop_edit(job.id)


def _write(job: Job, edited: EditedFile, text: str, caption: str, store: Store) -> None:
    """Write the text file, and the caption into the other files."""
    if job.output is not None:
        write_edit_beside(job, caption, store, WRITER)
    if job.output is not None and (edited.content is not None or job.parsed_delivery().writes_text):
        path, content = path_of(job.output), text_bytes(text)
        check_place(path, job.parsed_roots())
        if content != edited.content and not write_output(path, content, replaces=edited.content, writer=WRITER):
            raise OutputChangedError(f"{shown(path)} was changed meanwhile; it was left as it is.")


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


def asked_otherwise(job: Job, batch: Batch, *, prompt: str | None, model: str) -> Job:
    """Make a job that asks another model, or another question, about the job's images. Its answer is written to no file.

    `prompt`: None: the same question.
    """
    asked = job.parsed_request()
    request = (asked if prompt is None else _with_prompt(asked, prompt)).model_copy(update={"model": model})
    kept = job.model_dump(include={"source", "delivery", "roots"})
    return Job(batch_id=batch.id, model=model, request=request.model_dump_json(), digest=request.digest, **kept)


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
