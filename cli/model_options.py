"""Options of the command line made from the fields of a model in `jobs/options`: `max_tokens` becomes `--max-tokens`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import click
from click.core import ParameterSource

from cli.completions import complete_preset
from cli.file_values import TextFile, TomlTables
from jobs.options.fields import kind_of, limits_of, section_of
from jobs.options.from_file import FromFile

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo

M = TypeVar("M", bound="BaseModel")
#: Fields whose values a shell completes.
_COMPLETED = {"preset": complete_preset}


class SectionedOption(click.Option):
    """An option that stands in a section of the help page."""

    def __init__(self, *args: Any, section: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section


class CommaChoice(click.Choice[str]):
    """Several values of a choice, separated by commas."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the values of one use of the option as a tuple."""
        return tuple(super(CommaChoice, self).convert(part.strip(), param, ctx) for part in str(value).split(","))


class SectionedCommand(click.Command):
    """A command whose help page has a section for each group of options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections in the order of their first options; options without a section come last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)) is not None:
                title = param.section if isinstance(param, SectionedOption) else "Options"
                sections.setdefault(title, []).append(record)
        for title in sorted(sections, key=lambda title: title == "Options"):
            with formatter.section(title):
                formatter.write_dl(sections[title])


def model_options(
    model: type[M], *, parameter: str, metavars: Mapping[str, str] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option for each field of a model to a command, which takes the validated model as its argument `parameter`.

    Fields whose option was not typed are left unset in the model.

    A value that the model refuses ends the command with a usage error that names the option. A boolean field becomes
    `--recursive/--no-recursive` unless it is false by default.

    Args:
        model: each of its fields has a description, which is the option's help.
        parameter: name of the command's argument.
        metavars: by field, the placeholder of the option's value in the help.
    """
    metavars = metavars or {}

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_options(*args: Any, **values: Any) -> Any:
            given = {name: values.pop(name) for name in model.model_fields}
            typed = {name: value for name, value in given.items() if _is_typed(name)}
            return command(*args, **{parameter: _validated(model, typed)}, **values)

        for name in reversed(model.model_fields):
            option = _option(
                name, model.model_fields[name], section=section_of(model, name), metavar=metavars.get(name)
            )
            with_options = option(with_options)
        return with_options

    return decorate


def with_values(options: M, **values: Any) -> M:
    """Return the options with more values, validated as typed ones are. Raises click.UsageError."""
    return _validated(type(options), {**options.model_dump(exclude_unset=True), **values})


def _is_typed(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def _validated(model: type[M], typed: dict[str, Any]) -> M:
    from pydantic import ValidationError

    try:
        return model(**typed)
    except ValidationError as error:
        raise click.UsageError(_reason(error)) from error


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    return f"{_flag(str(first['loc'][0]))}: {message}" if first["loc"] else message


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _option(name: str, field: FieldInfo, **shared: Any) -> Callable[[Any], Any]:
    kind, repeated = kind_of(field.annotation)
    default = field.get_default(call_default_factory=True)
    shared |= {"help": field.description, "cls": SectionedOption, "shell_complete": _COMPLETED.get(name)}
    file = next((mark for mark in field.metadata if isinstance(mark, FromFile)), None)
    if file is not None:
        shared |= {"help": f"{field.description}  [default: none]", "metavar": "FILE"}
        file_type = TextFile() if file.tables is None else TomlTables(file.tables)
        return click.option(_flag(name), name, type=file_type, **shared)
    if kind is bool:
        flags = f"{_flag(name)}/--no-{name.replace('_', '-')}" if default is not False else _flag(name)
        return click.option(flags, name, default=default, show_default=bool(default), is_flag=True, **shared)
    if repeated and get_origin(kind) is Literal:
        return _several_choices(name, kind, default, shared)
    if repeated or default is None:
        shared["help"] = f"{field.description}  [default: none]"
    elif isinstance(default, str) and default.isspace():
        shared |= {"default": default, "help": f'{field.description}  [default: "{default}"]'}
    else:
        shared |= {"default": default, "show_default": True}
    return click.option(_flag(name), name, multiple=repeated, type=_click_type(kind, field), **shared)


def _several_choices(name: str, kind: Any, default: tuple[str, ...], shared: dict[str, Any]) -> Callable[[Any], Any]:
    """Make an option that takes `a,b` as well as two uses with one value each."""
    values = get_args(kind)
    shared |= {"type": CommaChoice(values), "metavar": f"[{'|'.join(values)}],…", "multiple": True, "default": default}
    shared["callback"] = lambda _ctx, _option, given: tuple(itertools.chain.from_iterable(given))
    return click.option(_flag(name), name, show_default=True, **shared)


def _click_type(kind: Any, field: FieldInfo) -> Any:
    if get_origin(kind) is Literal:
        return click.Choice(get_args(kind))
    limits = limits_of(field)
    if kind is int and limits:
        return click.IntRange(limits.get("ge"), limits.get("le"))
    if kind is float and limits:
        least, most = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
        return click.FloatRange(least, most, min_open="gt" in limits, max_open="lt" in limits)
    return kind
