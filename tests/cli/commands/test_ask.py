"""`captionq ask`: the words of its command line, and answers that are safe to show."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import captionq
from cli.runs.conversation import _PrintedText
from jobs.queue.events import Event
from tests.support.scenes import save_scenes


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["IMAGE"], "The question is missing"),
        (["What is this?"], "The images are missing"),
        (["FOLDER", "What is this?"], "is a folder. Ask about each of its images with -q"),
        (["nowhere.jpg", "What is this?"], "nowhere.jpg does not exist"),
        (["FOLDER", "-q", "n=How many?:integer"], "'-q' / '--question': type: 'integer' is not a type"),
        (["FOLDER", "-q", "How many?"], "'-q' / '--question': 'How many?' is not a question"),
        (["FOLDER", "-q", "n=One?", "-q", "n=Two?"], "-q: Two questions have the name 'n'"),
        (["FOLDER", "-q", "n=One?", "-o", "answers.xls"], "-o: answers.xls is no table"),
        (
            ["FOLDER", "-q", "n=One?", "-o", "nowhere/answers.csv"],
            "'-o' / '--output': The folder nowhere does not exist",
        ),
        (["FOLDER", "-q", "n=One?", "--chat"], "--chat does not go with a table"),
        (["IMAGE", "What is this?", "-o", "answers.csv"], "-o goes with -q or --schema"),
    ],
)
def test_words_that_make_no_question_are_refused(
    run: CliRunner, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    """The error names the option or the word, and nothing is started."""
    (image,) = save_scenes(tmp_path / "pictures", 1)
    places = {"IMAGE": str(image), "FOLDER": str(image.parent)}
    refused = run.invoke(captionq, ["ask", *(places.get(word, word) for word in arguments), "--model", "demo"])
    assert refused.exit_code == 2
    assert reason in " ".join(refused.output.split())


def test_an_answer_cannot_take_over_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters are shown as escapes while the answer grows, wherever a piece of it ends."""
    printed = _PrintedText(silent=False)
    text = "a\x1b[2Jb\nc\u202ed\x9b"
    for at, character in enumerate(text[:-1]):
        printed.add(Event("job", "tokens", {"text": character, "at": at, "attempt": 1}))
    printed.complete(text)
    assert capsys.readouterr().out == "a\\x1b[2Jb\nc\\u202ed\\x9b\n"


def test_a_second_attempt_with_another_answer_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """The worker died in the middle: text that stands on the terminal is not mixed with the new answer."""
    printed = _PrintedText(silent=False)
    printed.add(Event("job", "tokens", {"text": "one", "at": 0, "attempt": 1}))
    printed.add(Event("job", "tokens", {"text": "two", "at": 0, "attempt": 2}))
    printed.complete("two three")
    assert capsys.readouterr().out == "one\ntwo three\n"
