"""Options that several commands share."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.request_defaults import MAX_TOKENS

if TYPE_CHECKING:
    from pydantic import ValidationError

    from jobs.requests import Sampling
    from jobs.response_format import JSONSchemaFormat

Decorator = Callable[[Any], Any]

#: --model: any model that can see.
model_option: Decorator = click.option(
    "--model", help="A Hugging Face id, a local folder, or 'demo'.  [default: CAPTIONQ_MODEL or Qwen3-VL-4B]"
)


def format_option(help_text: str = "json: one object a line.") -> Decorator:
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


_ANSWER_OPTIONS = (
    max_tokens_option(256),
    click.option(
        "--temperature",
        type=click.FloatRange(0, 2),
        default=0.0,
        show_default=True,
        help="0: always the most likely token; higher: more varied.",
    ),
    click.option(
        "--top-p",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        show_default=True,
        help="Sample from the most likely tokens whose probabilities add up to this (nucleus sampling).",
    ),
    click.option("--seed", type=click.IntRange(0), help="Make varied answers repeatable.  [default: none]"),
    click.option(
        "--stop",
        multiple=True,
        metavar="TEXT",
        help="End the answer before TEXT; may be given four times.  [default: none]",
    ),
    click.option(
        "--json-schema",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File with a JSON schema; each answer is one line of JSON that follows it. Where the schema says nothing, its "
        "properties are required and no others are allowed.  [default: free text]",
    ),
)


@dataclass(frozen=True)
class AnswerOptions:
    """The answer's options, as typed. The properties raise click.UsageError for values that no option's type refuses."""

    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    json_schema: Path | None

    @property
    def sampling(self) -> Sampling:
        """How the next token is chosen, and when the answer ends."""
        from pydantic import ValidationError

        from jobs.requests import Sampling

        try:
            return Sampling(
                max_tokens=self.max_tokens,
                temperature=self.temperature,
                top_p=self.top_p,
                seed=self.seed,
                stop=self.stop,
            )
        except ValidationError as error:
            option = str(error.errors(include_url=False)[0]["loc"][0]).replace("_", "-")
            raise click.UsageError(f"--{option}: {_first_reason(error)}") from error

    @property
    def response_format(self) -> JSONSchemaFormat | None:
        """The schema that the answer has to follow. None: free text."""
        if self.json_schema is None:
            return None
        from pydantic import ValidationError

        from jobs.response_format import JSONSchemaFormat

        try:
            schema = json.loads(self.json_schema.read_bytes())
            return JSONSchemaFormat.model_validate(
                {"json_schema": {"name": "answer", "schema": schema, "strict": True}}
            )
        except ValidationError as error:
            raise click.UsageError(f"{self.json_schema}: {_first_reason(error)}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise click.UsageError(f"{self.json_schema} cannot be read as JSON: {error}.") from error


def answer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an answer to a command, which takes them as its argument `answer`."""

    @functools.wraps(command)
    def with_answer(*args: Any, **options: Any) -> Any:
        typed = {name: options.pop(name) for name in AnswerOptions.__dataclass_fields__}
        return command(*args, answer=AnswerOptions(**typed), **options)

    for option in reversed(_ANSWER_OPTIONS):
        with_answer = option(with_answer)
    return with_answer


def _first_reason(error: ValidationError) -> str:
    return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
