"""`captionq serve`: broker, worker and API in one command."""

from __future__ import annotations

from pathlib import Path

import click

from cli.options import served_model_option
from cli.typed_path import TypedPath


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8484,
    show_default=True,
    help="Port to listen on; 0: any free port.",
)
@click.option(
    "--ollama-port",
    type=click.IntRange(0, 65535),
    help="Also listen on this port, for programs that look for Ollama at its own: 11434.  [default: none]",
)
@served_model_option
@click.option(
    "--allow-root",
    "roots",
    multiple=True,
    metavar="DIR",
    type=TypedPath(exists=True, file_okay=False, resolve_path=True),
    help="Let requests name files below this folder; may be repeated.  [default: none]",
)
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of this origin call the API from a browser; may be repeated.  [default: none]",
)
@click.option("--no-worker", is_flag=True, help="Start no worker; `captionq work` generates.")
@click.option("--log-json", is_flag=True, help="Log one JSON object per line instead of text.")
@click.option("--quiet", is_flag=True, help="Log to the files in the data folder only.")
def serve(
    host: str,
    port: int,
    ollama_port: int | None,
    model: str | None,
    roots: tuple[Path, ...],
    origins: tuple[str, ...],
    no_worker: bool,
    log_json: bool,
    quiet: bool,
) -> None:
    """Serve the HTTP API, with its broker and its worker.

    Both restart if they crash. OpenAI's clients work with the base URL http://127.0.0.1:8484/v1 and any key, those of Ollama and
    Anthropic with http://127.0.0.1:8484. An address that other machines can reach needs CAPTIONQ_API_KEYS.

    \b
    Examples:
      captionq serve
      captionq serve --allow-root ~/Pictures
      captionq serve --model mlx-community/Qwen3-VL-8B-Instruct-4bit
      captionq serve --ollama-port 11434
      captionq serve --allow-origin http://localhost:3000
      CAPTIONQ_API_KEYS='{"me": "a-long-secret"}' captionq serve --host 0.0.0.0
    """
    from cli.runs.processes.serve_process import run
    from cli.service.standard_error import trim_standard_error
    from jobs.configuration.read_settings import read_settings

    given = {"allowed_origins": origins, "model": model}
    settings = read_settings(**{name: value for name, value in given.items() if value})
    if quiet:
        trim_standard_error(settings)
    if roots:
        settings = settings.model_copy(update={"served_roots": roots})
    run(
        settings,
        host=host,
        port=port,
        ollama_port=ollama_port,
        with_worker=not no_worker,
        log_json=log_json,
        quiet=quiet,
    )
