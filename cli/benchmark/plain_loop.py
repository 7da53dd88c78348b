"""The plain loop that captionq is measured against: `mlx_vlm.generate` for one picture after the other.

Runs as a process of its own, which reads a task as JSON from standard input and writes the answers as JSON to standard output.
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
from jobs.configuration.read_settings import read_settings
from jobs.configuration.settings import Settings
from worker.models.loader import LoadedModel, load
from worker.models.text import detokenizer
from worker.pixels.decode import decode


class Task(TypedDict):
    """The task, as JSON."""

    model: str
    prompt: str
    max_tokens: int
    #: Paths, in order.
    images: list[str]
    #: Paths of the pictures to warm up with, before the clock starts.
    warm_up: list[str]
    #: Whether captionq decodes the pictures, to its budget of pixels; otherwise mlx-vlm opens the files.
    same_pixels: bool


class Answers(TypedDict):
    """The answers and their cost, as JSON."""

    #: Seconds from the first picture to the last answer, without loading and warming up.
    seconds: float
    #: CPU seconds of all threads.
    cpu_seconds: float
    #: An answer for each image, in the order of the task, without stop tokens.
    token_ids: list[list[int]]
    texts: list[str]
    #: Peak bytes that mlx held; peak resident bytes of the process.
    peak_memory: int
    max_rss: int


def main() -> None:
    """Read the task, run the loop, write the answers."""
    task: Task = json.load(sys.stdin)
    # Libraries print to standard output, which is for the answers here.
    with contextlib.redirect_stdout(sys.stderr):
        answers = run(task, read_settings())
    json.dump(answers, sys.stdout)


def run(task: Task, settings: Settings) -> Answers:
    """Answer about one picture after the other. Raises ModelError, ImageError."""
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
    """Make a prompt with the picture before the question; for a plain string, mlx-vlm puts the picture last in some families."""
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
