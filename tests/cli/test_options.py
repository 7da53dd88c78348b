"""Options and arguments: values that are refused, and those that reach the request."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from api.schemas.folder import FolderBody
from cli.commands.caption import caption
from cli.main import captionq
from cli.model_options import model_options
from cli.options import read_response_format
from jobs.options.caption_options import CaptionOptions
from jobs.options.outputs import OutputOptions
from jobs.options.sampling import SamplingOptions
from jobs.requests import Sampling
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
