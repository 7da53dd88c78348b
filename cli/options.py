"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.completions import complete_model
from cli.typed_path import TypedPath
from jobs import ages
from jobs.request_defaults import MAX_TOKENS

if TYPE_CHECKING:
    from jobs.answer_format.response_format import JSONSchemaFormat

Decorator = Callable[[Any], Any]
#: Placeholders of values in the help of options that are fields in jobs/options.
METAVARS = {"stop": "TEXT", "include": "PATTERN", "exclude": "PATTERN", "newer_than": "TIME", "limit": "N"}


def age_in_seconds(_ctx: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    """Convert the value of an option, an age such as 30d; None: it was not given. Raises click.BadParameter."""
    if value is None:
        return None
    if (seconds := ages.age_in_seconds(value)) is None:
        raise click.BadParameter(f"{value!r} is not an age. Write hours, days or weeks, such as 12h, 30d or 4w.")
    return seconds


#: --model: any model that can see.
model_option: Decorator = click.option(
    "--model",
    shell_complete=complete_model,
    help="A Hugging Face id, a local folder, or 'demo'.  [default: CAPTIONQ_MODEL or Qwen3-VL-4B]",
)


def _whole_name(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if not value:
        return value
    from jobs.configuration.model_settings import absolute_name

    return absolute_name(value)


#: --model of processes that serve requests: processes that these start have other working folders.
served_model_option: Decorator = click.option(
    "--model",
    metavar="MODEL",
    shell_complete=complete_model,
    callback=_whole_name,
    help="The model of requests that name none.  [default: CAPTIONQ_MODEL or Qwen3-VL-4B]",
)


def format_option(help_text: str = "json: one object per line.") -> Decorator:
    """Make the option --format text|json."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help=help_text,
    )


def max_tokens_option(default: int) -> Decorator:
    """Make the option --max-tokens."""
    return click.option(
        "--max-tokens",
        type=click.IntRange(1, MAX_TOKENS),
        default=default,
        show_default=True,
        help="Most tokens per answer.",
    )


#: --json-schema: a file with the schema of each answer.
json_schema_option: Decorator = click.option(
    "--json-schema",
    type=TypedPath(exists=True, dir_okay=False),
    help="File with a JSON schema; each answer is one line of JSON that follows it. Where the schema says nothing, its "
    "properties are required and no others are allowed.  [default: free text]",
)


def read_response_format(json_schema: Path | None) -> JSONSchemaFormat | None:
    """Read the schema that the answers have to follow; None: free text. Raises click.UsageError."""
    if json_schema is None:
        return None
    from pydantic import ValidationError

    from jobs.answer_format.response_format import JSONSchemaFormat

    try:
        schema = json.loads(json_schema.read_bytes())
        return JSONSchemaFormat.model_validate({"json_schema": {"name": "answer", "schema": schema, "strict": True}})
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise click.UsageError(f"{json_schema}: {reason}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise click.UsageError(f"{json_schema} cannot be read as JSON: {error}.") from error
