"""`captionq bench --models A,B`: the same pictures and the same question for each model, in turns."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from cli.benchmark.contest import Run, Task
from cli.benchmark.models.quality import token_f1
from cli.benchmark.product import run_product
from cli.benchmark.result import environment, settings_of_note
from cli.benchmark.round_lines import RoundLines
from cli.benchmark.rounds import interleaved, median_of
from jobs.configuration.settings import Settings
from jobs.errors import BenchmarkError, ImagesNotSupportedError
from jobs.models.model_info import describe, public_name
from worker.models.download import fetch

#: Characters of a model's name in the table.
_LONGEST_NAME = 34


def names_of(models: str) -> list[str]:
    """Split `A,B` into names; each model must be able to see, and is downloaded if it is not here. Raises BenchmarkError."""
    names = list(dict.fromkeys(name.strip() for name in models.split(",") if name.strip()))
    if len(names) < 2:
        raise BenchmarkError("--models takes two models or more, with commas between them.")
    for name in names:
        if describe(name).modality != "vision":
            raise ImagesNotSupportedError(f"'{public_name(name)}' is a text-only model and cannot look at images.")
        if describe(name).path is None:
            fetch(name)
    return names


class ModelComparison:
    """Rounds of captionq with each model, in turns."""

    def __init__(
        self, task: Task, models: Sequence[str], references: Mapping[Path, str], settings: Settings, rounds: int
    ) -> None:
        """`references`: the texts that are wanted, for some or all of the images."""
        self._task = task
        self._references = references
        self._settings = settings
        #: Names for people, without the paths of local folders.
        self._titles = _titles(models)

        def contestant(model: str) -> Callable[[], Run]:
            return lambda: run_product(replace(task, model=model))

        lines = RoundLines(self._titles, rounds)
        self._rounds = interleaved({model: contestant(model) for model in models}, rounds, lines.begin)
        self.rows = {model: self._summary(model) for model in models}

    def show(self, *, as_json: bool) -> None:
        """Print the table, or JSON."""
        if as_json:
            click.echo(json.dumps(self.as_json(), indent=1, ensure_ascii=False))
            return
        table = Table(box=None, pad_edge=False)
        for heading in ("model", "images/s", "mlx", "resident", "tokens", "token F1"):
            table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
        for model, row in self.rows.items():
            quality = row["token_f1"]
            table.add_row(
                _short(self._titles[model]),
                f"{row['images_per_second']:.2f}",
                f"{(row['peak_memory'] or 0) / 1e6:,.0f} MB",
                f"{(row['max_rss'] or 0) / 1e6:,.0f} MB",
                f"{row['tokens_per_image']:.1f}",
                "–" if quality is None else f"{quality:.3f}",
            )
        Console(highlight=False).print(table)
        for line in self._notes():
            click.echo(line)

    def as_json(self) -> dict[str, object]:
        """Return summary and raw values, with the texts of the first round."""
        first = self._rounds[0]
        texts = [
            {
                "image": image.name,
                "reference": self._references.get(image),
                "texts": {self._titles[model]: first[model].texts[at] for model in self.rows},
            }
            for at, image in enumerate(self._task.images)
        ]
        return {
            "environment": environment(),
            "images": len(self._task.images),
            "references": len(self._references),
            "prompt": self._task.prompt,
            "max_tokens": self._task.max_tokens,
            "settings": settings_of_note(self._settings),
            "summary": {self._titles[model]: row for model, row in self.rows.items()},
            "texts": texts,
            "rounds": [{self._titles[model]: run.as_json() for model, run in one.items()} for one in self._rounds],
        }

    def _summary(self, model: str) -> dict[str, float | None]:
        return {
            "images_per_second": median_of(self._rounds, model, lambda run: run.rate),
            "peak_memory": median_of(self._rounds, model, lambda run: run.peak_memory),
            "max_rss": median_of(self._rounds, model, lambda run: run.max_rss),
            "tokens_per_image": median_of(self._rounds, model, lambda run: run.tokens / len(run.texts)),
            "token_f1": self._quality(self._rounds[0][model]),
        }

    def _quality(self, run: Run) -> float | None:
        """Return the mean token F1 over the images with a reference; an image without an answer counts 0."""
        scores = [
            token_f1(text or "", self._references[image])
            for image, text in zip(self._task.images, run.texts, strict=True)
            if image in self._references
        ]
        return statistics.fmean(scores) if scores else None

    def _notes(self) -> list[str]:
        notes = [
            f"{len(self._task.images)} images, at most {self._task.max_tokens} tokens; "
            f"medians of {len(self._rounds)} rounds in turns.",
            "mlx, resident: peak memory of the model's library, and of the process.",
        ]
        if self._references:
            return [
                *notes,
                f"token F1: words in common with {len(self._references)} reference texts, from 0 to 1.",
            ]
        return [*notes, "token F1 needs reference texts: IMG_1.txt beside IMG_1.jpg, or --references."]


def _titles(models: Sequence[str]) -> dict[str, str]:
    """Return a name for each model; folders of the same name are numbered."""
    titles: dict[str, str] = {}
    for model in models:
        title, number = public_name(model), 1
        while title in titles.values():
            number += 1
            title = f"{public_name(model)} ({number})"
        titles[model] = title
    return titles


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"…{name[-_LONGEST_NAME + 1 :]}"
