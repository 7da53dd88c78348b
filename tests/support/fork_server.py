"""The fork server of processes that tests kill, and of commands: it imports once for all of them."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext

#: Modules that the processes use. A test process has one server, so it serves the tests of all of them.
_PRELOADED = [
    "tests.support.file_kills",
    "tests.support.migration_kills",
    # The imports of a migration.
    "alembic.autogenerate",
    "alembic.command",
    "jobs.store.file_batches.batch_tables",
    "jobs.store.pictures.follow_ups",
    "jobs.store.response_rows",
    # The imports of commands and servers. mlx is none of them: its threads would not survive a fork.
    "tests.support.forked_commands",
    "cli.commands.ask",
    "cli.commands.caption",
    "cli.commands.results.jobs",
    "cli.commands.serve",
    "cli.runs.caption_run",
    "cli.runs.dry_run",
    "cli.runs.model_check",
    "cli.runs.processes.serve_process",
    "cli.runs.run_table",
    "cli.runs.sample",
    "cli.runs.watched_folders",
]


def fork_server() -> ForkServerContext:
    """Return the context of the server, which starts with its first process."""
    context: ForkServerContext = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context
