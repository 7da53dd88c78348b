"""The fields of option models, read by front ends: the type of a value, its limits, and the section it belongs to."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_LIMITS = ("ge", "gt", "le", "lt")


def section_of(model: type[BaseModel], name: str) -> str:
    """Return the SECTION of the class that declares the field."""
    return next(str(vars(base)["SECTION"]) for base in model.__mro__ if name in vars(base).get("__annotations__", {}))


def kind_of(annotation: Any) -> tuple[Any, bool]:
    """Return the type of one value, and whether there may be several."""
    if get_origin(annotation) is Annotated:
        return kind_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return kind_of(next(one for one in get_args(annotation) if one is not type(None)))
    if get_origin(annotation) in (tuple, list):
        return kind_of(get_args(annotation)[0])[0], True
    return annotation, False


def limits_of(field: FieldInfo) -> dict[str, Any]:
    """Return the limits of a number by their names in pydantic: `ge`, `gt`, `le`, `lt`."""
    return {key: getattr(one, key) for one in field.metadata for key in _LIMITS if hasattr(one, key)}
