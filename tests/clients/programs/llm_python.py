"""llm, the command line's client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from checks import MODEL, PICTURE, PROMPT, SCHEMA, URL, follows_schema, run, same

FOLDER = Path(tempfile.mkdtemp())
(FOLDER / "extra-openai-models.yaml").write_text(
    f"- model_id: mine\n  model_name: {MODEL}\n  api_base: {URL}/v1\n  vision: true\n"
    "  supports_schema: true\n  supports_tools: true\n  api_key_name: none\n"
)


def ask(*options: str) -> str:
    """Run the command, and return its answer."""
    command = [str(Path(sys.executable).with_name("llm")), "-m", "mine", "--key", "any", *options]
    environment = {**os.environ, "LLM_USER_PATH": str(FOLDER)}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def plain() -> None:
    """Ask without a picture."""
    same(ask("Count to five."), "one two three four five")


def image() -> None:
    """Ask about a picture at once."""
    same(ask("--no-stream", "-a", str(PICTURE), PROMPT))


def stream() -> None:
    """Ask about a picture, and read the answer as it grows."""
    same(ask("-a", str(PICTURE), PROMPT))


def structured() -> None:
    """Ask for JSON that follows a schema."""
    follows_schema(ask("-a", str(PICTURE), "--schema", json.dumps(SCHEMA), PROMPT))


def tools() -> None:
    """Offer a tool."""
    assert ask("-T", "llm_version", "Count to five.")


run(plain=plain, image=image, stream=stream, structured=structured, tools=tools)
