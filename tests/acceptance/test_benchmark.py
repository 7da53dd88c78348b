"""`captionq bench`: the real command on the built-in model, and the parts whose faults a figure would hide."""

from __future__ import annotations

import json
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from PIL import Image

from cli.benchmark import stack_sampler
from cli.benchmark.chart import Bar, draw_bars
from cli.benchmark.contest import Run, Task, wrong_rows
from cli.benchmark.pictures import save_pictures
from cli.benchmark.result import Result
from cli.benchmark.rounds import all_wrong, interleaved, ratio_of
from cli.benchmark.stack_sampler import run_sampled
from jobs.configuration.settings import Settings
from tests.support.adapters import save_adapter
from tests.support.processes import PATIENCE, Captionq, ended, kill, processes_with, until
from tests.support.scenes import draw_many

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def captionq(settings: Settings, tmp_path: Path) -> Iterator[Captionq]:
    """The command, with a folder of its own for temporary files, and settings that a contestant must not inherit."""
    captionq = Captionq(settings)
    (tmp_path / "temporary").mkdir()
    # mlx compiles its kernels for the CPU into this folder, in half a minute; they are those of all other tests.
    kernels = Path(tempfile.gettempdir()) / "mlx"
    kernels.mkdir(exist_ok=True)
    (tmp_path / "temporary/mlx").symlink_to(kernels)
    captionq.environment["TMPDIR"] = str(tmp_path / "temporary")
    captionq.environment["CAPTIONQ_DATABASE_URL"] = "sqlite:////dev/null/nowhere.db"
    captionq.environment["CAPTIONQ_REDIS_URL"] = "unix:///dev/null/nowhere"
    captionq.environment["CAPTIONQ_ALLOWED_ROOTS"] = '["/nowhere"]'
    yield captionq
    kill(processes_with("TMPDIR", tmp_path / "temporary"))


def run_of(texts: tuple[str | None, ...], seconds: float = 1.0) -> Run:
    """Make a run with these answers."""
    return Run(seconds, 1.0, texts, tokens=8, peak_memory=1, max_rss=1)


def left_in(folder: Path) -> list[str]:
    """Return the benchmark's files in the folder of temporary files."""
    return [path.name for path in folder.iterdir() if path.name.startswith("captionq-bench")]


def test_the_benchmark_measures_both_and_leaves_nothing(captionq: Captionq, tmp_path: Path) -> None:
    """Equal answers, two measured runs, a chart that opens. Broken pictures are named; the user's files stay as they were."""
    folder, plot = tmp_path / "pictures", tmp_path / "plot.png"
    save_pictures(folder, 3)
    (folder / "broken.jpg").write_bytes(b"no picture")
    before = sorted([*captionq.settings.data_dir.rglob("*"), *folder.iterdir()])
    arguments = (folder, "--max-tokens", "6", "--rounds", "1", "--plot", plot, "--format", "json")
    ran = captionq.run("bench", *arguments, patience=300)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["wrong_rows"] == {"loop": [], "captionq": []}
    (row,) = result["rounds"]
    assert row["loop"]["tokens"] == row["captionq"]["tokens"] > 5
    assert all(one["seconds"] > 0 and one["peak_memory"] > 2_000_000 for one in row.values())
    assert all(one["max_rss"] > one["peak_memory"] for one in row.values())
    # Neither always nor never in the engine: the sampler knows the engine's file by its name.
    assert 0 < row["captionq"]["outside"] < 1
    shares = {name: row["share"] for name, row in result["time"]["stages"].items()}
    assert set(shares) == {"vision", "prefill", "decode", "wait", "rest"}
    # The worker's figures are read a moment before and after the run.
    assert 0.9 < sum(shares.values()) < 1.1
    assert all(shares[stage] > 0 for stage in ("vision", "prefill", "decode"))
    assert result["time"]["probe"]["half_pixels"]["images"] == 3
    assert {line.split(":")[0] for line in result["time"]["advice"]} >= {"Pixels", "Groups", "Slots"}
    assert "Round 1 of 1: captionq" in ran.stderr
    assert "Left out: broken.jpg" in ran.stderr
    with Image.open(plot) as chart:
        assert chart.format == "PNG"
    assert sorted([*captionq.settings.data_dir.rglob("*"), *folder.iterdir()]) == before
    assert left_in(tmp_path / "temporary") == []


