"""`captionq workers`: the workers of the queue, on all machines, and draining one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from cli.options import format_option

if TYPE_CHECKING:
    from redis import Redis


@click.group(invoke_without_command=True)
@format_option()
@click.pass_context
def workers(ctx: click.Context, output_format: str) -> None:
    """List the workers of all machines, and drain one.

    A line each: its machine, model, status (idle, busy, draining, or what its bulk work waits for), running jobs, jobs
    ended per second, and memory. A worker whose machine is lost is listed for some seconds; other workers get its jobs
    when its lease is over.

    \b
    Examples:
      captionq workers
      captionq workers drain mac-studio-1a2b3c4d
    """
    if ctx.invoked_subcommand is not None:
        return
    from cli.output.tables.worker_table import print_workers
    from jobs.models.model_info import public_name
    from jobs.queue.worker_state import live_workers
    from jobs.safe_text import safe_json

    with _queue() as connection:
        found = [] if connection is None else live_workers(connection)
    if output_format == "json":
        for one in found:
            click.echo(safe_json(one.as_public(public_name)))
        return
    print_workers(found)
    if not found:
        click.echo("No worker is running. Start one with: captionq work", err=True)


@workers.command("drain")
@click.argument("name")
@click.option("--undo", is_flag=True, help="Let a worker that has not ended take jobs again.")
def drain_worker(name: str, *, undo: bool) -> None:
    """Let a worker finish its jobs, take no more, and end.

    NAME is the worker's name in `captionq workers`, or the beginning of it. A worker that was started by `captionq serve`
    or `captionq caption` is not started again by that command.

    \b
    Examples:
      captionq workers drain mac-studio-1a2b3c4d
      captionq workers drain mac-studio --undo
    """
    from jobs.errors import NotFoundError
    from jobs.queue.workers.draining import drain, find_worker, undo_drain
    from jobs.safe_text import safe_text

    with _queue() as connection:
        if connection is None:
            raise NotFoundError("No worker is running.")
        worker = find_worker(connection, name)
        if undo:
            undo_drain(connection, worker.name)
            click.echo(f"{safe_text(worker.short_name)} takes jobs again.")
            return
        drain(connection, worker.name)
    click.echo(f"{safe_text(worker.short_name)} takes no more jobs, and ends with those that it has ({worker.jobs}).")


@contextmanager
def _queue() -> Iterator[Redis | None]:
    """Connect to the queue's server; None: none runs."""
    from jobs.configuration.read_settings import read_settings
    from jobs.queue import broker

    connection = broker.find(read_settings())
    try:
        yield connection
    finally:
        if connection is not None:
            connection.close()
