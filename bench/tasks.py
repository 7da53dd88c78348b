"""The arguments that the scripts share, and the task that they describe."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from bench.model import PIXELS
from cli.benchmark.contest import Task
from cli.benchmark.pictures import save_pictures

PROMPT = "Describe this image in one sentence."
#: Pictures that every contestant answers about before the clock starts.
WARM_UP = 4
#: One thread for BLAS: a contestant is then faster only by doing less.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
#: Every pixel goes to the model's own processor, as in the plain loop; captionq scales nothing.
FULL_PIXELS = {"CAPTIONQ_MAX_PIXELS": "200000000", "CAPTIONQ_JPEG_DRAFT": "0"}
#: captionq decodes to the area that the model uses, and the JPEG decoder does most of the scaling.
DRAFT_PIXELS = {"CAPTIONQ_MAX_PIXELS": str(PIXELS), "CAPTIONQ_JPEG_DRAFT": "1"}
PIXEL_SETTINGS = {"full": FULL_PIXELS, "draft": DRAFT_PIXELS}


def parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser with the arguments of every contestant."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", type=Path, help="the folder that bench.model wrote, or another model")
    made.add_argument("pictures", type=Path, help="the folder that bench.pictures wrote, or another one")
    made.add_argument("--images", type=int, default=64, help="most pictures to use")
    made.add_argument("--max-tokens", type=int, default=32)
    made.add_argument("--slots", type=int, default=32, help="sequences that decode together")
    made.add_argument("--preload", type=Path, help="a BLAS to preload: the Linux wheels of mlx bring a slow one")
    return made


def make_task(arguments: argparse.Namespace, folder: Path, settings: Mapping[str, str]) -> Task:
    """Make the task, with pictures to warm up with in `folder`."""
    return Task(
        model=str(arguments.model.resolve()),
        prompt=PROMPT,
        max_tokens=arguments.max_tokens,
        images=tuple(sorted(arguments.pictures.resolve().glob("*.jpg"))[: arguments.images]),
        warm_up=tuple(save_pictures(folder / "warm-up", WARM_UP, seed=1)),
        environment=make_environment(arguments, settings),
    )


def make_environment(arguments: argparse.Namespace, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of every contestant."""
    environment = {**ONE_THREAD, **settings, "CAPTIONQ_SLOTS": str(arguments.slots)}
    if arguments.preload is not None:
        environment["LD_PRELOAD"] = str(arguments.preload.resolve(strict=True))
    return environment
