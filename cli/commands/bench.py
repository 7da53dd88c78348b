"""`captionq bench`: captionq's speed beside a plain loop, on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import max_tokens_option, model_option


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(exists=True, path_type=Path))
@model_option
@click.option("--prompt", help="Prompt for each image.  [default: that of `captionq caption`]")
@click.option("--images", type=click.IntRange(1), default=32, show_default=True, help="Maximum number of images.")
@max_tokens_option(32)
@click.option(
    "--rounds", type=click.IntRange(1), default=3, show_default=True, help="Number of rounds; medians are shown."
)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Write a chart to this PNG file.  [default: none]"
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json: all measured values, as one object.",
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

    Both get the same images, scaled to the same area (CAPTIONQ_MAX_PIXELS), and the same prompt, in turns. Without DIR,
    images are generated. Vision and prefill take time for each pixel, and are not batched on a GPU: halving CAPTIONQ_MAX_PIXELS
    buys more speed than any other option. Your files and your queue are not touched: the benchmark runs in a temporary folder.

    \b
    Examples:
      captionq bench
      captionq bench ~/Pictures --images 16 --plot bench.png
      CAPTIONQ_SLOTS=32 captionq bench --model demo --format json
    """
    from cli.benchmark.comparison import Comparison
    from jobs.configuration.read_settings import read_settings
    from jobs.options.prompts.presets import DEFAULT_PRESET, find_preset

    settings = read_settings()
    comparison = Comparison(
        settings,
        model=model or settings.model,
        prompt=prompt or find_preset(DEFAULT_PRESET).prompt,
        max_tokens=max_tokens,
        rounds=rounds,
    )
    with comparison.pictures(folder, images) as (chosen, warm_up):
        result = comparison.run(chosen, warm_up)
    result.show(as_json=output_format == "json")
    if plot is not None:
        result.draw(plot)
