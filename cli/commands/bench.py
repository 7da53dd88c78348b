"""`captionq bench`: captionq's speed beside a plain loop, on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import max_tokens_option, model_option
from cli.typed_path import OutputFile, TypedPath


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=TypedPath(exists=True))
@model_option
@click.option("--prompt", help="Prompt for each image.  [default: that of `captionq caption`]")
@click.option("--images", type=click.IntRange(1), default=32, show_default=True, help="Maximum number of images.")
@max_tokens_option(32)
@click.option(
    "--rounds", type=click.IntRange(1), default=3, show_default=True, help="Number of rounds; medians are shown."
)
@click.option(
    "--models", metavar="A,B", help="Compare these models with each other, not with a plain loop.  [default: none]"
)
@click.option(
    "--references",
    type=TypedPath(exists=True, dir_okay=False),
    help="JSONL file of wanted texts (path or file_name, caption or text) for --models.  [default: IMG_1.txt beside IMG_1.jpg]",
)
@click.option(
    "--compare-switches",
    is_flag=True,
    help="Compare settings that have helped others on Metal, instead of a plain loop.",
)
@click.option("--plot", type=OutputFile(), help="Write a chart to this PNG file.  [default: none]")
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
    models: str | None,
    references: Path | None,
    compare_switches: bool,
    plot: Path | None,
    output_format: str,
) -> None:
    """Measure captionq against a plain loop over mlx-vlm.

    Both get the same images, scaled to the same area (CAPTIONQ_MAX_PIXELS), and the same prompt, in turns. Without DIR,
    images are generated. Then: where the time of an image goes, and which settings would change that on this machine. Your
    files and your queue are not touched: the benchmark runs in a temporary folder.

    \b
    Examples:
      captionq bench
      captionq bench ~/Pictures --images 16 --plot bench.png
      captionq bench --compare-switches
      captionq bench ~/Pictures --models Qwen/Qwen3-VL-2B-Instruct,demo
      CAPTIONQ_SLOTS=32 captionq bench --model demo --format json
    """
    from cli.benchmark.comparison import Comparison
    from cli.benchmark.models.comparison import ModelComparison, names_of
    from cli.benchmark.models.quality import references_beside, references_in
    from cli.benchmark.stages.switches import SwitchComparison
    from jobs.configuration.read_settings import read_settings
    from jobs.options.prompts.presets import DEFAULT_PRESET, find_preset

    if references is not None and models is None:
        raise click.UsageError("--references is for --models.")
    if plot is not None and plot.suffix.lower() != ".png":
        raise click.UsageError(f"--plot: {plot} is no PNG file. Let it end in .png.")
    if plot is not None and (models is not None or compare_switches):
        raise click.UsageError("--plot draws the comparison with the plain loop.")
    if models is not None and compare_switches:
        raise click.UsageError("--models and --compare-switches are two comparisons; use one of them.")
    settings = read_settings()
    names = names_of(models) if models is not None else [model or settings.model]
    comparison = Comparison(
        settings,
        model=names[0],
        prompt=prompt or find_preset(DEFAULT_PRESET).prompt,
        max_tokens=max_tokens,
        rounds=rounds,
    )
    with comparison.pictures(folder, images) as (chosen, warm_up):
        if models is not None:
            wanted = references_in(references, chosen) if references is not None else references_beside(chosen)
            task = comparison.task(chosen, warm_up)
            ModelComparison(task, names, wanted, settings, rounds).show(as_json=output_format == "json")
            return
        if compare_switches:
            SwitchComparison(comparison.task(chosen, warm_up), rounds).show(as_json=output_format == "json")
            return
        result = comparison.run(chosen, warm_up)
    result.show(as_json=output_format == "json")
    if plot is not None:
        result.draw(plot)
