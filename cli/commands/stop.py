"""`captionq stop`: the end of the worker that `captionq ask` left."""

from __future__ import annotations

import click

from cli.exit_status import SOME_FAILED


@click.command()
@click.option("--force", is_flag=True, help="Also stop a worker that another command started.")
@click.pass_context
def stop(ctx: click.Context, *, force: bool) -> None:
    """Stop the worker that captionq ask left running.

    The worker puts unfinished jobs back into the queue first. Without this command it ends by itself, CAPTIONQ_ASK_LINGER
    seconds after its last job.

    \b
    Example:
      captionq stop
    """
    from cli.runs.processes.worker_stop import stop_worker
    from jobs.configuration.read_settings import read_settings
    from worker.lock import WorkerOwner, running_worker

    settings = read_settings()
    worker = running_worker(settings)
    if worker is None:
        click.echo("No worker is running.")
        return
    if worker.owner != WorkerOwner.NOBODY and not force:
        click.echo(
            f"The worker (PID {worker.pid}) belongs to {worker.owner}, and ends with that command. "
            "To stop it all the same: captionq stop --force",
            err=True,
        )
        ctx.exit(SOME_FAILED)
    stop_worker(worker, settings)
    click.echo(f"Stopped the worker (PID {worker.pid}) of {worker.owner}.")
