"""Errors that miss a package name the command that installs it into the environment in which captionq runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import captionq
from cli.diagnosis.machine_facts import machine
from jobs.errors.install_commands import command_for_extra, command_for_package

#: As uv 0.13 writes it for `uv tool install --constraints … --excludes … './captionq-1.0.0-py3-none-any.whl[raw]'`.
RECEIPT = """\
[tool]
requirements = [
    { name = "captionq", extras = ["raw"], path = "/Users/me/release/captionq-1.0.0-py3-none-any.whl" },
]
constraints = [{ name = "click", specifier = "==8.4.0" }]
excludes = ["opencv-python"]
entrypoints = [
    { name = "captionq", install-path = "/Users/me/.local/bin/captionq", from = "captionq" },
]
"""
BY_NAME = """\
[tool]
requirements = [
    { name = "captionq" },
    { name = "mlx-audio", specifier = ">=1" },
]
"""


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide an environment of Python, as if captionq ran in it."""
    folder = tmp_path / "captionq"
    folder.mkdir()
    monkeypatch.setattr(sys, "prefix", str(folder))
    return folder


def test_every_command_comes_from_one_place() -> None:
    """Else a sentence tells users of uv and pipx a command that does nothing for them."""
    root = Path(captionq.__file__).parent
    files = [path for floor in ("jobs", "worker", "api", "cli") for path in (root / floor).rglob("*.py")]
    named = {path.name for path in files if re.search(r"pip install|install captionq\[", path.read_text())}
    assert named == {"install_commands.py"}


def test_in_any_environment_pip_installs(prefix: Path) -> None:
    """The installed captionq satisfies the name: pip fetches only the packages of the extra."""
    assert command_for_extra("s3") == "pip install 'captionq[s3]'"
    assert command_for_package("opencv-python") == "pip install opencv-python"


def test_in_an_environment_of_uv_the_tool_is_installed_again_with_more(prefix: Path) -> None:
    """From the same wheel, with the files of the release, and with the extras that are there."""
    (prefix / "uv-receipt.toml").write_text(RECEIPT)
    wheel = "./captionq-1.0.0-py3-none-any.whl"
    installs = "uv tool install --constraints requirements.txt"
    assert command_for_extra("s3") == f"{installs} --excludes unused.txt '{wheel}[raw,s3]'"
    assert command_for_extra("raw") == f"{installs} --excludes unused.txt '{wheel}[raw]'"
    # uv would leave a package out that the release excludes.
    assert command_for_package("opencv-python") == f"{installs} --with opencv-python '{wheel}[raw]'"
    assert machine()["installed_by"] == "uv tool"


@pytest.mark.parametrize(
    ("receipt", "beside"),
    [
        (BY_NAME, "--with 'mlx-audio>=1' "),
        ("[tool]\n", ""),
        ("not TOML", ""),
        ('[tool]\nrequirements = ["captionq"]', ""),
    ],
    ids=["by name", "empty", "damaged", "old"],
)
def test_without_a_wheel_in_the_receipt_the_tool_is_named(prefix: Path, receipt: str, beside: str) -> None:
    """Packages that were added to the tool stay."""
    (prefix / "uv-receipt.toml").write_text(receipt)
    assert command_for_extra("s3") == f"uv tool install {beside}'captionq[s3]'"


def test_in_an_environment_of_pipx_the_packages_are_injected(prefix: Path) -> None:
    """Those of the extra by their versions: the packages that are there stay as they are."""
    (prefix / "pipx_metadata.json").write_text("{}")
    assert command_for_extra("s3") == "pipx inject captionq 'obstore>=0.8'"
    assert command_for_extra("photos") == "pipx inject captionq 'osxphotos<1,>=0.77'"
    assert command_for_package("opencv-python") == "pipx inject captionq opencv-python"
    assert machine()["installed_by"] == "pipx"


@pytest.mark.parametrize("receipt", [RECEIPT, BY_NAME])
def test_a_command_names_no_folder_of_this_machine(prefix: Path, receipt: str) -> None:
    """Clients of the API see it."""
    (prefix / "uv-receipt.toml").write_text(receipt)
    assert "/Users" not in command_for_extra("s3") + command_for_package("opencv-python")
