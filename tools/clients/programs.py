"""The client programs of `tests/clients/programs/`: how each is run, and what it printed."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "tests" / "clients" / "programs"
#: The checks, in the order of the table's columns.
CHECKS = ("plain", "image", "stream", "structured", "tools", "responses", "batch", "errors")
#: Seconds that a program may take.
_SECONDS = 300


@dataclass(frozen=True)
class Program:
    """A client, and the script that uses it."""

    title: str
    #: The name of the package on PyPI, or on npm for scripts of Node.
    package: str
    script: str

    @property
    def is_node(self) -> bool:
        return self.script.endswith(".mjs")


@dataclass(frozen=True)
class Result:
    """A line that a program printed."""

    check: str
    ok: bool
    note: str | None


@dataclass
class Run:
    """The run of a program: the client's version, and a result for each check that it has."""

    version: str
    results: list[Result] = field(default_factory=list)


PROGRAMS = (
    Program("OpenAI (Python)", "openai", "openai_python.py"),
    Program("OpenAI (Node)", "openai", "node/openai_node.mjs"),
    Program("Anthropic (Python)", "anthropic", "anthropic_python.py"),
    Program("Ollama (Python)", "ollama", "ollama_python.py"),
    Program("LiteLLM", "litellm", "litellm_python.py"),
    Program("LangChain", "langchain-openai", "langchain_python.py"),
    Program("Pydantic AI", "pydantic-ai-slim", "pydantic_ai_python.py"),
    Program("Instructor", "instructor", "instructor_python.py"),
    Program("llm", "llm", "llm_python.py"),
    Program("Vercel AI SDK", "ai", "node/vercel_ai.mjs"),
)


def run_program(command: list[str], *, version: str, environment: dict[str, str]) -> Run:
    """Run a program to its end; a program that breaks off has a result with its last words.

    Args:
        command: the interpreter, and the path of the script.
        environment: the address of the server, and the picture.
    """
    # A proxy of the machine is not asked for a server on this machine, and nothing leaves it.
    quiet = {"NO_PROXY": "*", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment, **quiet},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        printed, status, words = done.stdout, done.returncode, done.stderr
    except subprocess.TimeoutExpired as error:
        out = error.stdout or b""
        printed, status, words = out.decode() if isinstance(out, bytes) else out, 1, f"no end after {_SECONDS} s"
    run = Run(version)
    for line in printed.splitlines():
        if line.startswith('{"check"'):
            run.results.append(Result(**json.loads(line)))
    if status:
        run.results.append(Result("start", ok=False, note=(words.strip().splitlines() or ["it failed"])[-1]))
    return run