@pytest.mark.thorough
def test_models_are_compared_by_speed_memory_and_references(captionq: Captionq, tmp_path: Path) -> None:
    """An adapter makes another model of the built-in one, and only the built-in one says what the references say."""
    save_adapter(tmp_path / "adapter")
    # Beside the folder of temporary files, which has pictures to warm up with.
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    scenes = draw_many(2)
    for number, scene in enumerate(scenes):
        scene.image.save(pictures / f"{number}.png")
    rows = [{"file_name": f"{number}.png", "text": scene.caption} for number, scene in enumerate(scenes)]
    (tmp_path / "wanted.jsonl").write_text("\n".join(map(json.dumps, rows)))
    other = f"demo+adapter={tmp_path / 'adapter'}"
    arguments = (
        "--models",
        f"demo,{other}",
        "--references",
        tmp_path / "wanted.jsonl",
        "--prompt",
        "Describe this image.",
    )
    ran = captionq.run("bench", pictures, *arguments, "--rounds", "1", "--max-tokens", "40", patience=300)
    assert ran.returncode == 0, ran.stderr
    heading, *rows_shown = ran.stdout.splitlines()[:3]
    assert heading.split() == ["model", "images/s", "mlx", "resident", "tokens", "token", "F1"]
    assert all(len(line) <= 80 for line in ran.stdout.splitlines())
    scores = {line.split()[0]: float(line.split()[-1]) for line in rows_shown}
    assert scores["demo"] == 1.0
    assert len(scores) == 2
    assert all(score < 1.0 for name, score in scores.items() if name != "demo")
    assert str(tmp_path) not in ran.stdout


@pytest.mark.thorough
def test_switches_are_compared_and_what_has_no_effect_is_said(captionq: Captionq) -> None:
    """Each runs in a process of its own; none changes an answer here, where mlx has no Metal."""
    arguments = ("--compare-switches", "--model", "demo", "--images", "3", "--rounds", "1", "--max-tokens", "4")
    ran = captionq.run("bench", *arguments, "--format", "json", patience=300)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert list(result["summary"]) == ["as set", "clear after load", "half precision", "2000 ops"]
    assert all(row["differ"] == 0 and row["images_per_second"] > 0 for row in result["summary"].values())
    assert result["metal"] or "2000 ops has no effect" in " ".join(result["notes"])


