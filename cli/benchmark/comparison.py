"""`captionq bench` from its pictures to its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from cli.benchmark.contest import Run, Task
from cli.benchmark.loop import run_loop
from cli.benchmark.pictures import save_pictures
from cli.benchmark.product import run_product
from cli.benchmark.result import Result
from cli.benchmark.round_lines import RoundLines
from cli.benchmark.rounds import interleaved
from cli.benchmark.stages.probe_task import run_probe
from jobs.configuration.settings import Settings
from jobs.errors import BenchmarkError, ImageError, ImagesNotSupportedError
from jobs.images.walking.folder_walk import find_images
from jobs.models.model_info import describe
from worker.models.download import fetch
from worker.pixels.decode import decode

#: Pictures that every contestant answers about before the clock starts.
WARM_UP = 4


class Comparison:
    """A comparison of the plain loop and captionq, in turns."""

    def __init__(self, settings: Settings, *, model: str, prompt: str, max_tokens: int, rounds: int) -> None:
        self._settings = settings
        self._model = model
        self._prompt = prompt
        self._max_tokens = max_tokens
        self._rounds = rounds
        info = describe(model)
        if info.modality != "vision":
            raise ImagesNotSupportedError(f"'{info.name}' is a text-only model and cannot look at images.")
        if info.path is None:
            fetch(model)

    @contextmanager
    def pictures(self, folder: Path | None, count: int) -> Iterator[tuple[list[Path], list[Path]]]:
        """Provide up to `count` usable pictures of the folder, or `count` generated ones, and some to warm up with.

        Raises BenchmarkError if the folder has no usable picture.
        """
        with TemporaryDirectory(prefix="captionq-bench-") as made:
            warm_up = save_pictures(Path(made) / "warm-up", WARM_UP, seed=1)
            if folder is None:
                chosen = save_pictures(Path(made) / "pictures", count)
            else:
                chosen = list(islice(filter(self._usable, find_images([folder], recursive=True)), count))
            if not chosen:
                raise BenchmarkError(f"No usable picture in {folder}.")
            yield chosen, warm_up

    def run(self, images: list[Path], warm_up: list[Path]) -> Result:
        """Run all rounds. Raises BenchmarkError."""
        task = self.task(images, warm_up)
        with TemporaryDirectory(prefix="captionq-bench-") as logs:

            def loop() -> Run:
                return run_loop(task, Path(logs), same_pixels=True)

            contestants = {"loop": loop, "captionq": lambda: run_product(task)}
            lines = RoundLines({name: name for name in contestants}, self._rounds)
            rounds = interleaved(contestants, self._rounds, lines.begin)
        result = Result(task, self._settings, rounds)
        click.echo("The model by itself: pixels, groups, slots …", err=True)
        result.add_stages(run_probe(task, variations=True))
        return result

    def task(self, images: list[Path], warm_up: list[Path]) -> Task:
        """Make the task of all contestants."""
        return Task(self._model, self._prompt, self._max_tokens, tuple(images), tuple(warm_up))

    def _usable(self, path: Path) -> bool:
        """Leave out broken files: they would end the loop."""
        try:
            decode(path, self._settings)
        except ImageError as error:
            click.echo(f"Left out: {error.message}", err=True)
            return False
        return True
