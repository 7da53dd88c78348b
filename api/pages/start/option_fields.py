"""The fields of the form, made from the models of a run's options: a new option has its field by itself."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from api.schemas.folder import FolderOptions
from jobs.errors import InvalidRequestError
from jobs.options.caption_options import CaptionOptions
from jobs.options.fields import kind_of, limits_of, section_of
from jobs.options.from_file import FromFile

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

#: The options that stand open, in their order. All others are folded.
MAIN = ("preset", "model", "prompt", "language", "max_words", "existing", "output")
#: Names on the page of options whose own names tell too little beside a field.
_LABELS = {"max_words": "Most words", "existing": "Existing texts", "output": "Files beside each picture"}
#: Words of the page in place of descriptions that speak of commands and addresses.
_HELP = {
    "preset": "A ready-made prompt, with the options that suit it.",
    "model": "",
    "prompt": "Your own words, in place of the preset's.",
    "prompts": "Several prompts as TOML, [[prompts]] with prompt and weight, of which each picture gets one.",
    "max_pixels": "Scale each picture down to this many pixels: fewer are faster.",
}
#: Options of text that may have several lines.
_LONG = ("prompt", "system", "template")
#: Words for the values of a switch that may be left open.
_SWITCH = {"": "By the preset", "yes": "Yes", "no": "No"}
Kind = Literal["text", "area", "lines", "tables", "number", "flag", "switch", "choice", "choices"]


@dataclass(frozen=True)
class OptionField:
    """A field of the form."""

    name: str
    label: str
    help: str
    kind: Kind
    section: str
    #: The value of an option that was not set, as the option's model has it.
    default: Any
    #: Values of a choice, with their words.
    choices: Mapping[str, str]
    least: float | None
    most: float | None
    is_whole: bool
    #: Whether only runs over served folders have the option.
    served_only: bool
    #: The key of the tables in a TOML text.
    tables: str | None = None

    @property
    def shown(self) -> list[str]:
        """The values of a form that nobody has filled in."""
        if self.kind == "flag":
            return ["yes"] if self.default else []
        if self.kind == "choices":
            return list(self.default)
        if self.default is None or isinstance(self.default, tuple):
            return [""]
        return [f"{self.default:g}" if isinstance(self.default, float) else str(self.default)]

    def value(self, typed: Sequence[str]) -> Any:
        """Return the option's value as JSON has it, from the form's; None: the default. Raises InvalidRequestError."""
        if not typed and self.kind not in ("flag", "choices"):
            return None
        value = self._value([one.replace("\r\n", "\n") for one in typed])
        return None if value == self.default or value == self._as_list(self.default) else value

    def _value(self, typed: Sequence[str]) -> Any:
        one = typed[0] if typed else ""
        match self.kind:
            case "flag":
                return bool(typed)
            case "choices":
                return list(typed)
            case "switch":
                return {"yes": True, "no": False}.get(one)
            case "lines":
                return [line for line in map(str.strip, one.split("\n")) if line]
            case "number":
                return self._number(one.strip())
            case "tables":
                return self._read_tables(one)
        # The space at the end of a prefix counts. Of a text that is none by default, nothing is left of spaces.
        return one if isinstance(self.default, str) else one.strip("\n") if one.strip() else self.default

    def _number(self, text: str) -> Any:
        if not text:
            return self.default
        try:
            return int(text) if self.is_whole else float(text)
        except ValueError:
            # The option's model refuses the text in its own words.
            return text

    def _read_tables(self, text: str) -> Any:
        if not text.strip():
            return self.default
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidRequestError(f"{self.label} is not valid TOML: {error}.") from None
        tables = content.pop(self.tables or "", None)
        if content or not isinstance(tables, list):
            raise InvalidRequestError(f"{self.label} must have [[{self.tables}]] tables and nothing else.")
        return tables

    @staticmethod
    def _as_list(value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value


@cache
def option_fields() -> dict[str, OptionField]:
    """Return the fields of all options by their names, in the order of the options."""
    return {name: _field(name, field) for name, field in CaptionOptions.model_fields.items()} | {
        "model": _model_field()
    }


def _field(name: str, field: FieldInfo) -> OptionField:
    kind, repeated = kind_of(field.annotation)
    limits = limits_of(field)
    file = next((mark for mark in field.metadata if isinstance(mark, FromFile)), None)
    default = field.get_default(call_default_factory=True)
    choices = {value: value for value in get_args(kind)} if get_origin(kind) is Literal else {}
    return OptionField(
        name=name,
        label=_LABELS.get(name, name.replace("_", " ").capitalize()),
        help=_HELP.get(name, field.description or ""),
        kind=_kind(name, kind, default, file, repeated=repeated),
        section=section_of(CaptionOptions, name),
        default=default,
        choices=choices if kind is not bool or default is not None else _SWITCH,
        least=limits.get("ge", limits.get("gt")),
        most=limits.get("le"),
        is_whole=kind is int,
        served_only=name not in FolderOptions.model_fields,
        tables=None if file is None else file.tables,
    )


def _kind(name: str, kind: Any, default: Any, file: FromFile | None, *, repeated: bool) -> Kind:
    if file is not None:
        return "area" if file.tables is None else "tables"
    if kind is bool:
        return "switch" if default is None else "flag"
    if get_origin(kind) is Literal:
        return "choices" if repeated else "choice"
    if repeated:
        return "lines"
    if kind in (int, float):
        return "number"
    return "area" if name in _LONG else "text"


def _model_field() -> OptionField:
    """Return the field of the model, which is an option of every command and not of these models."""
    return OptionField("model", "Model", _HELP["model"], "choice", "Prompt", None, {}, None, None, False, False)
