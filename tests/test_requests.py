"""Requests: validated once, equal when they ask the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.requests import Message, Request, Sampling, path_of


def ask(path: Path = Path("/a.jpg"), prompt: str = "Describe this image.", **sampling: float) -> Request:
    """A question about one image."""
    return Request.about_image(path, model="demo", prompt=prompt, sampling=Sampling(**sampling))


def test_a_request_survives_the_way_through_its_row() -> None:
    """As JSON and back it is the same request."""
    request = ask(temperature=0.5, seed=7)
    assert Request.model_validate_json(request.model_dump_json()) == request


@pytest.mark.parametrize(
    "other", [ask(Path("/b.jpg")), ask(prompt="What is this?"), ask(max_tokens=9), ask(temperature=0.1)]
)
def test_requests_that_differ_have_different_digests(other: Request) -> None:
    """The digest tells whether a queued job asks the same as a new one."""
    assert ask().digest == ask().digest
    assert other.digest != ask().digest


@pytest.mark.parametrize("name", ["plain.jpg", "two words.jpg", "münchen.jpg", "100%.jpg", "a#b?.jpg", "bad\udcff.jpg"])
def test_every_file_name_survives_as_an_address(name: str) -> None:
    """Names that are no valid UTF-8 too."""
    path = Path("/pictures") / name
    assert path_of(ask(path).images[0].url) == path


def test_the_order_of_text_and_images_is_kept() -> None:
    """Clients put the text before the image as often as after it."""
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
    ],
)
def test_sampling_outside_its_limits_is_refused(sampling: dict[str, float]) -> None:
    """−1 hangs other servers for good, and 10⁹ runs on after the client has left."""
    with pytest.raises(ValidationError):
        Sampling.model_validate(sampling)


def test_a_misspelt_field_is_refused() -> None:
    """Ignored silently it would give another answer than was asked for."""
    with pytest.raises(ValidationError, match="temprature"):
        Sampling.model_validate({"temprature": 0.5})
