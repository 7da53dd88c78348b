"""The plain loop over `mlx_vlm.generate`, as a contestant."""

from __future__ import annotations

import json
from pathlib import Path

from cli.benchmark.contest import Run, Task
from cli.benchmark.processes import ended, start

_CODE = "from cli.benchmark.plain_loop import main; main()"


def run_loop(task: Task, folder: Path, *, same_pixels: bool) -> Run:
    """Load the model, warm it up, then answer about one picture after the other. Raises BenchmarkError.

    `same_pixels`: captionq decodes the pictures, to the area that its settings allow; otherwise mlx-vlm opens the files.
    """
    wanted = {
        "model": task.model,
        "prompt": task.prompt,
        "max_tokens": task.max_tokens,
        "images": [str(path) for path in task.images],
        "warm_up": [str(path) for path in task.warm_up],
        "same_pixels": same_pixels,
    }
    log = folder / "loop.log"
    process = start(_CODE, environment=task.environment, log=log)
    answers = json.loads(ended(process, log, json.dumps(wanted)))
    return Run(
        seconds=answers["seconds"],
        cpu_seconds=answers["cpu_seconds"],
        texts=tuple(answers["texts"]),
        tokens=sum(map(len, answers["token_ids"])),
        peak_memory=answers["peak_memory"],
        max_rss=answers["max_rss"],
    )
