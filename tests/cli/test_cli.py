"""The command line: help with examples, quick answers, errors in one line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from redis import Redis
from rq import Worker

from cli.main import COMMANDS, captionq
from cli.options import AnswerOptions, answer_options
from cli.output.report import make_report
from jobs.errors import ImageError
from jobs.queue import broker_server
from jobs.queue.lanes import push, waiting
from jobs.requests import Sampling
from jobs.settings import Settings
from jobs.store.store import Store
from jobs.store.tables import Job, JobStatus, Lane
from tests.support.rows import RESULT, add_batch, make_job
from worker.dispatch.queue_worker import QueueWorker

HEAVY = (
    "mlx",
    "numpy",
    "PIL",
    "fastapi",
    "sqlalchemy",
    "rq",
    "redis",
    "transformers",
    "huggingface_hub",
    "pydantic",
    "llguidance",
)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every command, as it is typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """A runner of commands in the test's own data folder."""
    monkeypatch.setenv("CAPTIONQ_DATA_DIR", str(settings.data_dir))
    return CliRunner()


def output(result: Result) -> str:
    """Return the output of a command that succeeded."""
    assert result.exit_code == 0, result.output
    return result.output


def test_help_imports_nothing_heavy() -> None:
    """Help answers at once: slow modules are imported only by the commands that need them."""
    code = (
        "import sys; from click.testing import CliRunner; from cli.main import captionq\n"
        "assert CliRunner().invoke(captionq, ['--help']).exit_code == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("command", list(commands(captionq)), ids=" ".join)
def test_every_command_says_what_it_does_and_shows_an_example(command: tuple[str, ...]) -> None:
    """Help has an example that begins like the command, names the default of every option, and fits 80 columns."""
    help_text = output(CliRunner().invoke(captionq, [*command, "--help"], terminal_width=80))
    assert max(map(len, help_text.splitlines())) <= 80, help_text
    assert re.search(rf"^ +captionq {' '.join(command)}\b", help_text, re.MULTILINE), help_text
    context = click.Context(captionq)
    found: click.Command | None = captionq
    for name in command:
        assert isinstance(found, click.Group)
        found = found.get_command(context, name)
    assert found is not None
    for option in found.params:
        if (
            isinstance(option, click.Option)
            and not option.hidden
            and option.name not in ("help", "model", "prompt", "batch_id")
            and not option.is_flag
        ):
            shown = option.show_default or "default:" in (option.help or "") or option.default is None
            assert shown, f"{option.name} does not say its default"


def test_every_command_stands_in_the_readme() -> None:
    """The README leaves out no command."""
    readme = Path("README.md").read_text()
    assert [name for name in COMMANDS if f"captionq {name}" not in readme] == []


def test_without_a_terminal_a_job_is_a_line_and_nothing_is_cut(run: CliRunner, store: Store) -> None:
    """A pipe has no width: a long answer takes no room from its neighbours."""
    job = make_job()
    store.add([job])
    store.claim([job.id], "worker")
    text = "A large red circle.\n" * 200
    store.succeed(job.id, replace(RESULT, text=text))
    lines = output(run.invoke(captionq, ["jobs", "list"])).splitlines()
    assert lines[0].split("\t") == ["job", "status", "age", "image", "answer or reason"]
    cells = lines[1].split("\t")
    assert cells[:2] == [job.id, "succeeded"]
    assert cells[4] == " ".join(text.split())


def test_jobs_are_listed_shown_cancelled_and_retried(run: CliRunner, store: Store) -> None:
    """All four commands work on one batch with an answered job and two queued ones."""
    batch, jobs = add_batch(store, 3)
    store.claim([jobs[0].id], "worker")
    store.succeed(jobs[0].id, RESULT)
    listed = output(run.invoke(captionq, ["jobs", "list", "--batch", batch.id]))
    assert "A large red circle" in listed
    assert "2 queued, 1 succeeded" in listed
    shown = output(run.invoke(captionq, ["jobs", "show", jobs[0].id]))
    assert "40 prompt (16 image) + 9 completion tokens" in shown
    assert "/pictures/0.jpg" in shown
    assert "2 queued" in output(run.invoke(captionq, ["jobs", "show", batch.id]))
    nothing = output(run.invoke(captionq, ["jobs", "retry", batch.id]))
    assert nothing == f"Nothing to retry: no job of {batch.id} failed or was cancelled.\n"
    assert output(run.invoke(captionq, ["jobs", "cancel", batch.id])) == "Cancelled 2 jobs.\n"
    nothing = output(run.invoke(captionq, ["jobs", "cancel", batch.id]))
    assert nothing == f"Nothing to cancel: all jobs of {batch.id} have ended.\n"
    assert "Queued 2 jobs as batch_" in output(run.invoke(captionq, ["jobs", "retry", batch.id]))
    assert store.counts()[JobStatus.QUEUED] == 2
    assert store.counts(batch.id)[JobStatus.CANCELLED] == 2


def test_the_summary_names_a_command_that_lists_what_it_counted(
    run: CliRunner, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command lists failed and cancelled jobs alike, for each batch of the run."""
    report = make_report(as_json=False)
    for size in (24, 3):
        batch, jobs = add_batch(store, size)
        store.fail(jobs[0].id, ImageError("It cannot be read."))
        store.cancel([job.id for job in jobs[1:]])
        for job in store.finished_after(batch.id, 0):
            report.finished(job)
    report.sum_up()
    more = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  and ")]
    commands = [re.fullmatch(r"  and (\d+) more: captionq (jobs list .*)", line) for line in more]
    listed = [output(run.invoke(captionq, found[2].split())) for found in commands if found]
    assert [found[1] for found in commands if found] == ["4", "3"]
    assert [sum("job_" in line for line in text.splitlines()) for text in listed] == [24, 3]


def test_programs_read_json(run: CliRunner, store: Store) -> None:
    """A program gets one object a line, with the usage and the times."""
    _, jobs = add_batch(store, 1)
    store.claim([jobs[0].id], "worker")
    store.succeed(jobs[0].id, RESULT)
    row = json.loads(output(run.invoke(captionq, ["jobs", "show", jobs[0].id, "--format", "json"])))
    assert row["text"] == RESULT.text
    assert row["usage"] == {"prompt_tokens": 40, "image_tokens": 16, "completion_tokens": 9}
    assert row["image"] == "/pictures/0.jpg"
    assert row["error"] is None
    assert (row["quality"], row["logprobs"]) == (None, None)


def test_the_quality_of_an_answer_is_shown(run: CliRunner, store: Store) -> None:
    """The list, the job and its JSON show the quality; the log-probabilities are not a string in a string."""
    _, jobs = add_batch(store, 1)
    store.claim([jobs[0].id], "worker")
    logprobs = [{"token": "red", "logprob": -0.5, "bytes": [114, 101, 100], "top_logprobs": []}]
    store.succeed(jobs[0].id, replace(RESULT, text="red red red", quality="repetition", logprobs=json.dumps(logprobs)))
    assert "(repetition) red red red" in output(run.invoke(captionq, ["jobs", "list"]))
    assert re.search(r"^quality +repetition$", output(run.invoke(captionq, ["jobs", "show", jobs[0].id])), re.MULTILINE)
    row = json.loads(output(run.invoke(captionq, ["jobs", "show", jobs[0].id, "--format", "json"])))
    assert (row["quality"], row["logprobs"]) == ("repetition", logprobs)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--stop", ""], "--stop: String should have at least 1 character"),
        (["--stop", "a"] * 5, "--stop: Tuple should have at most 4 items"),
        (["--json-schema", "broken.json"], "broken.json cannot be read as JSON"),
        (
            ["--json-schema", "impossible.json"],
            'impossible.json: The schema cannot be followed: Unimplemented keys: ["not"]',
        ),
        (["--json-schema", "nowhere.json"], "'nowhere.json' does not exist"),
        (["--top-p", "0"], "--top-p"),
        (["--seed", str(2**63)], "--seed: Input should be less than"),
    ],
    ids=["empty stop", "five stops", "broken", "impossible", "missing", "top-p", "seed"],
)
def test_options_that_no_answer_can_meet_are_refused_before_anything_is_queued(
    run: CliRunner, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], reason: str
) -> None:
    """The error names the option or the file."""
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").touch()
    Path("broken.json").write_text("{")
    Path("impossible.json").write_text('{"not": {}}')
    result = run.invoke(captionq, ["caption", "photo.jpg", "--model", "demo", *options])
    assert result.exit_code == 2
    assert reason in result.output
    assert sum(store.counts().values()) == 0


def test_the_options_of_an_answer_reach_the_request(tmp_path: Path) -> None:
    """Each option arrives under its own name."""
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "null"}}}')
    got: list[AnswerOptions] = []

    @click.command
    @answer_options
    def ask(answer: AnswerOptions) -> None:
        got.append(answer)

    typed = ["--max-tokens", "9", "--temperature", "0.5", "--top-p", "0.8", "--seed", "3", "--stop", ".", "--stop", "!"]
    output(CliRunner().invoke(ask, [*typed, "--json-schema", str(schema)]))
    output(CliRunner().invoke(ask, []))
    assert got[0].sampling == Sampling(max_tokens=9, temperature=0.5, top_p=0.8, seed=3, stop=(".", "!"))
    assert got[0].response_format is not None
    assert list(got[0].response_format.json_schema.schema_["properties"]) == ["b", "a"]
    assert (got[1].sampling, got[1].response_format) == (Sampling(), None)


def test_a_job_that_is_not_there_is_an_error_in_one_line(run: CliRunner, store: Store) -> None:
    """An unknown job ends with status 1, no traceback, and the command that lists jobs."""
    result = run.invoke(captionq, ["jobs", "show", "job_nowhere"])
    assert result.exit_code == 1
    assert result.output == "Error: There is no job 'job_nowhere'. `captionq jobs list` shows the newest.\n"


def test_the_models_that_are_here_are_listed(run: CliRunner) -> None:
    """The built-in models are always listed."""
    listed = output(run.invoke(captionq, ["models"]))
    assert re.search(r"^demo +vision +not tried +/.*demo$", listed, re.MULTILINE)
    assert re.search(r"^demo-text +text +not tried +/.*demo-text$", listed, re.MULTILINE)


def test_the_doctor_finds_a_healthy_machine_healthy(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line says ok. A full disk is named, with status 1."""
    usage, free = shutil.disk_usage("/"), 1_000_000_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))
    lines = output(run.invoke(captionq, ["doctor"])).splitlines()
    assert len(lines) == 8
    assert all(line.startswith("ok  ") for line in lines)
    free = 1_000_000
    full = run.invoke(captionq, ["doctor"])
    assert full.exit_code == 1
    assert "free up at least 10 GB" in full.output


