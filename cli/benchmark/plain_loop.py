"""What captionq is measured against: a loop over `mlx_vlm.generate`, one picture after the other, as anyone would write it.

A process of its own: it reads a task as JSON from the standard input and writes what came of it as JSON to the standard output.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any, TypedDict

from PIL import Image

from cli.benchmark.stack_sampler import max_rss, peak_memory
from jobs.settings import Settings, read_settings
from worker.models import detokenizer
from worker.models.loader import LoadedModel, load
from worker.pipeline.preprocess import decode


class Task(TypedDict):
    """What is to be done."""

    model: str
    prompt: str
    max_tokens: int
    #: Paths, in order.
    images: list[str]
    #: Paths of pictures that are asked about before the clock starts.
    warm_up: list[str]
    #: Whether captionq decodes the pictures, to its budget of pixels; otherwise mlx-vlm opens the files.
    same_pixels: bool


class Answers(TypedDict):
    """What came of it."""

    #: From the first picture to the last answer; loading and warming up came before.
    seconds: float
    #: Of CPU time, of all threads.
    cpu_seconds: float
    #: An answer an image, in the order of the task, without stop tokens.
    token_ids: list[list[int]]
    texts: list[str]
    #: Bytes that mlx held at most; bytes of the process that were resident at most.
    peak_memory: int
    max_rss: int


def main() -> None:
    """Read the task, do it, write the answers."""
    task: Task = json.load(sys.stdin)
    # Libraries print what they like; the standard output is for the answers.
    with contextlib.redirect_stdout(sys.stderr):
        answers = run(task, read_settings())
    json.dump(answers, sys.stdout)


def run(task: Task, settings: Settings) -> Answers:
    """One picture after the other. Raises ModelError, ImageError."""
    loaded = load(task["model"])
    prompt = _prompt(loaded, task["prompt"])
    for image in task["warm_up"]:
        _answer(loaded, prompt, image, task, settings)
    begun, cpu_begun = time.perf_counter(), time.process_time()
    token_ids = [_answer(loaded, prompt, image, task, settings) for image in task["images"]]
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
    tokenizer = getattr(loaded.processor, "tokenizer", loaded.processor)
    return Answers(
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        token_ids=token_ids,
        texts=[detokenizer.decode(tokenizer, ids) for ids in token_ids],
        peak_memory=peak_memory(),
        max_rss=max_rss(),
    )


def _prompt(loaded: LoadedModel, question: str) -> str:
    """The picture first, then the question: given a plain string, mlx-vlm puts the picture last for some families."""
    from mlx_vlm.prompt_utils import apply_chat_template

    content = [{"type": "image"}, {"type": "text", "text": question, "content": question}]
    messages = [{"role": "user", "content": content}]
    return str(apply_chat_template(loaded.processor, loaded.config, messages, num_images=1))


def _answer(loaded: LoadedModel, prompt: str, image: str, task: Task, settings: Settings) -> list[int]:
    from mlx_vlm import generate

    picture: str | Image.Image = decode(Path(image), settings) if task["same_pixels"] else image
    result: Any = generate(
        loaded.model, loaded.processor, prompt, image=[picture], max_tokens=task["max_tokens"], temperature=0.0
    )
    ids: list[int] = result.token_ids
    return ids[:-1] if ids and ids[-1] in loaded.eos else ids
