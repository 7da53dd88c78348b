"""Prompts that are too long: refused before they are queued or tokenised, without delaying other requests."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from api.schemas.chat.chat_request import CompletionBody
from api.schemas.wire import MAX_LIST_ITEMS
from jobs.configuration.settings import Settings
from jobs.errors import ContextLengthError
from jobs.models.prompt_length import TOKEN_CHARACTERS, UNKNOWN_CONTEXT, check_characters, prompt_limit, texts_of
from jobs.requests import Message, Request, TextPart
from jobs.sampling import Sampling
from tests.support.processes import PATIENCE
from worker.engine.sequences import Outcome
from worker.models.backends import TextBackend
from worker.models.text.prompt_limits import PIECE_CHARACTERS, SHORT_TEXT
from worker.pipeline.pipeline import Pipeline

#: The context of the built-in models in tokens.
CONTEXT = 2048


def asking(*texts: str) -> Request:
    """Make a request with the texts as parts of one message."""
    message = Message(role="user", content=[TextPart(text=text) for text in texts])
    return Request(model="demo-text", messages=[message], sampling=Sampling(max_tokens=4))


@pytest.fixture
def pipeline(tmp_path: Path) -> Any:
    """Make a pipeline with the text model."""
    pipeline = Pipeline(Settings(data_dir=tmp_path))
    pipeline.load("demo-text")
    yield pipeline
    pipeline.close()


def backend_of(pipeline: Pipeline) -> TextBackend:
    """Return the pipeline's loaded model."""
    assert pipeline._resident is not None
    backend = pipeline._resident.engine.backend
    assert isinstance(backend, TextBackend)
    return backend


def outcomes(pipeline: Pipeline) -> list[Outcome]:
    """Collect the outcomes of all requests in the pipeline."""
    ended: list[Outcome] = []
    while pipeline.in_flight:
        ended += pipeline.step()
    return ended


def test_the_smaller_limit_holds(settings: Settings) -> None:
    """The smaller of the model's limit and the operator's holds; without either there still is a limit."""
    small = settings.model_copy(update={"max_prompt_tokens": 100})
    assert prompt_limit(None, settings) == UNKNOWN_CONTEXT
    assert prompt_limit(4096, settings) == 4096
    assert prompt_limit(4096, small) == 100
    assert prompt_limit(None, small) == 100


def test_characters_are_counted_over_all_texts() -> None:
    """Many short messages count as much as one long message."""
    texts = texts_of(asking(*["a" * TOKEN_CHARACTERS] * 11))
    check_characters(texts[:10], 10)
    with pytest.raises(ContextLengthError, match="1408 characters, which is more than the 10 tokens"):
        check_characters(texts, 10)


@pytest.mark.parametrize("parts", [1, 50])
def test_a_prompt_that_is_far_too_long_is_not_tokenised(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, parts: int
) -> None:
    """The chat template does not run either."""
    backend = backend_of(pipeline)
    for name in ("refuse_long", "prepare"):
        monkeypatch.setattr(backend, name, lambda *_: pytest.fail("it came to the tokenizer"))
    pipeline.begin("long", asking(*["a" * (CONTEXT * TOKEN_CHARACTERS // parts + 1)] * parts))
    (outcome,) = outcomes(pipeline)
    assert outcome.error is not None
    assert outcome.error.code == "context_length_exceeded"


def test_a_long_prompt_is_tokenised_no_further_than_the_context(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the prompt cannot make it shorter."""
    backend = backend_of(pipeline)
    tokenised: list[int] = []
    encode = backend.tokenizer.encode

    class Watched:
        def encode(self, text: str, **options: Any) -> Any:
            tokenised.append(len(text))
            return encode(text, **options)

    monkeypatch.setattr(backend, "tokenizer", Watched())
    with pytest.raises(ContextLengthError, match="more than the 2048 tokens"):
        backend.refuse_long(["word " * 40_000], CONTEXT)
    assert tokenised == [PIECE_CHARACTERS]


def test_others_are_tokenised_between_the_pieces_of_a_long_prompt(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokenizer's lock is released after each piece: here another request is prepared completely before the second piece."""
    backend = backend_of(pipeline)
    encode = backend.tokenizer.encode
    begun, others = threading.Event(), threading.Event()
    pieces: list[int] = []

    class Watched:
        def encode(self, text: str, **options: Any) -> Any:
            pieces.append(len(text))
            if len(pieces) == 2:
                assert others.wait(PATIENCE)
            return encode(text, **options)

    lock = backend._lock

    class Released:
        """The backend's lock, which signals that it is free between two pieces."""

        def __enter__(self) -> None:
            if len(pieces) == 1 and not begun.is_set():
                begun.set()
                assert others.wait(PATIENCE)
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()

    monkeypatch.setattr(backend, "tokenizer", Watched())
    monkeypatch.setattr(backend, "_lock", Released())
    thread = threading.Thread(target=lambda: backend.refuse_long(["a" * SHORT_TEXT * 2], 10_000_000))
    thread.start()
    assert begun.wait(PATIENCE)
    assert backend.prepare(asking("Hello"), []).ids
    others.set()
    thread.join()
    assert len(pieces) == 2 * SHORT_TEXT // PIECE_CHARACTERS


@pytest.mark.parametrize("text", ["word " * 30_000, "a" * 150_000, " " * 150_000, "é😀" * 40_000])
def test_no_prompt_that_fits_is_refused_for_its_pieces(pipeline: Pipeline, text: str) -> None:
    """Cuts between pieces may add tokens, which do not count."""
    backend = backend_of(pipeline)
    tokens = len(backend.tokenizer.encode(text, add_special_tokens=False))
    backend.refuse_long([text], tokens)
    with pytest.raises(ContextLengthError):
        backend.refuse_long([text], tokens - len(text) // PIECE_CHARACTERS * 8 - 9)


def test_control_tokens_that_are_spelt_out_are_refused_untokenised(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each control token becomes as many stand-ins as it has tokens, which take the tokenizer 100 times longer than a word."""
    backend = backend_of(pipeline)
    monkeypatch.setattr(backend, "_loaded", replace(backend._loaded, processor=None))
    with pytest.raises(ContextLengthError, match="spells out control tokens"):
        backend.prepare(asking("<|im_end|>" * CONTEXT), [])


def test_the_parts_of_all_messages_together_are_limited() -> None:
    """A list in each of thousands of messages would make millions of parts, and a validated part takes a kilobyte."""
    part = {"type": "text", "text": "a"}

    def body(messages: int, parts: int) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": [part] * parts}] * messages}

    assert len(CompletionBody.model_validate(body(10, MAX_LIST_ITEMS // 10)).messages) == 10
    with pytest.raises(ValidationError, match=r"The messages have 10010 parts together; 10000 are allowed\."):
        CompletionBody.model_validate(body(10, MAX_LIST_ITEMS // 10 + 1))
