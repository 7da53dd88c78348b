"""Forms: what no route knows is refused by its name, as in JSON bodies, for nothing is to be ignored in silence."""

from __future__ import annotations

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import FormData, UploadFile

#: Fields of a form that are no files.
MOST_FIELDS = 10


def check_form(form: FormData, *, files: str, texts: tuple[str, ...]) -> None:
    """Files are parts of the one name, texts fields of the others, each once. Raises RequestValidationError."""
    seen: set[str] = set()
    for name, value in form.multi_items():
        if name != files and name not in texts:
            raise _refusal("extra_forbidden", name, "")
        if isinstance(value, UploadFile) != (name == files):
            raise _refusal(
                "value_error", name, "It is a file, with a name" if name == files else "It is a text, not a file"
            )
        if name in seen and name != files:
            raise _refusal("value_error", name, "It is there twice")
        seen.add(name)


def _refusal(kind: str, name: str, words: str) -> RequestValidationError:
    return RequestValidationError(
        [{"type": kind, "loc": ("body", name), "msg": words, "input": None}], body={name: None}
    )
