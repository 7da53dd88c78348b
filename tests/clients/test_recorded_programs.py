"""Programs that cannot be installed here find their text in the field that they read."""

from __future__ import annotations

import base64
import json

import pytest

from tests.acceptance.test_chat import png
from tests.clients.recorded_programs import PROGRAMS
from tests.support.scenes import Drawn
from tests.support.serving import Served

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_finds_the_text_where_it_reads(served: Served, drawn: Drawn, program: str) -> None:
    """The status is 200, and the text is the picture's caption, or JSON by the program's schema."""
    recorded = PROGRAMS[program]
    response = served.client.post(recorded.path, json=recorded.body(base64.b64encode(png(drawn)).decode()))
    assert response.status_code == 200, response.text
    text = recorded.read(response)
    if recorded.typed:
        assert set(json.loads(text)) == {"tags"}
    else:
        assert text == drawn.caption


def test_the_probes_of_programs_are_answered(served: Served) -> None:
    """They look for a list of models, a version or a sign of life before they ask."""
    for path in ("/api/tags", "/api/version", "/api/ps", "/readyz", "/health", "/v1/models"):
        assert served.client.get(path).status_code == 200, path
    shown = served.client.post("/api/show", json={"name": "demo", "verbose": True})
    assert shown.json()["details"]["format"] == "safetensors"


def test_a_program_is_told_which_parameters_were_ignored(served: Served) -> None:
    """Options of other engines do not stop an answer, and none is dropped silently."""
    body = {"model": "demo-text", "prompt": "Hello", "stream": False, "options": {"num_ctx": 1, "num_predict": 1}}
    response = served.client.post("/api/generate", json=body)
    assert response.headers["x-captionq-ignored"] == "options.num_ctx"
    asked = {"model": "demo-text", "input": "Hello", "max_output_tokens": 1, "reasoning": {"effort": "high"}}
    assert served.client.post("/v1/responses", json=asked).headers["x-captionq-ignored"] == "reasoning"
