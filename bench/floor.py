"""The cost of each stage of a caption by itself, as JSON: no arrangement of the same work can be faster than the sum.

    python -m bench.floor MODEL PICTURES [--slots 32] [--preload LIBRARY]

Medians in seconds per image. `vision` and `prefill` run over batches of 8, `decode` over batches of `--slots`. The floor leaves
out decoding the files and the processor, which can run beside the model on a core of their own; `one_core` counts them.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.tasks import PIXEL_SETTINGS, make_task, parser
from cli.benchmark.contest import Task
from cli.benchmark.processes import ended, start

#: Images per batch of the vision tower and of the prefill.
GROUP = 8
#: Number of measurements of each stage.
REPEATS = 3
#: Number of measured decode steps.
STEPS = 8


def run_floor(task: Task, folder: Path) -> dict[str, float]:
    """Measure the stages in a process of its own. Raises BenchmarkError."""
    environment = {**task.environment, "PYTHONPATH": str(Path(__file__).parent.parent)}
    order = {
        "model": task.model,
        "prompt": task.prompt,
        "max_tokens": task.max_tokens,
        "slots": int(task.environment["CAPTIONQ_SLOTS"]),
        "images": [str(path) for path in task.images],
    }
    log = folder / "floor.log"
    process = start("from bench.floor import measure; measure()", environment=environment, log=log)
    stages: dict[str, float] = json.loads(ended(process, log, json.dumps(order)))
    return stages


def measure() -> None:
    """Read the order from standard input, measure, write the stages to standard output."""
    order = json.load(sys.stdin)
    stages = Stages(order["model"], order["prompt"], order["images"]).measure(order["slots"], order["max_tokens"])
    json.dump(stages, sys.stdout)


class Stages:
    """The stages of a model with some pictures, through mlx-vlm's own calls."""

    def __init__(self, model: str, prompt: str, images: Sequence[str]) -> None:
        from mlx_vlm import load
        from mlx_vlm.prompt_utils import apply_chat_template

        self._model, self._processor = load(model)
        content = [{"type": "image"}, {"type": "text", "text": prompt, "content": prompt}]
        messages = [{"role": "user", "content": content}]
        self._prompt = apply_chat_template(self._processor, self._model.config, messages, num_images=1)
        # If there are too few pictures, they are used several times.
        self._images = list(islice(cycle(map(Path, images)), REPEATS * GROUP))

    def measure(self, slots: int, max_tokens: int) -> dict[str, float]:
        """Return seconds per image by stage, and the floors in images per second."""
        stages: dict[str, float] = {}
        rows: list[dict[str, Any]] = []
        for name, environment in PIXEL_SETTINGS.items():
            os.environ.update(environment)
            stages[f"file_{name}"], stages[f"processor_{name}"], rows = self._preprocess()
        stages["vision"] = self._median(lambda at: self._vision(rows[at : at + GROUP])) / GROUP
        stages["prefill"] = self._median(lambda at: self._prefill(rows[at : at + GROUP])[0]) / GROUP
        # Prompts were cut to the shortest of their group. Their whole length, without padding, counts.
        lengths = [row["input_ids"].shape[1] for row in rows]
        cut = [min(lengths[at : at + GROUP]) for at in range(0, REPEATS * GROUP, GROUP)]
        stages["prefill"] *= statistics.mean(lengths) / statistics.mean(cut)
        # The first token comes from the prefill.
        stages["decode"] = self._step(rows, slots) * (max_tokens - 1) / slots
        model = stages["vision"] + stages["prefill"] + stages["decode"]
        floors = {"floor": 1 / model}
        for name in PIXEL_SETTINGS:
            floors[f"one_core_{name}"] = 1 / (model + stages[f"file_{name}"] + stages[f"processor_{name}"])
        return stages | floors

    def _median(self, stage: Callable[[int], float]) -> float:
        stage(0)
        return statistics.median(stage(at) for at in range(0, REPEATS * GROUP, GROUP))

    def _preprocess(self) -> tuple[float, float, list[dict[str, Any]]]:
        """Return median seconds of captionq's decoding of a file and of mlx-vlm's processor, and the processor's arrays."""
        import mlx.core as mx
        from mlx_vlm.utils import prepare_inputs

        from jobs.configuration.read_settings import read_settings
        from worker.pixels.decode import decode

        settings = read_settings()
        token = self._model.config.image_token_id
        files, processors, rows = [], [], []
        for path in self._images:
            begun = time.perf_counter()
            picture = decode(path, settings)
            decoded = time.perf_counter()
            raw = dict(prepare_inputs(self._processor, [picture], prompts=self._prompt, image_token_index=token))
            mx.eval(raw)
            files.append(decoded - begun)
            processors.append(time.perf_counter() - decoded)
            rows.append(raw)
        return statistics.median(files), statistics.median(processors), rows

    def _vision(self, rows: Sequence[dict[str, Any]]) -> float:
        import mlx.core as mx

        pixels = mx.concatenate([row["pixel_values"] for row in rows])
        grid = mx.concatenate([row["image_grid_thw"] for row in rows])
        return _seconds(lambda: mx.eval(self._model.vision_tower(pixels, grid)))

    def _embedded(self, rows: Sequence[dict[str, Any]]) -> tuple[Any, Any, Any]:
        """Return ids, embeddings and positions, cut to the shortest prompt: prompts differ by a few image tokens."""
        import mlx.core as mx

        length = min(row["input_ids"].shape[1] for row in rows)
        parts = []
        for row in rows:
            got = self._model.get_input_embeddings(
                row["input_ids"],
                row["pixel_values"],
                mask=mx.ones_like(row["input_ids"]),
                image_grid_thw=row["image_grid_thw"],
            )
            parts.append((row["input_ids"][:, :length], got.inputs_embeds[:, :length], got.position_ids[..., :length]))
        ids, embeddings, positions = map(list, zip(*parts, strict=True))
        batch = mx.concatenate(ids), mx.concatenate(embeddings), mx.concatenate(positions, axis=1)
        mx.eval(batch)
        return batch

    def _prefill(self, rows: Sequence[dict[str, Any]]) -> tuple[float, Any, Any]:
        """Prefill all but the last token, then the last one, whose logits are needed. Returns seconds, caches, last positions."""
        import mlx.core as mx
        from mlx_vlm.models.cache import make_prompt_cache

        ids, embeddings, positions = self._embedded(rows)
        cache = make_prompt_cache(self._model.language_model)

        def both_parts() -> None:
            for part in (slice(None, -1), slice(-1, None)):
                out = self._model.language_model(
                    ids[:, part], inputs_embeds=embeddings[:, part], cache=cache, position_ids=positions[..., part]
                )
                mx.eval(out.logits if part.start == -1 else [one.state for one in cache])

        return _seconds(both_parts), cache, positions[..., -1:]

    def _step(self, rows: Sequence[dict[str, Any]], slots: int) -> float:
        """Return the seconds of one greedy decode step of `slots` sequences."""
        import mlx.core as mx

        _, cache, positions = self._prefill((list(rows) * slots)[:slots])
        token = mx.full((slots, 1), 700, dtype=mx.int32)
        times = []
        for step in range(STEPS):
            begun = time.perf_counter()
            logits = self._model.language_model(token, cache=cache, position_ids=positions + 1 + step).logits
            token = mx.argmax(logits[:, -1:], axis=-1)
            mx.eval(token)
            times.append(time.perf_counter() - begun)
        return statistics.median(times)


def _seconds(stage: Callable[[], object]) -> float:
    begun = time.perf_counter()
    stage()
    return time.perf_counter() - begun


def main() -> None:
    """Parse the arguments and measure."""
    arguments = parser(__doc__).parse_args()
    with TemporaryDirectory() as folder:
        print(json.dumps(run_floor(make_task(arguments, Path(folder), {}), Path(folder)), indent=1))


if __name__ == "__main__":
    main()
