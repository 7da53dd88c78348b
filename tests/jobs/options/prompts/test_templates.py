"""Templates: their fields, and values that look like fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.options.composition import CompositionOptions
from jobs.options.prompts.templates import (
    TEXT_FIELDS,
    check_template,
    fields_of,
    fill,
    fill_known,
    fill_prompt,
    prompt_fields,
)


@given(st.text(), st.text())
def test_a_value_is_never_searched_for_fields(caption: str, name: str) -> None:
    """A file called {caption}.png keeps its name."""
    assert fill("{name}: {caption} {{x}}", {"name": name, "caption": caption}) == f"{name}: {caption} {{x}}"


@given(st.text(), st.text())
def test_known_values_leave_a_template_of_the_rest(caption: str, name: str) -> None:
    """Filling in two steps gives the same text."""
    template = "{name}: {caption} {{x}}"
    partly = fill_known(template, {"name": name})
    assert fields_of(partly) == {"caption"}
    assert fill(partly, {"caption": caption}) == fill(template, {"name": name, "caption": caption})


@pytest.mark.parametrize(
    "template", ["{nothing}", "{caption.__class__}", "{caption!r}", "{caption:>9}", "{0}", "{}", "{caption[0]}"]
)
def test_only_known_fields_are_fields(template: str) -> None:
    """Attributes, formats and positions are refused by name."""
    with pytest.raises(ValueError, match="is not a field"):
        check_template(template, TEXT_FIELDS)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"template": "{trigger}"}, "has no {caption}"),
        ({"template": "{caption"}, "expected '}'"),
        ({"template": "{trigger}, {caption}"}, "go together"),
        ({"template": "{caption}", "trigger": "ohwx"}, "go together"),
        ({"force": True}, "force goes with"),
    ],
)
def test_options_that_would_lose_words_are_refused(options: dict[str, object], reason: str) -> None:
    """The reason names the option at fault."""
    with pytest.raises(ValidationError, match=reason):
        CompositionOptions.model_validate(options)


def test_fields_are_found() -> None:
    """Doubled braces hold none."""
    assert fields_of("{name} {{stem}} {date}") == {"name", "date"}


def test_a_prompt_may_hold_braces_of_its_own() -> None:
    """Only the names of fields are replaced."""
    prompt = 'Answer as {"people": [...]} about {name}, {stem} and {other}.'
    assert prompt_fields(prompt) == {"name", "stem"}
    filled = fill_prompt(prompt, {"name": "{stem}.jpg", "stem": "{stem}"})
    assert filled == 'Answer as {"people": [...]} about {stem}.jpg, {stem} and {other}.'
