"""`captionq cache`: the answers that are given again, and the features of images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from cli.open_store import open_store
from cli.options import format_option
from cli.output.plurals import counted

if TYPE_CHECKING:
    from jobs.store.result_cache import ResultCache


@click.group()
def cache() -> None:
    """Show or clear the caches of results and of image features.

    The same model, question and pixels are answered from earlier results, unless the answer is sampled without a seed.
    CAPTIONQ_CACHE=false turns this off; --no-cache of `captionq caption` does so for one run.

    With CAPTIONQ_FEATURE_CACHE=10GB, what the vision tower has made of images is kept on the disk, in this room at most. New
    questions about the same images then skip the tower.

    \b
    Examples:
      captionq cache stats
      captionq cache clear
    """


@cache.command()
@format_option("json: one object.")
def stats(output_format: str) -> None:
    """Show the number of cached answers and how often they were used, and the images whose features are kept.

    \b
    Example:
      captionq cache stats
    """
    from dataclasses import asdict

    from jobs.configuration.read_settings import read_settings
    from worker.features.feature_files import feature_files

    settings = read_settings()
    with _opened() as opened:
        found = opened.stats()
    sizes = [file.size for file in feature_files(settings.feature_dir)]
    room = settings.feature_cache_bytes
    if output_format == "json":
        features = {"images": len(sizes), "bytes": sum(sizes), "budget": room or None}
        click.echo(json.dumps({**asdict(found), "features": features}))
        return
    click.echo(
        f"{counted(found.answers, 'answer')} kept; {counted(found.used, 'job')} answered from the cache, "
        f"{found.tokens_saved:,} completion tokens saved"
    )
    limit = f"of {room / 1e9:.1f} GB" if room else "(none are added or used: CAPTIONQ_FEATURE_CACHE is not set)"
    if sizes or room:
        click.echo(f"Features of {counted(len(sizes), 'image')} kept, {sum(sizes) / 1e9:.2f} GB {limit}")


@cache.command()
@click.option("--answers", is_flag=True, help="Forget only the answers.")
@click.option("--features", is_flag=True, help="Forget only the features of images.")
def clear(answers: bool, features: bool) -> None:
    """Forget all cached answers and all features of images. Texts and the results of jobs stay.

    \b
    Examples:
      captionq cache clear
      captionq cache clear --features
    """
    from jobs.configuration.read_settings import read_settings
    from worker.features import feature_files

    if answers or not features:
        with _opened() as opened:
            click.echo(f"Forgot {counted(opened.clear(), 'answer')}.")
    if features or not answers:
        images, size = feature_files.clear(read_settings().feature_dir)
        if images or features:
            click.echo(f"Forgot the features of {counted(images, 'image')}, {size / 1e9:.2f} GB.")


@contextmanager
def _opened() -> Iterator[ResultCache]:
    from jobs.store.result_cache import ResultCache

    with open_store() as store:
        yield ResultCache(store.engine)
