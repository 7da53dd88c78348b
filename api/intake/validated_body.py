"""Validation of a body that FastAPI has not validated: one that a dialect has translated, or the body of a batch's line."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

Body = TypeVar("Body", bound=BaseModel)


def validated_body(kind: type[Body], values: dict[str, Any]) -> Body:
    """Return the body, or raise RequestValidationError, as FastAPI does for the body of a request."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        errors = [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        raise RequestValidationError(errors, body=values) from error
