"""The form of a new run: the fields as they were typed, and the body that they stand for."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, unquote

from pydantic import ValidationError
from starlette.datastructures import FormData

from api.pages.start.option_fields import OptionField, option_fields
from api.schemas.folder import FolderBody, FolderOptions
from jobs.errors import InvalidRequestError

#: Pydantic's complaints, by their types, in the words of the page.
_WORDS = {
    "too_short": "Choose at least one.",
    "greater_than_equal": "Must be {ge} or more.",
    "greater_than": "Must be more than {gt}.",
    "less_than_equal": "Must be {le} or less.",
    "less_than": "Must be less than {lt}.",
    "int_type": "Must be a whole number.",
    "float_type": "Must be a number.",
}
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class StartForm:
    """A form as a browser sent it, or a new one."""

    #: The values of the options by their names, as they were typed.
    typed: Mapping[str, list[str]]
    #: Whether the pictures are uploaded; else they lie in the served folder.
    is_upload: bool = True
    #: The path of the served folder; empty: none is chosen.
    folder: str = ""
    #: The id of the tray into which this form uploads.
    tray: str = field(default_factory=lambda: secrets.token_hex(16))
    #: Marks all sendings of one form: with the same choices they make one run.
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    @classmethod
    def new(cls, folder: str = "", *, is_upload: bool = True) -> Self:
        """Return a form that nobody has filled in."""
        return cls({one.name: one.shown for one in option_fields().values()}, is_upload, folder)

    @classmethod
    def of(cls, data: FormData) -> Self:
        """Read a form that was sent. Raises InvalidRequestError."""
        texts = [(name, value) for name, value in data.multi_items() if isinstance(value, str)]
        typed: dict[str, list[str]] = {name: [] for name in option_fields()}
        for name, value in texts:
            if name in typed:
                typed[name].append(value)
        others = dict(texts)
        tray, token = others.get("tray", ""), others.get("token", "")
        if not (_TOKEN.fullmatch(tray) and _TOKEN.fullmatch(token)):
            raise InvalidRequestError("The form is incomplete. Load the page again.")
        return cls(typed, others.get("source") != "folder", unquote(others.get("folder", "")), tray, token)

    @property
    def quoted_folder(self) -> str:
        """The folder as a field of a form holds it: a browser would change the line ends of a name."""
        return quote(self.folder)

    def body(self) -> FolderBody | FolderOptions:
        """Return the options of the run. Raises ValidationError, InvalidRequestError."""
        if not self.is_upload and not self.folder:
            raise InvalidRequestError("Choose a folder first.")
        kind = FolderOptions if self.is_upload else FolderBody
        values = {}
        for one in option_fields().values():
            if one.name in kind.model_fields and (value := one.value(self.typed[one.name])) is not None:
                values[one.name] = value
        if not self.is_upload:
            values["path"] = self.folder
        # As JSON, of which the body's types are: a half of a character, which no JSON has, is refused like any wrong value.
        return kind.model_validate_json(json.dumps(values))

    def key(self, body: FolderOptions) -> str:
        """Return the `Idempotency-Key` of the run: sent twice, the form makes one run; with other choices, another."""
        asked = f"{self.token} {self.tray if self.is_upload else ''} {body.model_dump_json()}"
        return hashlib.sha256(asked.encode(errors="replace")).hexdigest()

    def is_changed(self, one: OptionField) -> bool:
        """Return whether an option was typed that is not its default."""
        return self.typed[one.name] != one.shown


def wrong_options(error: ValidationError) -> dict[str, str]:
    """Return a sentence for each option that its model refused; by an empty name, for options that do not go together."""
    found: dict[str, str] = {}
    for one in error.errors(include_url=False):
        name = str(one["loc"][0]) if one["loc"] else ""
        words = _WORDS.get(one["type"])
        said = one["msg"].removeprefix("Value error, ") if words is None else words.format(**_whole(one.get("ctx", {})))
        found.setdefault(name, said if said.endswith(".") else f"{said}.")
    return found


def _whole(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Write 1.0 as 1."""
    return {
        name: int(limit) if isinstance(limit, float) and limit.is_integer() else limit for name, limit in limits.items()
    }


def in_words(wrong: Mapping[str, str]) -> str:
    """Return the refusals of options as one text, each with the label of its field."""
    fields = option_fields()
    labels = {name: f"{fields[name].label}: " if name in fields else "" for name in wrong}
    return " ".join(f"{labels[name]}{said}" for name, said in wrong.items())
