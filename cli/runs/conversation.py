"""`captionq ask` about some images: each question is a job of the interactive lane, and its answer is printed as it comes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence

import click
from redis.exceptions import RedisError

from cli.exit_status import ALL_CAPTIONED, INTERRUPTED, SOME_FAILED
from cli.output.job_fields import as_json as job_as_json
from cli.output.job_fields import reason_of
from cli.runs.processes.services import Services
from jobs.answer_format.response_format import AnswerFormat
from jobs.configuration.settings import Settings
from jobs.creation.cancel import cancel
from jobs.creation.create import Creation, create
from jobs.options.ask_options import AskOptions
from jobs.queue.events import Event, read
from jobs.queue.growing_text import DivergedError, GrowingText
from jobs.requests import ImagePart, ImageURL, Message, Request, TextPart
from jobs.safe_text import safe_json, safe_text
from jobs.store.store import Store
from jobs.store.tables import OPEN, Job, JobStatus, Lane

#: Seconds to wait for the next event of a job, before its row and the worker are checked.
EVENT_WAIT = 0.5
#: Seconds to wait while the broker is away.
AWAY_PAUSE = 0.5


class Conversation:
    """Questions about the same images, each with the turns before it."""

    def __init__(
        self,
        images: Sequence[str],
        model: str,
        options: AskOptions,
        response_format: AnswerFormat | None,
        *,
        settings: Settings,
        store: Store,
        running: Services,
        as_json: bool,
    ) -> None:
        """Begin a conversation.

        Args:
            images: addresses of the images, in the order in which the model reads them.
            as_json: print an object for each answer, not its text.
        """
        self._images = images
        self._model = model
        self._options = options
        self._response_format = response_format
        self._settings = settings
        self._store = store
        self._running = running
        self._as_json = as_json
        self._turns: list[Message] = []

    def ask(self, question: str) -> bool:
        """Ask a question, print the answer, and keep both for the next question. Returns False if there is no answer.

        Raises KeyboardInterrupt after the job was cancelled.
        """
        asked = self._message(question)
        job = self._job([*self._turns, asked])
        try:
            # Within the block: Ctrl-C may come when the job has just been stored.
            create(Creation([job]), store=self._store, connection=self._running.connection, settings=self._settings)
            ended = self._follow(job)
        except BaseException:
            cancel([job.id], store=self._store, connection=None if self._running.is_away else self._running.connection)
            raise
        if ended.status != JobStatus.SUCCEEDED:
            return False
        self._turns += [asked, Message(role="assistant", content=ended.text or "")]
        return True

    def _message(self, question: str) -> Message:
        if self._turns:
            return Message(role="user", content=question)
        parts = [ImagePart(image_url=ImageURL(url=image, detail=self._options.detail)) for image in self._images]
        return Message(role="user", content=[*parts, TextPart(text=question)])

    def _job(self, messages: list[Message]) -> Job:
        request = Request(
            model=self._model,
            messages=messages,
            sampling=self._options.sampling,
            response_format=self._response_format,
            cache=self._options.cache,
            max_pixels=self._options.max_pixels,
            near_duplicates=self._options.near_duplicates,
        )
        return Job(
            lane=Lane.INTERACTIVE,
            model=self._model,
            request=request.model_dump_json(),
            digest=request.digest,
            source=self._images[0],
            streamed=True,
        )

    def _follow(self, job: Job) -> Job:
        """Print the text of a job as it grows, until the job has ended."""
        printed = _PrintedText(silent=self._as_json)
        for event in self._events(job):
            if event.name == "tokens":
                printed.add(event)
        ended = self._store.job(job.id)
        if self._as_json:
            click.echo(safe_json(job_as_json(ended)))
        elif ended.status == JobStatus.SUCCEEDED:
            printed.complete(ended.text or "")
        else:
            printed.end_line()
        if ended.status != JobStatus.SUCCEEDED:
            click.echo(f"Error: {safe_text(reason_of(ended))}", err=True)
        elif ended.finish_reason == "length":
            click.echo(
                f"The answer was cut off at {ended.completion_tokens} tokens: allow more with --max-tokens.", err=True
            )
        return ended

    def _events(self, job: Job) -> Iterator[Event]:
        """Yield the events of a job until it has ended. The row decides; events may be lost."""
        last = "0"
        while True:
            self._running.ensure()
            try:
                events = read(self._running.connection, job.id, last, wait=EVENT_WAIT)
            except RedisError:
                time.sleep(AWAY_PAUSE)
                events = []
            yield from events
            last = events[-1].id if events else last
            is_end = any(event.name == "ended" for event in events)
            if (is_end or not events) and self._store.statuses([job.id])[job.id] not in OPEN:
                return


class _PrintedText:
    """An answer on standard output. Control characters are written as escapes."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._text = GrowingText()

    def add(self, event: Event) -> None:
        """Print the text of an event if it is new."""
        if self._text.add(event.data["text"], event.data["at"], event.data["attempt"]):
            self._print_new()

    def complete(self, text: str) -> None:
        """Print the rest of the whole text. A text that differs from the printed one follows below it."""
        try:
            self._text.complete(text)
        except DivergedError:
            self._print_anew(text)
            return
        self._print_new()
        self.end_line()

    def end_line(self) -> None:
        """End the line that holds text."""
        if self._text.sent and not self._text.sent.endswith("\n"):
            click.echo()

    def _print_new(self) -> None:
        try:
            new = self._text.take()
        except DivergedError:
            # The worker died, and its second answer is another one: `complete` prints it.
            return
        if not self._silent:
            click.echo(safe_text(new, lines=True), nl=False)
            sys.stdout.flush()

    def _print_anew(self, text: str) -> None:
        self.end_line()
        click.echo("The worker died and began again. The answer:", err=True)
        click.echo(safe_text(text, lines=True))


def ask_once(conversation: Conversation, question: str) -> int:
    """Ask one question. Returns the exit status."""
    try:
        return ALL_CAPTIONED if conversation.ask(question) else SOME_FAILED
    except KeyboardInterrupt:
        click.echo("\nStopped. The question is cancelled.", err=True)
        return INTERRUPTED


def chat(conversation: Conversation, first: str | None) -> int:
    """Ask the questions of a person, or of the lines of standard input, until its end. Returns the exit status.

    Ctrl-C cancels the answer that is being printed; the conversation goes on.
    """
    status = ALL_CAPTIONED
    interactive = sys.stdin.isatty()
    for question in _questions(first, interactive=interactive):
        try:
            if not conversation.ask(question):
                status = SOME_FAILED
        except KeyboardInterrupt:
            if not interactive:
                raise
            click.echo("\nCancelled. Ctrl-D ends the conversation.", err=True)
    return status


def _questions(first: str | None, *, interactive: bool) -> Iterator[str]:
    if first is not None:
        yield first
    if not interactive:
        for line in sys.stdin:
            if line.strip():
                yield line.strip()
        return
    # Gives `input` its line editing and its history.
    import readline  # noqa: F401

    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            click.echo()
            return
        if line:
            yield line
