"""Measures one family: loads it as captionq loads any model, and compares its answers with mlx-vlm's own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.configuration.settings import Settings
from jobs.errors import CaptionqError, in_words
from jobs.models.batching_verdicts import key_of, read_verdicts
from tools.families.asking import Asked, eight_requests
from tools.families.model import Family
from worker.engine.engine import Engine
from worker.engine.prefill import prefill_chunk_size
from worker.models.backends import Backend
from worker.models.inputs import Prepared
from worker.models.loader import LoadedModel, load
from worker.models.text.chat_template import ChatTemplate
from worker.pipeline.resident_models import ResidentModels

logger = logging.getLogger("captionq.families")

#: Prompt tokens prefilled in one step.
_CHUNK = 16
#: Requests admitted before the first step; one more is admitted every other step.
_AT_ONCE = 4


@dataclass(frozen=True)
class Measured:
    """A row of the table."""

    loads: bool
    #: How the requests of this family are batched; "" if it does not load.
    batching: str = ""
    right: int = 0
    wrong: int = 0
    #: Requests that ended with an error, here or with mlx-vlm: neither right nor wrong.
    refused: int = 0
    note: str = ""


def measure(family: Family, folder: Path, settings: Settings) -> Measured:
    """Load the model in the folder, and compare its answers with mlx-vlm's own."""
    residency = ResidentModels(settings)
    asked = eight_requests(family.pictures)
    try:
        with _small_chunks():
            resident = residency.get(str(folder))
        given = answers(resident.engine, asked)
    except CaptionqError as error:
        return Measured(loads=False, note=error.message)
    finally:
        residency.close()
    right, wrong, errors = 0, [], {}
    loaded = load(str(folder))
    expected = dict(_by_mlx_vlm(loaded, asked))
    for name, answer in given.items():
        if isinstance(answer, str):
            errors[name] = answer
        elif isinstance(expected[name], str):
            errors[name] = str(expected[name])
        elif answer == expected[name]:
            right += 1
        else:
            logger.info("%s: %s instead of %s", name, answer, expected[name])
            wrong.append(name)
    notes = [_check_broke(folder, settings), *_ends(errors), f"wrong: {', '.join(wrong)}" if wrong else ""]
    notes += ["the eight answers are not all different"] * (len({tuple(ids) for ids in given.values()}) < len(given))
    notes += ["its answers do not depend on the picture"] * _blind(loaded, asked, expected)
    note = "; ".join(filter(None, notes))
    return Measured(True, resident.batching.value, right, len(wrong), len(errors), note)


@contextmanager
def _small_chunks() -> Iterator[None]:
    """Let engines cut prompts of tiny models into chunks, as they do with those of real pictures."""
    usual, prefill_chunk_size.MOST_TOKENS = prefill_chunk_size.MOST_TOKENS, _CHUNK
    try:
        yield
    finally:
        prefill_chunk_size.MOST_TOKENS = usual


def answers(engine: Engine, asked: dict[str, Asked]) -> dict[str, list[int] | str]:
    """Return the ids of each answer, or its error. Requests are prepared in another thread, as in the worker."""
    found: dict[str, list[int] | str] = {}
    waiting: list[tuple[str, Prepared]] = []
    with ThreadPoolExecutor(1) as preparing:
        for name, prepared in preparing.map(lambda one: _prepared(engine.backend, *one), asked.items()):
            if isinstance(prepared, Prepared):
                waiting.append((name, prepared))
            else:
                found[name] = prepared
    for name, prepared in waiting[:_AT_ONCE]:
        engine.admit(name, prepared)
    del waiting[:_AT_ONCE]
    step = 0
    while waiting or engine.busy:
        if waiting and engine.free and step % 2:
            engine.admit(*waiting.pop(0))
        for row in engine.step():
            found[row.key] = list(row.token_ids) if row.error is None else f"{row.error}"
        step += 1
    return found


def alone(loaded: LoadedModel, asked: Asked) -> list[int]:
    """Return the ids that mlx-vlm's own loop generates for one prompt."""
    from mlx_vlm import stream_generate

    request, images = asked
    prompt = ChatTemplate(loaded.processor, loaded.config).prompt(request.messages)
    count = request.sampling.max_tokens
    stream = stream_generate(
        loaded.model, loaded.processor, prompt, image=images or None, max_tokens=count, temperature=0.0
    )
    # The last item repeats the last token.
    ids = [part.token for part in stream if part.finish_reason is None]
    return [token for token in ids if token not in loaded.eos]


def _by_mlx_vlm(loaded: LoadedModel, asked: dict[str, Asked]) -> Iterator[tuple[str, list[int] | str]]:
    for name, one in asked.items():
        try:
            yield name, alone(loaded, one)
        except Exception as error:
            logger.exception("mlx-vlm itself cannot answer '%s'.", name)
            yield name, f"mlx-vlm itself fails: {in_words(error)}"


def _blind(loaded: LoadedModel, asked: dict[str, Asked], expected: dict[str, list[int] | str]) -> bool:
    """Return whether mlx-vlm gives the same answer about two different pictures: the comparison would then prove nothing."""
    request, _ = asked["picture"]
    _, others = asked["tall picture"]
    return isinstance(expected["picture"], list) and alone(loaded, (request, others)) == expected["picture"]


def _prepared(backend: Backend, name: str, asked: Asked) -> tuple[str, Prepared | str]:
    try:
        return name, backend.prepare(*asked)
    except CaptionqError as error:
        return name, error.message


def _check_broke(folder: Path, settings: Settings) -> str:
    return "" if key_of(folder) in read_verdicts(settings) else "the batching check broke"


def _ends(errors: dict[str, str]) -> Iterator[str]:
    for message in sorted(set(errors.values())):
        names = ", ".join(name for name, other in errors.items() if other == message)
        yield f"{names}: {message}"
