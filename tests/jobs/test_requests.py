"""Requests: validated once, equal when they ask the same."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.answer_format.response_format import JSONObjectFormat
from jobs.requests import Message, Request, path_of
from jobs.sampling import Sampling


def ask(path: Path = Path("/a.jpg"), prompt: str = "Describe this image.", **sampling: Any) -> Request:
    """Make a question about one image."""
    return Request.about_image(path, model="demo", prompt=prompt, sampling=Sampling(**sampling))


def test_a_request_survives_the_way_through_its_row() -> None:
    """As JSON and back, the request is the same."""
    request = ask(temperature=0.5, seed=7)
    assert Request.model_validate_json(request.model_dump_json()) == request


@pytest.mark.parametrize(
    "other",
    [
        ask(Path("/b.jpg")),
        ask(prompt="What is this?"),
        ask(max_tokens=9),
        ask(temperature=0.1),
        ask(stop="."),
        ask(repetition_penalty=1.1),
        ask(presence_penalty=1),
        ask(frequency_penalty=1),
        ask(logit_bias={1: 2.0}),
        ask(logprobs=True),
        ask().model_copy(update={"response_format": JSONObjectFormat()}),
    ],
)
def test_requests_that_differ_have_different_digests(other: Request) -> None:
    """The digest tells whether a queued job asks the same as a new one."""
    assert ask().digest == ask().digest
    assert other.digest != ask().digest


@pytest.mark.parametrize("name", ["plain.jpg", "two words.jpg", "münchen.jpg", "100%.jpg", "a#b?.jpg", "bad\udcff.jpg"])
def test_every_file_name_survives_as_an_address(name: str) -> None:
    """Also a name that is not valid UTF-8."""
    path = Path("/pictures") / name
    assert path_of(ask(path).images[0].url) == path


def test_the_order_of_text_and_images_is_kept() -> None:
    """Clients put the text before the image as often as after the image."""
    message = Message.model_validate(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "before"},
                {"type": "image_url", "image_url": "data:image/png;base64,AA=="},
                {"type": "text", "text": "after"},
            ],
        }
    )
    assert not isinstance(message.content, str)
    assert [part.type for part in message.content] == ["text", "image_url", "text"]


@pytest.mark.parametrize(
    "sampling",
    [
        {"max_tokens": 0},
        {"max_tokens": -1},
        {"max_tokens": 10**9},
        {"temperature": -0.1},
        {"temperature": 2.5},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"seed": -1},
        {"stop": ""},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"stop": "x" * 257},
        {"repetition_penalty": 0},
        {"repetition_penalty": float("inf")},
        {"presence_penalty": 2.1},
        {"frequency_penalty": -2.1},
        {"logit_bias": {"1": 101}},
        {"logit_bias": {"-1": 1}},
        {"logit_bias": {"word": 1}},
        {"logit_bias": dict.fromkeys(range(1025), 1.0)},
        {"top_logprobs": 1},
        {"logprobs": True, "top_logprobs": 21},
    ],
)
def test_sampling_outside_its_limits_is_refused(sampling: dict[str, Any]) -> None:
    """−1 hangs other servers for good, and 10⁹ runs on after the client has left."""
    with pytest.raises(ValidationError):
        Sampling.model_validate(sampling)


def test_a_misspelt_field_is_refused() -> None:
    """Silently ignored, the field would give another answer than the client asked for."""
    with pytest.raises(ValidationError, match="temprature"):
        Sampling.model_validate({"temprature": 0.5})


def test_a_row_of_the_first_version_still_parses_and_keeps_its_digest() -> None:
    """After an update of captionq, a run still recognises the jobs that it queued before."""
    row = (
        '{"model":"demo","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///a.jpg",'
        '"detail":"auto"}},{"type":"text","text":"Describe this image."}]}],"sampling":{"max_tokens":256,'
        '"temperature":0.0,"top_p":1.0,"top_k":0,"min_p":0.0,"seed":null}}'
    )
    assert Request.model_validate_json(row) == ask()
    assert ask().digest == hashlib.sha256(row.encode()).hexdigest()[:16]


def test_openais_spellings_are_taken() -> None:
    """A bare stop string, and ids as the keys of a JSON object."""
    sampling = Sampling.model_validate({"stop": ".", "logit_bias": {"17": -100, "4": 3}})
    assert sampling.stop == (".",)
    assert sampling.logit_bias == {4: 3.0, 17: -100.0}


def test_the_order_of_biases_and_biases_of_nothing_make_no_difference() -> None:
    """Equal requests have equal digests."""
    assert ask(logit_bias={2: 1.0, 1: 3.0, 9: 0.0}).digest == ask(logit_bias={1: 3.0, 2: 1.0}).digest
    assert ask(logit_bias={9: 0.0}).digest == ask().digest
