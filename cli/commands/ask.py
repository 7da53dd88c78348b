"""`captionq ask`: a question about images, a conversation, or a table of questions about folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.model_options import SectionedCommand, model_options
from cli.options import METAVARS, format_option, json_schema_option, model_option, read_response_format
from cli.typed_path import OutputFile, TypedPath
from jobs.options.ask_options import AskOptions
from jobs.options.prompts.typed_question import MAX_QUESTIONS, TypedQuestion

_ADDRESSES = ("http://", "https://")


class _QuestionType(click.ParamType[TypedQuestion]):
    """A question of a table as a person types it."""

    name = "name=question:type"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TypedQuestion:
        from pydantic import ValidationError

        if isinstance(value, TypedQuestion):
            return value
        try:
            return TypedQuestion.parse(value)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            self.fail(f"{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}", param, ctx)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(cls=SectionedCommand)
@click.argument("words", metavar="IMAGE... [QUESTION]", nargs=-1, required=True)
@click.option(
    "-q",
    "--question",
    "questions",
    multiple=True,
    type=_QuestionType(),
    metavar="NAME=QUESTION:TYPE",
    help="Ask this about every image and put the answers into a column; may be repeated. Types: int, number, bool, text, "
    "or words to choose from, such as photo|drawing.  [default: none]",
)
@click.option(
    "--schema",
    type=TypedPath(exists=True, dir_okay=False),
    help="Ask for one JSON object about every image that follows this JSON schema; each of its values is a column.  "
    "[default: none]",
)
@click.option(
    "-o",
    "--output",
    type=OutputFile(),
    help="File of the table: .csv, .jsonl or .parquet.  [default: standard output]",
)
@click.option("--chat", is_flag=True, help="Keep the images and go on asking; Ctrl-D ends.")
@model_option
@model_options(AskOptions, parameter="options", metavars=METAVARS)
@json_schema_option
@format_option("json: one object for each answer, or for each row of a table.")
@click.pass_context
def ask(
    ctx: click.Context,
    words: tuple[str, ...],
    questions: tuple[TypedQuestion, ...],
    schema: Path | None,
    output: Path | None,
    chat: bool,
    model: str | None,
    options: AskOptions,
    json_schema: Path | None,
    output_format: str,
) -> None:
    """Answer a question about images, or many questions about folders.

    The answer is printed as it is generated. The worker that is started for it stays for a while, so that the next question is
    answered at once; captionq stop ends it. With -q or --schema, IMAGE may be a folder, and the answers become a table.

    \b
    Examples:
      captionq ask photo.heic "How many people are there?"
      captionq ask before.jpg after.jpg "What has changed?" --chat
      captionq ask ~/Pictures -q people="How many people?":int -o people.csv
      captionq ask ~/Pictures -q kind="What is it?":'photo|drawing' -o kinds.csv
    """
    from cli.named_paths import named_model
    from jobs.configuration.read_settings import read_settings

    settings = read_settings()
    name = named_model(model or settings.model, options.adapter)
    as_json = output_format == "json"
    if questions or schema is not None:
        _check_table(questions, schema, output, json_schema, chat=chat)
        ctx.exit(_ask_table(words, questions, schema, output, options, name, settings, as_json=as_json))
    if output is not None:
        raise click.UsageError("-o goes with -q or --schema: it names the file of a table.")
    images, question = _split(words, chat=chat)
    response_format = read_response_format(json_schema)
    ctx.exit(_converse(images, question, options, name, response_format, settings, as_json=as_json, chat=chat))


def _check_table(
    questions: tuple[TypedQuestion, ...],
    schema: Path | None,
    output: Path | None,
    json_schema: Path | None,
    *,
    chat: bool,
) -> None:
    """Raise click.UsageError for options that do not go together."""
    from jobs.captions.outputs.answer_table import FORMATS
    from jobs.captions.outputs.tables import check_parquet
    from jobs.options.prompts.typed_question import check_names

    if chat or json_schema is not None:
        raise click.UsageError(f"{'--chat' if chat else '--json-schema'} does not go with a table (-q or --schema).")
    if questions and schema is not None:
        raise click.UsageError("Give either -q or --schema, not both.")
    if len(questions) > MAX_QUESTIONS:
        raise click.UsageError(
            f"-q: {len(questions)} questions are more than the {MAX_QUESTIONS} that a table may have."
        )
    try:
        check_names(questions)
    except ValueError as error:
        raise click.UsageError(f"-q: {error}") from error
    if output is not None and output.suffix.lower() not in FORMATS:
        raise click.UsageError(f"-o: {output} is no table. Name a file that ends with .csv, .jsonl or .parquet.")
    if output is not None and output.suffix.lower() == ".parquet":
        check_parquet()


def _ask_table(
    words: tuple[str, ...],
    questions: tuple[TypedQuestion, ...],
    schema: Path | None,
    output: Path | None,
    options: AskOptions,
    model: str,
    settings: Any,
    *,
    as_json: bool,
) -> int:
    from cli.runs.model_check import check_model
    from cli.runs.table_run import TableRun
    from jobs.creation.question import Question

    paths = [_path(word) for word in words]
    others = options.model_dump(include={"cache", "near_duplicates", "max_pixels", "detail"})
    base = Question(model, JSON_PROMPT, options.sampling, read_response_format(schema), others=others)
    asked = [base.of_column(question) for question in questions] or [base]
    check_model(model, lambda message: click.echo(message, err=True))
    return TableRun(settings, asked, options, output, as_json=as_json).ask(paths)


def _converse(
    images: list[str],
    question: str | None,
    options: AskOptions,
    model: str,
    response_format: Any,
    settings: Any,
    *,
    as_json: bool,
    chat: bool,
) -> int:
    from cli.runs import conversation
    from cli.runs.model_check import check_model
    from cli.runs.processes.services import services
    from jobs.store.store import Store

    check_model(model, lambda message: click.echo(message, err=True))
    store = Store(settings)
    try:
        with services(settings, lingers=True) as running:
            talk = conversation.Conversation(
                images,
                model,
                options,
                response_format,
                settings=settings,
                store=store,
                running=running,
                as_json=as_json,
            )
            if chat:
                return conversation.chat(talk, question)
            assert question is not None
            return conversation.ask_once(talk, question)
    finally:
        store.close()


#: The prompt of a table whose columns a schema names.
JSON_PROMPT = "Describe this image as JSON."


def _split(words: tuple[str, ...], *, chat: bool) -> tuple[list[str], str | None]:
    """Return the addresses of the images, and the question. Raises click.UsageError."""
    *first, last = words
    is_image = last.startswith(_ADDRESSES) or Path(last).exists()
    if is_image and not chat:
        raise click.UsageError(f'The question is missing: captionq ask {" ".join(words)} "What is this?"')
    named = [*first, last] if is_image else first
    if not named:
        raise click.UsageError(f'The images are missing: captionq ask photo.jpg "{last}"')
    return [_address(word) for word in named], None if is_image else last


def _address(word: str) -> str:
    from jobs.requests import address_of

    if word.startswith(_ADDRESSES):
        return word
    path = _path(word)
    if path.is_dir():
        raise click.UsageError(f"{word} is a folder. Ask about each of its images with -q, or name the images.")
    return address_of(path.absolute())


def _path(word: str) -> Path:
    from cli.named_paths import named_path

    return named_path(TypedPath().convert(word, None, None))
