"""`captionq cache`: the answers that are given again."""

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
    """Show or clear the result cache.

    The same model, question and pixels are answered from earlier results, unless the answer is sampled without a seed.
    CAPTIONQ_CACHE=false turns the cache off; --no-cache of `captionq caption` does so for one run.

    \b
    Examples:
      captionq cache stats
      captionq cache clear
    """


@cache.command()
@format_option("json: one object.")
def stats(output_format: str) -> None:
    """Show the number of cached answers, and how often they were used.

    \b
    Example:
      captionq cache stats
    """
    from dataclasses import asdict

    with _opened() as opened:
        found = opened.stats()
    if output_format == "json":
        click.echo(json.dumps(asdict(found)))
        return
    click.echo(
        f"{counted(found.answers, 'answer')} kept; {counted(found.used, 'job')} answered from the cache, "
        f"{found.tokens_saved:,} completion tokens saved"
    )


@cache.command()
def clear() -> None:
    """Forget all cached answers. Texts and the results of jobs stay.

    \b
    Example:
      captionq cache clear
    """
    with _opened() as opened:
        click.echo(f"Forgot {counted(opened.clear(), 'answer')}.")


@contextmanager
def _opened() -> Iterator[ResultCache]:
    from jobs.store.result_cache import ResultCache

    with open_store() as store:
        yield ResultCache(store.engine)
