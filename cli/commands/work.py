"""`captionq work`: the worker in the foreground."""

from __future__ import annotations

import click


@click.command()
@click.option("--burst", is_flag=True, help="End when the queue is empty.  [default: wait for more]")
@click.option(
    "--memory-budget",
    help="Memory for models, as 60% of the device's or 24GB: as many stay as fit.  [default: one model at a time]",
)
@click.option(
    "--pin", multiple=True, metavar="MODEL", help="Keep this model once it is loaded; may be repeated.  [default: none]"
)
@click.option("--log-json", is_flag=True, help="One JSON object a line instead of text.")
@click.option("--until-eof", is_flag=True, hidden=True, help="End when the standard input closes.")
def work(burst: bool, memory_budget: str | None, pin: tuple[str, ...], log_json: bool, until_eof: bool) -> None:
    """Run the worker until Ctrl-C.

    It takes jobs from the queue and generates. There is one for a data folder. What it was running when it ended goes on
    with the next one.

    \b
    Examples:
      captionq work
      captionq work --memory-budget 70% --pin mlx-community/Qwen3-VL-4B-Instruct-4bit
    """
    from jobs.logging_setup import set_up_logging
    from jobs.settings import read_settings
    from worker.service import run

    given = {"memory_budget": memory_budget, "pinned_models": pin}
    settings = read_settings(**{name: value for name, value in given.items() if value})
    if until_eof:
        # Its owner has gone, and somebody may wait at a prompt: what runs goes back to the queue at once.
        settings = settings.model_copy(update={"grace": 0.0})
    set_up_logging(settings, "worker.log", as_json=log_json, quiet=until_eof)
    run(settings, until_eof=until_eof, burst=burst)
