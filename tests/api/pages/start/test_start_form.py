"""The form of a new run: a field for each option, and from what was typed to the body."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from starlette.datastructures import FormData

from api.pages.start.option_fields import MAIN, option_fields
from api.pages.start.start_form import StartForm, in_words, wrong_options
from api.schemas.folder import FolderBody, FolderOptions
from jobs.errors import InvalidRequestError
from jobs.options.caption_options import CaptionOptions

_TOKENS = [("tray", "0" * 32), ("token", "1" * 32)]


def form_of(*typed: tuple[str, str], folder: str = "/pictures") -> StartForm:
    """Return the form as a browser sends it, with these fields in the place of new ones."""
    changed = {name for name, _ in typed}
    new = StartForm.new().typed
    untouched = [(name, value) for name, values in new.items() if name not in changed for value in values]
    source = [("source", "folder"), ("folder", folder)] if folder else [("source", "upload")]
    return StartForm.of(FormData([*_TOKENS, *source, *untouched, *typed]))


def test_every_option_of_a_caption_run_has_a_field_with_its_limits() -> None:
    """A new option appears by itself. The main options exist."""
    fields = option_fields()
    assert set(fields) == {*CaptionOptions.model_fields, "model"}
    assert set(MAIN) <= set(fields)
    temperature = fields["temperature"]
    assert (temperature.kind, temperature.least, temperature.most, temperature.shown) == ("number", 0, 2, ["0"])
    assert [name for name, one in fields.items() if one.served_only][:2] == ["include", "exclude"]
    assert not fields["language"].served_only


@pytest.mark.parametrize("folder", ["/pictures", ""])
def test_an_untouched_form_sets_no_option(folder: str) -> None:
    """So presets keep their own options, and a run has the digest of the same request by other clients."""
    body = form_of(folder=folder).body()
    assert type(body) is (FolderBody if folder else FolderOptions)
    assert body.model_fields_set == ({"path"} if folder else set())


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ([("prompt", "One\r\ntwo")], {"prompt": "One\ntwo"}),
        ([("prefix", "a photo of ")], {"prefix": "a photo of "}),
        ([("separator", "")], {"separator": ""}),
        ([("max_words", " 12 "), ("temperature", "0.5")], {"max_words": 12, "temperature": 0.5}),
        ([("include", "*.jpg\r\n\r\n b/ ")], {"include": ("*.jpg", "b/")}),
        ([("output", "xmp"), ("output", "txt")], {"output": ("txt", "xmp")}),
        ([("strip_openers", "no")], {"strip_openers": False}),
        ([("force", "yes"), ("existing", "replace")], {"force": True, "existing": "replace"}),
        ([("vocabulary", "Animals\n\tDog\n\tCat")], {"vocabulary": ("Animals|Dog", "Animals|Cat")}),
        ([("prompts", '[[prompts]]\nprompt = "Say a colour."\nweight = 2')], {}),
    ],
)
def test_what_is_typed_becomes_the_value_of_the_option(typed: list[tuple[str, str]], values: dict[str, Any]) -> None:
    """Lines, numbers, choices and switches are read; a text that is empty by default stays unset."""
    body = form_of(*typed).body()
    assert body.model_fields_set == {"path", *(name for name, _ in typed)}
    assert {name: getattr(body, name) for name in values} == values


def test_an_empty_checkbox_turns_a_default_off() -> None:
    """A browser sends nothing for it."""
    data = [(name, value) for name, values in StartForm.new().typed.items() for value in values if name != "recursive"]
    form = StartForm.of(FormData([*_TOKENS, ("source", "folder"), ("folder", "/pictures"), *data]))
    body = form.body()
    assert isinstance(body, FolderBody)
    assert body.recursive is False


def test_refused_options_are_named_by_their_labels() -> None:
    """Each has a sentence, and one text tells all of them."""
    with pytest.raises(ValidationError) as caught:
        form_of(("max_words", "many"), ("top_p", "7"), ("limit", "0")).body()
    wrong = wrong_options(caught.value)
    assert wrong == {
        "limit": "Must be 1 or more.",
        "max_words": "Must be a whole number.",
        "top_p": "Must be 1 or less.",
    }
    assert in_words({"top_p": "Must be 1 or less.", "": "Other."}) == "Top p: Must be 1 or less. Other."
    with pytest.raises(InvalidRequestError, match="Prompts is not valid TOML"):
        form_of(("prompts", "x")).body()


def test_a_form_keeps_its_key_until_a_choice_changes() -> None:
    """The key also depends on the tray, and on the form that was opened."""
    form = form_of(("prompt", "One"))
    key = form.key(form.body())
    again, other = form_of(("prompt", "One")), form_of(("prompt", "Two"))
    assert again.key(again.body()) == key
    assert other.key(other.body()) != key
    opened = StartForm(form.typed, form.is_upload, form.folder, form.tray, "2" * 32)
    assert opened.key(opened.body()) != key


@pytest.mark.parametrize("left_out", ["tray", "token"])
def test_a_form_without_its_marks_is_refused(left_out: str) -> None:
    """Without them nothing would keep a repeated form from making a second run."""
    data = [(name, value) for name, value in _TOKENS if name != left_out]
    with pytest.raises(InvalidRequestError, match="Load the page again"):
        StartForm.of(FormData([*data, (left_out, "../..")]))
