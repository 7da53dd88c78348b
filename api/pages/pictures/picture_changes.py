"""A person's changes of one caption: edited, taken back, kept, asked for again."""

from __future__ import annotations

from api.pages.run_changes import check_files, dead_runs
from api.runtime.resources import Resources
from jobs.creation.backpressure import check_room
from jobs.creation.retry import expect_current_texts
from jobs.creation.review import EditedFile, asked_again, save_edit, take_edit_back, text_to_edit
from jobs.errors import ConflictError, ForbiddenError, OutputChangedError, OutputError
from jobs.queue.feeding import enqueue
from jobs.store.tables import OPEN, Batch, Job, Lane


def text_in_file(job: Job, resources: Resources) -> tuple[str | None, str | None]:
    """Return the text of the job's file for the form, and the sentence that says why it cannot be edited."""
    if job.status in OPEN:
        return None, None
    try:
        check_files([job], resources)
        return _edited(job).text, None
    except (OutputError, ForbiddenError) as error:
        return None, error.message


def edit(job: Job, text: str, before: str, resources: Resources) -> None:
    """Write the text into the job's file and its row.

    Args:
        before: the text that the form showed.

    Raises OutputChangedError if the file holds another text by now, OutputError, ForbiddenError.
    """
    check_files([job], resources)
    edited = _edited(job)
    if plain_lines(edited.text).rstrip("\n") != plain_lines(before).rstrip("\n"):
        raise OutputChangedError(
            "The caption was changed meanwhile, and stays as it is. Go back, and load the page again."
        )
    save_edit(job, edited, plain_lines(text).rstrip("\n"), resources.store)


def undo_edit(job: Job, resources: Resources) -> None:
    """Give the job's file the model's caption again. Raises ConflictError, OutputChangedError, OutputError, ForbiddenError."""
    if job.edited_text is None or job.new_text is None:
        raise ConflictError("There is no edit to take back.")
    check_files([job], resources)
    edited = _edited(job)
    if edited.text != job.edited_text.rstrip("\n"):
        raise OutputChangedError("The file was changed since the edit, and stays as it is.")
    take_edit_back(job, edited, resources.store)


def keep(job: Job, resources: Resources) -> None:
    """Note that a person finds the caption good. Raises ConflictError."""
    if not resources.store.review(job.id):
        raise ConflictError("The picture has no caption yet.")


def ask_again(job: Job, prompt: str, resources: Resources) -> Job:
    """Queue an urgent job that asks about the picture again. Returns it.

    Args:
        prompt: the question; if it is empty or the same, settings are changed.

    Raises ConflictError if the picture is in work, LaneFullError, ForbiddenError.
    """
    store, connection = resources.store, resources.connection
    if job.status in OPEN:
        raise ConflictError("The picture is being captioned. Wait for its caption first.")
    check_files([job], resources)
    check_room(store, connection, Lane.INTERACTIVE, 1, resources.settings)
    batch = Batch(description=f"review of {job.batch_id or job.id}", model=job.model)
    new = asked_again(job, None if prompt in ("", question_of(job)) else prompt, batch)
    # The page shows the answer as it is being written.
    new.streamed = True
    expect_current_texts([new], store)
    store.add_batch(batch)
    taken = store.take_up([new], batch.id, dead_runs(resources))
    if taken.followed or taken.refused:
        raise ConflictError("Another run is captioning this picture. Wait for its caption first.")
    enqueue(store, connection, Lane(new.lane), taken.queued)
    store.review(job.id)
    return store.job((taken.resumed or [new.id])[0])


def question_of(job: Job) -> str:
    """Return the question about the picture, without the system message."""
    texts = [text for message in job.parsed_request().messages if message.role == "user" for text in message.texts]
    return "\n".join(texts)


def plain_lines(text: str) -> str:
    """Return a text with plain line ends: browsers send all line ends of forms as CRLF, also those that were a CR by itself."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _edited(job: Job) -> EditedFile:
    """Return the text to edit: the file's, or that of a job without a file, which a person may have edited before."""
    edited = text_to_edit(job)
    if edited.content is None and job.edited_text is not None:
        return EditedFile(job.edited_text, None)
    return edited
