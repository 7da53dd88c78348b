"""What shells complete, and how little is imported for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from cli.main import captionq
from jobs.configuration.settings import Settings
from jobs.store.queries.run_ids import newest_runs
from jobs.store.store import Store
from jobs.store.tables import Batch, BatchKind
from tests.support.command_output import output
from tests.support.processes import SCRIPT
from tests.support.rows import add_batch


def completed(*words: str) -> list[str]:
    """Return the values for the last word."""
    found = ShellComplete(captionq, {}, "captionq", "_CAPTIONQ_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [item.value for item in found]


def test_commands_and_options_are_completed() -> None:
    """The root's options, and those of a command."""
    assert completed("ca") == ["caption", "cache"]
    assert "--version" in completed("--v")
    assert "--model" in completed("caption", "--mo")


def test_models_of_the_cache_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that is a path gets folders."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "models--mlx-community--Qwen3-VL-4B").mkdir()
    (tmp_path / "datasets--a--b").mkdir()
    assert completed("caption", "--model", "") == ["demo", "mlx-community/Qwen3-VL-4B"]
    assert completed("caption", "--model", "ml") == ["mlx-community/Qwen3-VL-4B"]
    assert completed("caption", "--model", "./m") == ["./m"]


def test_presets_are_completed_also_with_a_broken_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own are among them."""
    file = tmp_path / "config.toml"
    monkeypatch.setenv("CAPTIONQ_CONFIG", str(file))
    file.write_text('[presets.desert]\nprompt = "Name\\nplants."\n')
    assert completed("caption", "--preset", "de") == ["describe", "detailed", "desert"]
    file.write_text("broken")
    assert completed("caption", "--preset", "de") == ["describe", "detailed"]


def test_runs_are_completed_with_their_descriptions(
    run: CliRunner, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest first, and no samples of the page; a database that is missing, damaged or not SQLite has none."""
    ids = [add_batch(store, 1)[0] for _ in range(2)]
    store.add_batch(Batch(description="a sample of the page", kind=BatchKind.SAMPLE, model="demo"))
    assert list(newest_runs(9)) == [batch.id for batch in reversed(ids)]
    assert completed("undo", "") == ["last", *newest_runs(9)]
    assert completed("jobs", "pause", "batch_") == list(newest_runs(9))
    assert completed("open", "la") == []
    assert len(newest_runs(1)) == 1
    monkeypatch.setenv("CAPTIONQ_DATABASE_URL", "postgresql://host/db")
    assert newest_runs(9) == {}
    monkeypatch.delenv("CAPTIONQ_DATABASE_URL")
    (settings.data_dir / "captionq.db").write_text("damaged, and longer than any header of a database" * 9)
    assert newest_runs(9) == {}
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(settings.data_dir / "nowhere"))
    assert newest_runs(9) == {}


def test_completing_imports_no_database() -> None:
    """A shell waits for it."""
    code = (
        "import sys; from click.shell_completion import ShellComplete; from cli.main import captionq\n"
        "complete = ShellComplete(captionq, {}, 'captionq', '_CAPTIONQ_COMPLETE').get_completions\n"
        "assert complete([], 'ser'); assert 'pydantic' not in sys.modules\n"
        "assert complete(['undo'], '')\n"
        "print([name for name in ('sqlalchemy', 'huggingface_hub', 'redis') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("shell", ["zsh", "bash", "fish"])
def test_the_script_says_where_it_goes(run: CliRunner, shell: str) -> None:
    """The line is a comment; a shell that is here reads the script."""
    script = output(run.invoke(captionq, ["completion", shell]))
    *_, last = script.splitlines()
    assert last.startswith("# ")
    assert f"captionq completion {shell}" in last
    if (program := shutil.which(shell)) is not None:
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_a_missing_shell_is_asked_for_in_one_line(run: CliRunner) -> None:
    """Click's own sentence has a line for each shell."""
    last = run.invoke(captionq, ["completion"]).output.splitlines()[-1]
    assert last == "Error: Missing argument '{zsh|bash|fish}'. Choose from: zsh, bash, fish"


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_a_command(run: CliRunner) -> None:
    """The script's function asks the installed program."""
    script = output(run.invoke(captionq, ["completion", "bash"]))
    asked = "\nCOMP_WORDS=(captionq servi); COMP_CWORD=1; _captionq_completion captionq\necho ${COMPREPLY[@]}\n"
    environment = {**os.environ, "PATH": f"{SCRIPT.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc"], input=script + asked, capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "service\n"
