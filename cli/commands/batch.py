"""`captionq batch`: files of requests, one JSON object a line, as OpenAI's Batch API takes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cli.model_options import SectionedCommand, model_options
from cli.options import format_option, model_option
from cli.typed_path import OutputFile, TypedPath
from jobs.options.turn import TurnOptions

_FILE = TypedPath(exists=True, dir_okay=False)
_OUTPUT = OutputFile()
#: The address of `captionq serve` without options.
_DEFAULT_URL = "http://127.0.0.1:8484"


def _server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option(
        "--api-key", envvar="CAPTIONQ_API_KEY", help="Key of the server.  [default: CAPTIONQ_API_KEY]"
    )(command)
    return click.option(
        "--url", envvar="CAPTIONQ_URL", default=_DEFAULT_URL, show_default=True, help="Server.  [env: CAPTIONQ_URL]"
    )(command)


@click.group()
def batch() -> None:
    """Answer a file of requests (JSONL), here or by a running server.

    Each line is a request as OpenAI's Batch API takes it: custom_id, method, url and body. `run` answers a file on this Mac;
    the other commands use a running `captionq serve`.

    \b
    Examples:
      captionq batch run -i requests.jsonl -o answers.jsonl
      captionq batch submit requests.jsonl
      captionq batch status last
      captionq batch fetch last -o answers.jsonl
    """


@batch.command(cls=SectionedCommand)
@click.option("-i", "--input", "source", type=_FILE, required=True, help="File of requests.")
@click.option(
    "-o",
    "--output",
    type=_OUTPUT,
    required=True,
    help="File of answers. If it is there, it is continued: lines that have an answer in it are not asked again.",
)
@click.option(
    "--errors",
    type=_OUTPUT,
    help="File of the lines that failed.  [default: the output's name with .errors.jsonl]",
)
@model_option
@model_options(TurnOptions, parameter="turn")
@click.pass_context
def run(
    ctx: click.Context, source: Path, output: Path, errors: Path | None, model: str | None, turn: TurnOptions
) -> None:
    """Answer the requests on this Mac, without a server.

    Ctrl-C or a power cut loses nothing: the same command goes on. Lines that failed are asked again.
    Exit status: 0 all lines have an answer, 1 some failed, 130 Ctrl-C.

    \b
    Examples:
      captionq batch run -i requests.jsonl -o answers.jsonl
      captionq batch run -i requests.jsonl -o answers.jsonl --model demo
    """
    from cli.runs.batches.batch_run import BatchRun
    from jobs.configuration.read_settings import read_settings

    if len({path.resolve() for path in (source, output, errors) if path is not None}) < (3 if errors else 2):
        raise click.UsageError("Input, output and errors must be different files.")
    settings = read_settings(**({} if model is None else {"model": model}))
    errors = errors or output.with_name(f"{output.name.removesuffix('.jsonl')}.errors.jsonl")
    ctx.exit(BatchRun(settings, source, output, errors, priority=turn.priority).run())


@batch.command()
@click.argument("source", metavar="FILE", type=_FILE)
@click.option("--window", default="24h", show_default=True, help="Time for the batch, such as 30m, 24h or 7d.")
@_server_options
@format_option()
def submit(source: Path, window: str, url: str, api_key: str | None, output_format: str) -> None:
    """Give a file of requests to a running server, and print the id of its batch.

    \b
    Example:
      captionq batch submit requests.jsonl --window 7d
    """
    from cli.runs.batches.batch_client import connected

    with connected(url, api_key) as client:
        made = client.submit(source, window)
    click.echo(json.dumps(made) if output_format == "json" else made["id"])


@batch.command()
@click.argument("batch_id", metavar="[ID|last]", required=False)
@_server_options
@format_option()
def status(batch_id: str | None, url: str, api_key: str | None, output_format: str) -> None:
    """Show a batch of a running server, or the newest ones.

    \b
    Examples:
      captionq batch status
      captionq batch status last --format json
    """
    from cli.output.tables.batch_table import print_file_batches
    from cli.runs.batches.batch_client import connected

    with connected(url, api_key) as client:
        found = client.newest(20) if batch_id is None else [client.find(batch_id)]
    if output_format == "json":
        for one in found:
            click.echo(json.dumps(one))
    else:
        print_file_batches(found, with_errors=batch_id is not None)


@batch.command()
@click.argument("batch_id", metavar="ID|last")
@_server_options
def cancel(batch_id: str, url: str, api_key: str | None) -> None:
    """Cancel a batch of a running server. What it has answered stays.

    \b
    Example:
      captionq batch cancel last
    """
    from cli.runs.batches.batch_client import connected

    with connected(url, api_key) as client:
        ended = client.cancel(client.find(batch_id)["id"])
    click.echo(f"{ended['id']} is {ended['status']}.", err=True)


@batch.command()
@click.argument("batch_id", metavar="ID|last")
@click.option("-o", "--output", type=_OUTPUT, required=True, help="File of answers. An existing file is replaced.")
@click.option(
    "--errors", type=_OUTPUT, help="File of the lines that failed.  [default: the output's name with .errors.jsonl]"
)
@_server_options
def fetch(batch_id: str, output: Path, errors: Path | None, url: str, api_key: str | None) -> None:
    """Download the answers of a batch, also of one that still runs.

    \b
    Example:
      captionq batch fetch last -o answers.jsonl
    """
    from cli.output.plurals import counted
    from cli.runs.batches.batch_client import connected

    errors = errors or output.with_name(f"{output.name.removesuffix('.jsonl')}.errors.jsonl")
    with connected(url, api_key) as client:
        found = client.find(batch_id)
        for file_id, path, word in (
            (found["output_file_id"], output, "answer"),
            (found["error_file_id"], errors, "error"),
        ):
            if file_id is not None and (lines := client.fetch(file_id, path)):
                click.echo(f"{path}: {counted(lines, word)}", err=True)
    click.echo(f"{found['id']} is {found['status']}.", err=True)
