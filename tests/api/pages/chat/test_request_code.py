"""The code of a request, run by real shells and by Python: it sends what was asked, and nothing in a text or a name runs."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.pages.chat.request_code import CodeRequest, curl_code, python_code

ADDRESS = "http://127.0.0.1:8484"
SHELLS = [shell for shell in ("sh", "bash", "zsh") if shutil.which(shell)]
#: Texts that break out of careless quotes.
HOSTILE = [
    "$(touch broken) `touch broken` ${HOME} \\$(touch broken)",
    "'; touch broken; '\" ; touch broken #",
    "one\nJSON\ntouch broken\n",
    "\x1b[201~touch broken\r \u202e\u2066 \x00 \N{SNOWMAN} \N{MUSICAL SYMBOL G CLEF} \U000e0001 \\n \\",
    "{{ 7 * 7 }} %s {0} </pre>",
]


def request_of(*content: Any, **more: Any) -> CodeRequest:
    """Return a request with one message of this content."""
    return CodeRequest.model_validate(
        {"model": "demo", "messages": [{"role": "user", "content": [*content]}], "temperature": 0, **more}
    )


def text(words: str) -> dict[str, str]:
    """Return a part of a message."""
    return {"type": "text", "text": words}


def picture(name: str) -> dict[str, str]:
    """Return a picture of a message."""
    return {"type": "picture", "name": name, "media_type": "image/png"}


def sent_by_shell(code: str, shell: str, folder: Path) -> tuple[list[str], Any]:
    """Run the code with a program in the place of curl; return its arguments and the body."""
    (folder / "bin").mkdir(exist_ok=True)
    curl = folder / "bin" / "curl"
    curl.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments\ncat > body\n')
    curl.chmod(0o755)
    environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "CAPTIONQ_API_KEY": "secret"}
    # As a paste: the shell reads the code from its input.
    subprocess.run([shell], input=code, cwd=folder, env=environment, text=True, check=True)
    return (folder / "arguments").read_text().splitlines(), json.loads((folder / "body").read_text())


def sent_by_python(code: str, folder: Path) -> dict[str, Any]:
    """Run the code with a module in the place of openai; return the arguments of client and request."""
    (folder / "openai.py").write_text(
        "import json\n"
        "class OpenAI:\n"
        "    def __init__(self, **client):\n"
        "        self.client, self.chat, self.completions = client, self, self\n"
        "    def create(self, **request):\n"
        "        print(json.dumps([self.client, request]))\n"
        "        raise SystemExit\n"
    )
    environment = {"CAPTIONQ_API_KEY": "secret", "PYTHONPATH": str(folder), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    client, request = json.loads(ran.stdout)
    return {**client, **request, **request.get("extra_body", {})}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("words", HOSTILE)
def test_the_shell_sends_any_text_unchanged(tmp_path: Path, words: str, shell: str) -> None:
    """The shell replaces the pictures' variables, and nothing else."""
    code = curl_code(request_of(text(words)), ADDRESS, needs_key=True)
    arguments, body = sent_by_shell(code, shell, tmp_path)
    assert body == {"model": "demo", "messages": [{"role": "user", "content": [text(words)]}], "temperature": 0}
    assert "Authorization: Bearer secret" in arguments
    assert "secret" not in code
    assert all(char.isprintable() or char == "\n" for char in code)
    assert not (tmp_path / "broken").exists()


@pytest.mark.parametrize("words", HOSTILE)
def test_python_sends_any_text_unchanged(tmp_path: Path, words: str) -> None:
    """The text is a literal."""
    code = python_code(request_of(text(words), enable_thinking=True), ADDRESS, needs_key=True)
    sent = sent_by_python(code, tmp_path)
    assert sent["messages"] == [{"role": "user", "content": [text(words)]}]
    assert (sent["base_url"], sent["api_key"], sent["enable_thinking"]) == (f"{ADDRESS}/v1", "secret", True)
    assert "secret" not in code
    assert all(char.isprintable() or char == "\n" for char in code)
    assert not (tmp_path / "broken").exists()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("it's a 'scene'.png", "it's a 'scene'.png"),
        ("-rf $(touch broken).png", "-rf $(touch broken).png"),
        ("../../a/b.png", ".._.._a_b.png"),
        ("a\x1b[201~\ntouch broken\n.png", "a_[201~_touch broken_.png"),
    ],
)
def test_pictures_are_read_from_files_of_their_names(tmp_path: Path, name: str, file: str) -> None:
    """A name that does not print is written with underscores, and two pictures of one name get two files."""
    second = f"{Path(file).stem}-2{Path(file).suffix}"
    # Longer than an argument of a program may be.
    contents = [bytes(200_000), b"other"]
    for path, content in zip((file, second), contents, strict=True):
        (tmp_path / path).write_bytes(content)
    request = request_of(picture(name), picture(name), text("Two?"), max_tokens=9)
    urls = [f"data:image/png;base64,{base64.b64encode(content).decode()}" for content in contents]
    expected = [*({"type": "image_url", "image_url": {"url": url}} for url in urls), text("Two?")]
    for shell in SHELLS:
        _, body = sent_by_shell(curl_code(request, ADDRESS, needs_key=False), shell, tmp_path)
        assert body["messages"][0]["content"] == expected
        assert body["max_tokens"] == 9
    sent = sent_by_python(python_code(request, ADDRESS, needs_key=False), tmp_path)
    assert sent["messages"][0]["content"] == expected
    assert not (tmp_path / "broken").exists()
