"""Questions that a person asks about one picture. Their answers touch neither its caption nor its file."""

from __future__ import annotations

from dataclasses import dataclass

from api.pages.pictures.picture_changes import question_of
from api.pages.run_changes import check_files
from api.runtime.resources import Resources
from api.schemas.job import error_of
from jobs.creation.backpressure import check_room
from jobs.creation.create import queue_jobs
from jobs.errors import InvalidRequestError
from jobs.requests import ImagePart, Message, Request, TextPart
from jobs.safe_text import safe_text
from jobs.sampling import Sampling
from jobs.store.pictures.follow_ups import add_follow_ups, questions_about
from jobs.store.tables import OPEN, Job, JobStatus, Lane


@dataclass(frozen=True)
class QuestionView:
    """A question with its answer, or the reason why there is none."""

    id: str
    question: str
    answer: str
    problem: str | None
    is_open: bool


def ask(job: Job, question: str, resources: Resources) -> Job:
    """Queue an urgent question about the job's picture. Returns its job.

    Raises InvalidRequestError, LaneFullError, ForbiddenError.
    """
    if not question:
        raise InvalidRequestError("Write a question first.")
    check_files([job], resources)
    check_room(resources.store, resources.connection, Lane.INTERACTIVE, 1, resources.settings)
    images = [ImagePart(image_url=image) for image in job.parsed_request().images]
    message = Message(role="user", content=[*images, TextPart(text=question)])
    request = Request(model=job.model, messages=[message], sampling=Sampling())
    asked = Job(
        lane=Lane.INTERACTIVE,
        model=job.model,
        request=request.model_dump_json(),
        digest=request.digest,
        source=job.source,
        roots=job.roots,
        streamed=True,
    )
    queue_jobs([asked], store=resources.store, connection=resources.connection)
    add_follow_ups(resources.store.engine, [(asked, job)])
    return asked


def questions(job: Job, resources: Resources) -> list[QuestionView]:
    """Return the questions about the job's picture with their answers, the oldest first."""
    return [_view(asked) for asked in questions_about(resources.store.engine, job.id)]


def _view(job: Job) -> QuestionView:
    error = error_of(job)
    problem = error.message if error is not None else "Cancelled." if job.status == JobStatus.CANCELLED else None
    return QuestionView(
        id=job.id,
        question=safe_text(question_of(job), lines=True),
        answer=safe_text(job.text or "", lines=True) if job.status == JobStatus.SUCCEEDED else "",
        problem=None if problem is None else safe_text(problem, lines=True),
        is_open=job.status in OPEN,
    )