@pytest.mark.parametrize("folder", ["/dev/null/nowhere", "/proc/nowhere"])
def test_the_doctor_says_in_words_that_a_data_folder_cannot_be_made(run: CliRunner, folder: str) -> None:
    """The folder is named once, and its contents are not checked."""
    sick = run.invoke(captionq, ["doctor"], env={"CAPTIONQ_DATA_DIR": folder})
    assert sick.exit_code == 1
    assert f"!!  data folder  {folder} cannot be made or used" in sick.output
    assert sick.output.count("CAPTIONQ_DATA_DIR") == 1
    assert "Errno" not in sick.output


def test_the_doctor_finds_a_broker_that_does_not_start(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor starts a broker, and shows its last output."""
    monkeypatch.setattr(broker_server, "server_binary", lambda: Path("/dev/null/valkey-server"))
    sick = run.invoke(captionq, ["doctor"])
    assert sick.exit_code == 1
    assert re.search(r"^!!  broker .* ended at its start .*/dev/null/valkey-server", sick.output, re.MULTILINE)


def test_the_doctor_finds_a_worker_that_cannot_register(run: CliRunner, settings: Settings, connection: Redis) -> None:
    """The doctor registers with the broker as a worker does at its start."""
    connection.set("rq:workers", "no set")
    sick = run.invoke(captionq, ["doctor"])
    assert sick.exit_code == 1
    assert re.search(r"^!!  broker +No worker can start with the broker at /.*WRONGTYPE", sick.output, re.MULTILINE)


def test_the_doctor_leaves_a_running_broker_and_its_workers_alone(
    run: CliRunner, connection: Redis, store: Store
) -> None:
    """The doctor registers under a name of its own and takes no job."""
    push(connection, Lane.BULK, [job.id for job in add_batch(store, 2)[1]])
    worker = QueueWorker("worker", connection)
    worker.register_birth()  # type: ignore[no-untyped-call]  # rq's own signature
    assert "answers at" in output(run.invoke(captionq, ["doctor"]))
    assert [each.name for each in Worker.all(connection)] == ["worker"]
    assert waiting(connection, Lane.BULK) == 2


def test_the_doctor_is_colourful_on_a_terminal_only_and_not_with_no_color(run: CliRunner) -> None:
    """NO_COLOR switches colour off: https://no-color.org."""
    assert "\x1b[" in run.invoke(captionq, ["doctor"], color=True).output
    assert "\x1b[" not in run.invoke(captionq, ["doctor"], color=True, env={"NO_COLOR": "1"}).output
    assert "\x1b[" not in run.invoke(captionq, ["doctor"]).output


@pytest.mark.parametrize(
    ("name", "value"), [("CAPTIONQ_SLOTS", "many"), ("CAPTIONQ_ALLOWED_ROOTS", "/pictures"), ("CAPTIONQ_GRACE", "-1")]
)
def test_a_bad_setting_is_named(run: CliRunner, name: str, value: str) -> None:
    """The error is one line with the variable, without a traceback."""
    result = run.invoke(captionq, ["jobs", "list"], env={name: value})
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert name.removeprefix("CAPTIONQ_").lower() in result.output.lower()


def test_the_summary_names_folders_that_were_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Folders are counted by kind, with the first path of each."""
    report = make_report(as_json=False)
    report.left_out = [Path("/pictures/A.photoslibrary"), *(Path(f"/nas/{name}/@eaDir") for name in ("a", "b"))]
    report.left_out.append(Path("/pictures/B.PhotosLibrary"))
    report.sum_up()
    assert capsys.readouterr().out.splitlines()[1:] == [
        "2 Photos libraries left out (/pictures/A.photoslibrary, …): name one to enter",
        "2 system folders left out (/nas/a/@eaDir, …): name one to enter",
    ]
    report.left_out = [Path("/pictures/A.photoslibrary")]
    report.sum_up()
    assert "\n1 Photos library left out (/pictures/A.photoslibrary): name it to enter" in capsys.readouterr().out


def test_the_summary_names_answers_that_look_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """Such answers still count as captions."""
    report = make_report(as_json=False)
    for name, quality in (("fine", None), ("loops", "repetition"), ("silent", "empty")):
        job = Job(model="demo", request="{}", digest=name, source=f"file:///pictures/{name}.jpg")
        job.status, job.text, job.quality = JobStatus.SUCCEEDED, "red", quality
        report.finished(job)
    report.sum_up()
    said = capsys.readouterr().out
    assert "3 captioned" in said
    assert re.search(r"loops\.jpg: its answer repeats itself", said)
    assert re.search(r"silent\.jpg: its answer is empty", said)
    assert "fine.jpg" not in said
