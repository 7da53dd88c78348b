"""`captionq bench`: how fast is it here, beside a plain loop?"""

from __future__ import annotations

from pathlib import Path

import click

from jobs.request_defaults import MAX_TOKENS


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--model", help="A Hugging Face id, a local folder, or 'demo'.  [default: CAPTIONQ_MODEL or Qwen3-VL-4B]")
@click.option("--prompt", help="What to ask about each image.  [default: the preset of `caption`]")
@click.option("--images", type=click.IntRange(1), default=32, show_default=True, help="How many of them at most.")
@click.option(
    "--max-tokens", type=click.IntRange(1, MAX_TOKENS), default=32, show_default=True, help="The longest answer."
)
@click.option(
    "--rounds", type=click.IntRange(1), default=3, show_default=True, help="How often; the medians are shown."
)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw a chart into this PNG file.  [default: none]"
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json: everything that was measured, as one object.",
)
def bench(
    folder: Path | None,
    model: str | None,
    prompt: str | None,
    images: int,
    max_tokens: int,
    rounds: int,
    plot: Path | None,
    output_format: str,
) -> None:
    """Measure captionq against a plain loop over mlx-vlm.

    Both see the same pictures, scaled to the same area (CAPTIONQ_MAX_PIXELS), with the same question, in turns; without DIR
    pictures are made for it. Nothing of yours is touched: queue, database and copies of the pictures lie in a temporary
    folder.

    \b
    Examples:
      captionq bench
      captionq bench ~/Pictures --images 16 --plot bench.png
      CAPTIONQ_SLOTS=32 captionq bench --model demo --format json
    """
    from cli.benchmark.comparison import Comparison
    from jobs.request_defaults import DEFAULT_PRESET, preset
    from jobs.settings import read_settings

    settings = read_settings()
    comparison = Comparison(
        settings,
        model=model or settings.model,
        prompt=prompt or preset(DEFAULT_PRESET),
        max_tokens=max_tokens,
        rounds=rounds,
    )
    with comparison.pictures(folder, images) as (chosen, warm_up):
        result = comparison.run(chosen, warm_up)
    result.show(as_json=output_format == "json")
    if plot is not None:
        result.draw(plot)
