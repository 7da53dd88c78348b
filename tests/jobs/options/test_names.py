"""Names within the models of options, which share one namespace when they are combined."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

import jobs.options.ask_options
import jobs.options.caption_options  # noqa: F401  # all models of options are defined now
from jobs.answer_format.response_format import Part

#: Names that each model may have: its section on the help page.
SHARED = {"SECTION"}


def models(base: type[BaseModel] = Part) -> Iterator[type[BaseModel]]:
    """Yield all models of options, and those that combine them."""
    for model in base.__subclasses__():
        if model.__module__.startswith(("jobs.options.", "api.schemas.folder")):
            yield model
        yield from models(model)


def names_of(model: type[BaseModel]) -> set[str]:
    """Return the names that a model itself defines: fields, properties, methods and validators."""
    own = {
        name
        for name in vars(model)
        if not name.startswith(("__", "_abc_", "model_")) and name not in BaseModel.__dict__
    }
    return (own | set(inspect.get_annotations(model))) - SHARED


def validators_of(model: type[BaseModel]) -> set[str]:
    """Return the names of a model's validators, its bases' included."""
    decorators = model.__pydantic_decorators__
    return {*decorators.field_validators, *decorators.model_validators}


def clashes(model: type[BaseModel]) -> list[str]:
    """Name what a combined model loses: a name of one base that another base hides, a field, or a validator.

    A subclass may define a field again as a field, and a property again as a property.
    """
    found: list[str] = []
    bases = [base for base in model.__mro__ if issubclass(base, Part) and base is not Part]
    for at, upper in enumerate(bases):
        for lower in bases[at + 1 :]:
            for name in names_of(upper) & names_of(lower):
                fields = {name in inspect.get_annotations(one) for one in (upper, lower)}
                refined = issubclass(upper, lower) and len(fields) == 1 and name not in validators_of(upper)
                if not refined:
                    found.append(f"{model.__name__}: {upper.__name__}.{name} hides {lower.__name__}.{name}")
    return found


def test_no_option_model_hides_a_name_of_another() -> None:
    """A validator of the same name would replace the other one silently, and a property would hide a field."""
    assert [clash for model in models() for clash in clashes(model)] == []


@pytest.mark.parametrize("name", ["_check_limit", "limit"])
def test_a_clash_is_found(name: str) -> None:
    """Of two unrelated models, and of a property with a field."""
    one = type("One", (Part,), {"_check_limit": lambda self: None, "__annotations__": {"limit": int}})
    other = type("Other", (Part,), {name: property(lambda self: 1)})
    combined = type("Combined", (other, one), {})
    assert clashes(combined) == [f"Combined: Other.{name} hides One.{name}"]
