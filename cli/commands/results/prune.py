"""`captionq prune`, which is also `captionq jobs prune`: old jobs and batches are removed, and their space is given back."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from cli.open_store import open_store
from cli.options import age_in_seconds, format_option

if TYPE_CHECKING:
    from jobs.configuration.settings import Settings
    from jobs.store.retention.pruning import Pruned

_DAY = 86_400
#: Bytes of free space that are worth a word.
_MUCH = 10_000_000


@click.command()
@click.option(
    "--older-than",
    metavar="AGE",
    callback=age_in_seconds,
    help="Time since the job or the batch ended, such as 30d or 12h.  [default: CAPTIONQ_KEEP_DAYS]",
)
@click.option("--vacuum", is_flag=True, help="Also write the database anew, without free space. captionq must not run.")
@format_option("json: one object.")
def prune(older_than: int | None, vacuum: bool, output_format: str) -> None:
    """Remove old jobs and batches from the database.

    Only jobs that have ended are removed, and a batch only as a whole. Text files stay; captionq no longer knows them as
    its own, so replacing them needs --force, and captionq undo does not take them back. captionq may run meanwhile. With the
    setting CAPTIONQ_KEEP_DAYS, servers and workers do this by themselves.

    \b
    Examples:
      captionq prune --older-than 30d
      captionq jobs prune --older-than 30d
      captionq prune --vacuum
    """
    from jobs.backups.alone import alone
    from jobs.configuration.read_settings import read_settings
    from jobs.creation.run_locks import RunLocks
    from jobs.store.retention.free_space import free_bytes, give_back, rewrite
    from jobs.store.retention.pruning import Pruned
    from jobs.store.retention.pruning import prune as remove_before

    settings = read_settings()
    age = _age(older_than, settings, optional=vacuum)
    with alone(settings) if vacuum else nullcontext(), open_store() as store:
        held = RunLocks(settings).held
        removed = Pruned(0, 0) if age is None else remove_before(store.engine, time.time() - age, held=held)
        free = free_bytes(store.engine)
        (rewrite if vacuum else give_back)(store.engine)
        left = free_bytes(store.engine)
    if output_format == "json":
        numbers = {"jobs": removed.jobs, "batches": removed.batches, "freed_bytes": free - left, "free_bytes": left}
        click.echo(json.dumps(numbers))
    else:
        _report(removed, free - left, left)


def _age(older_than: int | None, settings: Settings, *, optional: bool) -> float | None:
    if older_than is not None:
        return older_than
    if settings.keep_days is not None:
        return settings.keep_days * _DAY
    if optional:
        return None
    raise click.UsageError("Say how old: captionq prune --older-than 30d. Or set CAPTIONQ_KEEP_DAYS.")


def _report(removed: Pruned, freed: int, left: int) -> None:
    from cli.output.plurals import counted

    freed_words = f" {freed / 1e6:.0f} MB of disk are free again." if freed > _MUCH else ""
    click.echo(f"Removed {counted(removed.jobs, 'job')} and {counted(removed.batches, 'batch')}.{freed_words}")
    if left > _MUCH:
        click.echo(
            f"The database keeps its size: {left / 1e6:.0f} MB of it are free for new jobs. To give them back to the disk, stop "
            "captionq and run: captionq prune --vacuum",
            err=True,
        )
