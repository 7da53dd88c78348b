"""Options and arguments: values that are refused, and those that reach the request."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from api.schemas.folder import FolderBody
from cli.commands.caption import caption
from cli.file_values import TextFile
from cli.main import captionq
from cli.model_options import model_options, with_values
from cli.options import read_response_format
from jobs.options.caption_options import CaptionOptions
from jobs.options.outputs import OutputOptions
from jobs.options.sampling import SamplingOptions
from jobs.sampling import Sampling
from jobs.store.store import Store
from tests.support.command_output import output


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


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        (["nowhere.jpg"], 2, "nowhere.jpg does not exist."),
        (["photo.jpg", "--prompt", "What?", "--preset", "tags"], 2, "Give either a prompt or a preset, not both."),
        (["photo.jpg", "--force"], 2, "force goes with existing: replace."),
        (["photo.jpg", "--output", "json", "--existing", "append"], 2, "append and prepend need txt"),
        (["photo.jpg", "--table", "captions.doc"], 1, "captions.doc is no name of a table."),
        (["photo.jpg", "--model", "no-such-model"], 1, "no-such-model"),
        (["photo.jpg", "--model", "demo-text"], 1, "text-only"),
    ],
    ids=["missing", "two prompts", "force", "append without texts", "table", "unknown model", "blind model"],
)
def test_a_caption_run_that_makes_no_sense_is_refused(
    run: CliRunner,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    status: int,
    reason: str,
) -> None:
    """The error is a line that names the culprit; nothing is queued."""
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").touch()
    result = run.invoke(captionq, ["caption", *options])
    assert result.exit_code == status
    assert reason in result.stderr
    assert sum(store.counts().values()) == 0


def test_the_options_of_an_answer_reach_the_request(tmp_path: Path) -> None:
    """Each option arrives under its own name."""
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "null"}}}')
    got: list[SamplingOptions] = []

    @click.command
    @model_options(SamplingOptions, parameter="options")
    def ask(options: SamplingOptions) -> None:
        got.append(options)

    typed = ["--max-tokens", "9", "--temperature", "0.5", "--top-p", "0.8", "--seed", "3", "--stop", ".", "--stop", "!"]
    output(CliRunner().invoke(ask, typed))
    output(CliRunner().invoke(ask, []))
    assert got[0].sampling == Sampling(max_tokens=9, temperature=0.5, top_p=0.8, seed=3, stop=(".", "!"))
    assert got[1].sampling == Sampling()
    followed = read_response_format(schema)
    assert followed is not None
    effective = followed.json_schema.effective
    assert list(effective["properties"]) == effective["required"] == ["b", "a"]
    assert effective["additionalProperties"] is False
    assert read_response_format(None) is None


def test_several_choices_come_with_commas_or_one_by_one() -> None:
    """In any order; a wrong one is named with the right ones."""
    got: list[OutputOptions] = []

    @click.command
    @model_options(OutputOptions, parameter="options")
    def write(options: OutputOptions) -> None:
        got.append(options)

    for typed in (["--output", "xmp,txt"], ["--output", "xmp", "--output", "txt"], ["--output", "txt, xmp,txt"], []):
        output(CliRunner().invoke(write, typed))
    assert [one.output for one in got] == [("txt", "xmp")] * 3 + [("txt",)]
    refused = CliRunner().invoke(write, ["--output", "txt,pdf"])
    assert refused.exit_code == 2
    assert "'pdf' is not one of 'txt', 'json', 'xmp'" in refused.stderr


def test_every_field_of_the_run_s_options_has_an_option_and_a_description() -> None:
    """The command line and the body of POST /v1/folders offer the same."""
    flags = {param.name for param in caption.params}
    for name, field in CaptionOptions.model_fields.items():
        assert name in flags
        assert field.description
        assert name in FolderBody.model_fields


def test_the_options_of_prompts_reach_every_request(
    run: CliRunner, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are read, presets bring their options, and options that were not typed leave those as they are."""
    got: list[CaptionOptions] = []

    @click.command
    @click.option("--prompt-file", type=TextFile())
    @model_options(CaptionOptions, parameter="options")
    def ask(prompt_file: str | None, options: CaptionOptions) -> None:
        got.append(options if prompt_file is None else with_values(options, prompt=prompt_file))

    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("\ufeffAnimals\n\tDog\nCar\n")
    Path("prompts.toml").write_text('[[prompts]]\nprompt = "A"\nweight = 3\n[[prompts]]\nprompt = "B"\n')
    Path("prompt.txt").write_text("What is it?")
    output(run.invoke(ask, ["--vocabulary", "words.txt", "--max-keywords", "2"]))
    output(run.invoke(ask, ["--prompts", "prompts.toml", "--max-pixels", "5000", "--detail", "low"]))
    output(run.invoke(ask, ["--prompt-file", "prompt.txt", "--language", "de", "--system", "Be brief."]))
    output(run.invoke(ask, ["--preset", "ocr"]))
    assert (got[0].vocabulary, got[0].max_keywords) == (("Animals|Dog", "Car"), 2)
    assert [(one.prompt, one.weight) for one in got[1].prompts] == [("A", 3), ("B", 1)]
    assert (got[1].max_pixels, got[1].detail) == (5000, "low")
    assert [one.prompt for one in got[2].wordings()] == ["What is it? Answer in German."]
    assert got[2].system == "Be brief."
    assert got[3].sampling == Sampling(max_tokens=2048)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--preset", "tag"], "--preset: Unknown preset 'tag' (did you mean tags?)."),
        (["--language", "xx"], "--language: 'xx' is not a known code"),
        (["--vocabulary", "empty.txt"], "--vocabulary: The vocabulary has no words."),
        (["--vocabulary", "commas.txt"], "--vocabulary: 'a, b' has a comma. Write one word a line."),
        (["--vocabulary", "latin.txt"], "latin.txt cannot be read as text"),
        (["--prompts", "commas.txt"], "commas.txt is not valid TOML"),
        (["--prompts", "empty.txt"], "empty.txt must have [[prompts]] tables and nothing else."),
        (["--prompts", "weights.toml"], "--prompts: Input should be greater than 0"),
        (["--prompt-file", "commas.txt", "--prompt", "What?"], "--prompt-file"),
        (["--prompt-file", "empty.txt"], "--prompt"),
        (
            ["--vocabulary", "words.txt", "--json-schema", "schema.json"],
            "Give either a schema or vocabulary, not both.",
        ),
    ],
)
def test_a_mistake_in_a_file_of_options_is_named(
    run: CliRunner, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], reason: str
) -> None:
    """The error names the option or the file; nothing is queued."""
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").touch()
    Path("empty.txt").touch()
    Path("words.txt").write_text("red\n")
    Path("commas.txt").write_text("a, b\n")
    Path("latin.txt").write_bytes(b"caf\xe9")
    Path("weights.toml").write_text('[[prompts]]\nprompt = "A"\nweight = 0\n')
    Path("schema.json").write_text('{"type": "object"}')
    result = run.invoke(captionq, ["caption", "photo.jpg", "--model", "demo", *options])
    assert result.exit_code != 0
    assert reason in result.output
    assert sum(store.counts().values()) == 0
