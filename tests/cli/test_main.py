"""The boundary of the command line: each fault is a sentence, whose names cannot steer the terminal."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import OperationalError

from cli.main import captionq
from jobs.safe_text import UNSHOWN
from jobs.store.store import Store
from tests.support.other_user import read_only_folder, run_without_rights
from tests.support.processes import SCRIPT

HOSTILE = "\x1b[2J\r\n\u202egnp\x9b.jpg"


@pytest.mark.parametrize(
    "command",
    [
        [HOSTILE],
        [f"--{HOSTILE}"],
        ["caption", HOSTILE],
        ["caption", f"--{HOSTILE}", "x"],
        ["caption", ".", "--existing", HOSTILE],
        ["caption", ".", "--json-schema", HOSTILE],
        ["caption", ".", "--exclude", f"!{HOSTILE}", "--model", HOSTILE],
        ["jobs", "show", HOSTILE],
        ["jobs", "list", "--batch", HOSTILE],
        ["jobs", "retry", HOSTILE],
        ["models", HOSTILE],
        ["doctor", HOSTILE],
    ],
    ids=lambda command: " ".join(command).replace(HOSTILE, "NAME"),
)
def test_errors_cannot_steer_the_terminal(run: CliRunner, store: Store, command: list[str]) -> None:
    """Faults that Click finds, and those that captionq finds."""
    result = run.invoke(captionq, command)
    assert result.exit_code in (1, 2)
    assert UNSHOWN.findall(result.output.replace("\n", "")) == []
    assert r"\x1b[2J\r\n" in result.output


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "/data/x: No space left on device."),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system."),
        (
            OperationalError("UPDATE", {}, Exception("database is locked")),
            "There is a fault of the database: database is locked.",
        ),
        (RedisConnectionError("connection refused"), "The queue's server cannot be used (connection refused)."),
        (OSError(errno.EINVAL, "Invalid argument"), None),
        (KeyError("a defect"), None),
    ],
)
def test_faults_of_the_machine_are_sentences_and_defects_are_not(
    run: CliRunner, monkeypatch: pytest.MonkeyPatch, fault: Exception, said: str | None
) -> None:
    """A defect keeps its traceback."""

    def fails(*_: object) -> NoReturn:
        raise fault

    monkeypatch.setattr(Store, "__init__", fails)
    result = run.invoke(captionq, ["jobs", "list"])
    assert result.output == ("" if said is None else f"Error: {said}\n")
    assert (result.exception is fault) == (said is None)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_is_the_null_device(tmp_path: Path, closed: str) -> None:
    """The command does its work, and no file of it gets the number of a stream."""
    command = f"{shlex.quote(str(SCRIPT))} cache stats --format json {closed}"
    environment = {**os.environ, "CAPTIONQ_DATA_DIR": str(tmp_path)}
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('{"answers": 0') == (closed in ("<&-", "2>&-"))


def test_a_read_only_data_folder_is_named_with_the_way_out() -> None:
    """The command and the check of everything say the same."""
    imports = (
        "from click.testing import CliRunner\nimport cli.commands.setup.doctor, cli.commands.results.jobs\n"
        "import cli.output.tables.job_table\n"
        "import jobs.store.store, jobs.configuration.read_settings, cli.open_store\n"
        "import worker.models.device, jobs.models.model_info\n"
        # The library of Python reads a distribution's version with modules that it imports then.
        "worker.models.device.device_name()\n"
        "from cli.main import captionq"
    )
    code = (
        "os.environ['CAPTIONQ_DATA_DIR'] = sys.argv[1]\n"
        "print(CliRunner().invoke(captionq, ['jobs', 'list']).output)\n"
        "print(CliRunner().invoke(captionq, ['doctor']).output)"
    )
    with read_only_folder() as folder:
        for name in ("broker", "logs", "blobs", "runs"):
            folder.chmod(0o755)
            (folder / name).mkdir()
            folder.chmod(0o555)
        said = run_without_rights(imports, code, str(folder))
    sentence = f"{folder} cannot be written to. Make it writable, or set CAPTIONQ_DATA_DIR to another folder."
    assert said.startswith(f"Error: {sentence}\n")
    assert f"!!  data folder  {sentence}\n" in said
