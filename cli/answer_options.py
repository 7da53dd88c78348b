"""Options that say what an answer may be, for every command that asks something."""

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

_OPTIONS = (
    click.option(
        "--max-tokens", type=click.IntRange(1, MAX_TOKENS), default=256, show_default=True, help="The longest answer."
    ),
    click.option(
        "--temperature",
        type=click.FloatRange(0, 2),
        default=0.0,
        show_default=True,
        help="0: always the likeliest word; more: more varied.",
    ),
    click.option(
        "--top-p",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        show_default=True,
        help="Draw from the likeliest words that have this share together.",
    ),
    click.option("--seed", type=click.IntRange(0), help="Makes a varied answer repeatable.  [default: none]"),
    click.option(
        "--stop", multiple=True, metavar="TEXT", help="End before this; may be given four times.  [default: none]"
    ),
    click.option(
        "--json-schema",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file with a JSON schema: each answer is JSON that follows it, in one line.  [default: free text]",
    ),
)


@dataclass(frozen=True)
class AnswerOptions:
    """What was typed. Its properties raise click.UsageError for what no option's type can tell."""

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
        """What the answer has to look like. None: free text."""
        if self.json_schema is None:
            return None
        from pydantic import ValidationError

        from jobs.response_format import JSONSchemaFormat

        try:
            schema = json.loads(self.json_schema.read_bytes())
            return JSONSchemaFormat.model_validate({"json_schema": {"name": "answer", "schema": schema}})
        except ValidationError as error:
            raise click.UsageError(f"{self.json_schema}: {_first_reason(error)}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise click.UsageError(f"{self.json_schema} cannot be read as JSON: {error}.") from error


def answer_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the command all of them, as its argument `answer`."""

    @functools.wraps(command)
    def with_answer(*args: Any, **options: Any) -> Any:
        typed = {name: options.pop(name) for name in AnswerOptions.__dataclass_fields__}
        return command(*args, answer=AnswerOptions(**typed), **options)

    for option in reversed(_OPTIONS):
        with_answer = option(with_answer)
    return with_answer


def _first_reason(error: ValidationError) -> str:
    return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
