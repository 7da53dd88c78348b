"""`captionq work`: the worker in the foreground."""

from __future__ import annotations

import click

from cli.exit_status import DRAINED
from cli.options import served_model_option


@click.command()
@click.option("--burst", is_flag=True, help="Exit when the queue is empty.  [default: wait for more]")
@served_model_option
@click.option(
    "--memory-budget",
    help="Memory for loaded models, such as 60% or 24GB: models stay while they fit.  [default: one model at a time]",
)
@click.option(
    "--pin", multiple=True, metavar="MODEL", help="Never unload this model; may be repeated.  [default: none]"
)
@click.option("--log-json", is_flag=True, help="Log one JSON object per line instead of text.")
@click.option("--until-eof", is_flag=True, hidden=True, help="Exit when the standard input closes.")
@click.option("--await-broker", is_flag=True, hidden=True, help="Wait for the broker that another process starts.")
@click.option("--linger", type=float, hidden=True, help="Exit after this many seconds without a job.")
@click.pass_context
def work(
    ctx: click.Context,
    burst: bool,
    model: str | None,
    memory_budget: str | None,
    pin: tuple[str, ...],
    log_json: bool,
    until_eof: bool,
    linger: float | None,
    await_broker: bool,
) -> None:
    """Run the worker until Ctrl-C.

    The worker takes jobs from the queue and generates their texts. One worker per data folder. Jobs that were running when
    the worker stopped are resumed by the next worker.

    \b
    Examples:
      captionq work
      captionq work --memory-budget 70% --pin Qwen/Qwen3-VL-8B-Instruct
    """
    from jobs.configuration.read_settings import read_settings
    from jobs.logging_setup import set_up_logging
    from worker.owner import end_with_owner

    given = {"model": model, "memory_budget": memory_budget, "pinned_models": pin}
    settings = read_settings(**{name: value for name, value in given.items() if value})
    if until_eof:
        # The run that started this worker has ended, and its shell waits: running jobs go back to the queue at once.
        settings = settings.model_copy(update={"grace": 0.0})
        end_with_owner(settings)
    from worker.service import run

    set_up_logging(settings, "worker.log", as_json=log_json, quiet=until_eof or linger is not None)
    drained = run(settings, until_eof=until_eof, await_broker=await_broker, burst=burst, linger=linger)
    if drained and until_eof:
        ctx.exit(DRAINED)
