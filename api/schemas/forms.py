"""Forms: unknown fields are refused by their names, as in JSON bodies."""

from __future__ import annotations

from fastapi.exceptions import RequestValidationError
from starlette.datastructures import FormData, UploadFile

#: Most fields of a form that are not files.
MAX_FORM_FIELDS = 10


def check_form(form: FormData, *, files: str, texts: tuple[str, ...]) -> None:
    """Check that files are parts named `files`, and every other part is a text named in `texts`, given once.

    Raises RequestValidationError.
    """
    seen: set[str] = set()
    for name, value in form.multi_items():
        if name != files and name not in texts:
            raise _refusal("extra_forbidden", name, "")
        if isinstance(value, UploadFile) != (name == files):
            raise _refusal(
                "value_error", name, "Must be a file with a name" if name == files else "Must be a text, not a file"
            )
        if name in seen and name != files:
            raise _refusal("value_error", name, "Given twice")
        seen.add(name)


def _refusal(kind: str, name: str, words: str) -> RequestValidationError:
    return RequestValidationError(
        [{"type": kind, "loc": ("body", name), "msg": words, "input": None}], body={name: None}
    )
