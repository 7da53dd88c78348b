"""The log of a process: names in messages cannot steer the terminal, nor fake a line."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from jobs.configuration.settings import Settings
from jobs.logging_setup import set_up_logging
from jobs.safe_text import UNSHOWN


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    """Restore the handlers of the root logger."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in root.handlers:
        if handler not in before:
            handler.close()
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.parametrize("as_json", [False, True])
def test_names_in_messages_cannot_steer_the_terminal(
    settings: Settings, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    """A message is one line in the file and on the terminal; a traceback keeps its lines."""
    name = "\x1b[2J\n\u202egnp\udce9"
    set_up_logging(settings, "test.log", as_json=as_json)
    logging.getLogger("captionq.test").warning("%s failed.", name)
    said = capsys.readouterr().err
    log = (settings.log_dir / "test.log").read_text()
    for text in (said, log):
        assert len(text.splitlines()) == 1
        assert UNSHOWN.findall(text.rstrip("\n")) == []
    if as_json:
        assert json.loads(said)["message"] == f"{name} failed."
    else:
        assert said[9:] == "\\x1b[2J\\n\\u202egnp\\xe9 failed.\n"
    logging.getLogger("captionq.test").error("It failed.", exc_info=ValueError("a defect"))
    assert "ValueError: a defect" in capsys.readouterr().err