def test_the_table_fits_a_terminal_and_counts_wrong_answers(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both contestants have a row, with the number of answers that differ from the loop's."""
    monkeypatch.setenv("COLUMNS", "80")
    task = Task("demo", "What is this?", 3, images=(Path("a.jpg"), Path("b.jpg")), warm_up=())
    Result(task, settings, [{"loop": run_of(("red", "blue")), "captionq": run_of(("red", "green"))}]).show(
        as_json=False
    )
    table = capsys.readouterr().out.splitlines()[:3]
    assert [line.split("  ")[0].strip() for line in table] == ["", "plain loop", "captionq"]
    assert max(map(len, table)) < 80
    assert "0 of 2" in table[1]
    assert "1 of 2" in table[2]


@pytest.mark.parametrize("sign", [pytest.param("loop.log", marks=pytest.mark.thorough), "run-*/*.txt"])
def test_ctrl_c_ends_every_process(captionq: Captionq, tmp_path: Path, sign: str) -> None:
    """In the loop's turn and in captionq's, all processes end, and their folders are removed."""
    temporary = tmp_path / "temporary"
    running = captionq.start("bench", "--images", "2", "--rounds", "20", "--max-tokens", "6")
    # captionq's turn comes after the loop's, which a loaded machine takes minutes for.
    until(lambda: any(temporary.glob(f"captionq-bench-*/{sign}")) or running.poll() is not None, sign, patience=300)
    running.send_signal(signal.SIGINT)
    stopped = ended(running)
    assert stopped.returncode == 130
    assert stopped.stderr.endswith("\nStopped.\n")
    assert "Traceback" not in stopped.stderr
    assert left_in(temporary) == []
    # A loop that was being started ends by itself: there is no task to read.
    until(lambda: processes_with("TMPDIR", temporary) == [], "every process to end")


def test_a_folder_without_pictures_is_an_error_in_one_line(captionq: Captionq, tmp_path: Path) -> None:
    """No contestant is started."""
    (tmp_path / "empty").mkdir()
    ran = captionq.run("bench", tmp_path / "empty")
    assert ran.returncode == 1
    assert ran.stderr == f"Error: No usable picture in {tmp_path / 'empty'}.\n"


def test_a_swapped_or_missing_answer_is_a_wrong_row() -> None:
    """A wrong answer in any round counts."""
    expected = run_of(("red", "green", "blue"))
    assert wrong_rows(expected, expected) == []
    assert wrong_rows(run_of(("green", "red", "blue")), expected) == [0, 1]
    rounds = [{"captionq": run_of(("red", "green", None))}, {"captionq": run_of(("red", "", "blue"))}]
    assert all_wrong(rounds, "captionq", expected) == [1, 2]


def test_contestants_take_turns_and_each_begins_a_round() -> None:
    """Other load on the machine then falls on all of them."""
    order: list[str] = []
    done = interleaved({"a": lambda: "A", "b": lambda: "B"}, 2, lambda number, name: order.append(f"{number}{name}"))
    assert order == ["0a", "0b", "1b", "1a"]
    assert done == [{"a": "A", "b": "B"}] * 2


def test_ratios_are_taken_within_rounds() -> None:
    """The machine is ten and five times as fast in the later rounds; the ratio of the medians would be 3."""
    seconds = ((60, 30), (6, 3), (12, 4))
    rounds = [{"loop": run_of(("x",), loop), "captionq": run_of(("x",), ours)} for loop, ours in seconds]
    assert ratio_of(rounds, "captionq", "loop", lambda run: run.rate) == 2


def test_pictures_are_the_same_at_every_call_and_no_two_are_alike(tmp_path: Path) -> None:
    """The pictures have the stated sizes, and as many bytes per pixel as photographs."""
    first, again = save_pictures(tmp_path / "first", 6), save_pictures(tmp_path / "again", 6)
    contents = [path.read_bytes() for path in first]
    assert contents == [path.read_bytes() for path in again]
    assert len(set(contents)) == 6
    for path in first:
        with Image.open(path) as picture:
            assert 640 <= max(picture.size) <= 1600
            assert 0.5 < path.stat().st_size * 8 / (picture.width * picture.height) < 4


def test_bars_are_as_long_as_their_values(tmp_path: Path) -> None:
    """Bars begin at zero and share one scale."""
    path = tmp_path / "bars.png"
    draw_bars(path, "Speed", "of two", [Bar("slow", 1, "1", "plain"), Bar("fast", 4, "4", "ours")], ["a footer"])
    with Image.open(path) as chart:
        pixels = chart.convert("RGB")
        lengths = [
            max(sum(pixels.getpixel((x, y)) == colour for x in range(pixels.width)) for y in range(0, pixels.height, 4))
            for colour in ((151, 160, 170), (30, 110, 190))
        ]
    assert lengths[1] / lengths[0] == pytest.approx(4, rel=0.02)


def test_the_sampler_reports_after_a_failure_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is raised unchanged, and the samples until then are kept."""
    report = tmp_path / "report.json"
    monkeypatch.setattr("sys.argv", ["captionq", str(report), "work"])

    place, seen, sampled_twice = stack_sampler._place, [], threading.Event()

    def look(frame: FrameType | None) -> tuple[bool, str]:
        seen.append(place(frame))
        if len(seen) == 2:
            sampled_twice.set()
        return seen[-1]

    def fail() -> None:
        assert sampled_twice.wait(PATIENCE)
        raise RuntimeError("broken")

    monkeypatch.setattr(stack_sampler, "_place", look)

    with pytest.raises(RuntimeError, match="broken"):
        run_sampled(fail)
    samples = json.loads(report.read_text())["samples"]
    assert len(samples) >= 2
    assert not any(inside for *_, inside, _ in samples)
