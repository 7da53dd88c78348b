"""A release, made in a copy of this checkout by the real command: its commit and tag, its files, and what is in them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VERSION = "99.0.1"
FILES = {
    f"captionq-{VERSION}-py3-none-any.whl",
    f"captionq-{VERSION}.tar.gz",
    "requirements.txt",
    "unused.txt",
    "sbom.cdx.json",
    "captionq.rb",
    "SHA256SUMS",
}
#: Who commits in the copy.
SOMEBODY = {f"GIT_{who}_{what}": "tests" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")} | {
    "GIT_CONFIG_GLOBAL": os.devnull
}


@dataclass
class Checkout:
    """A checkout of this project."""

    path: Path

    def git(self, *arguments: str) -> str:
        """Run git, and return its output."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=os.environ | SOMEBODY, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def release(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the tool of releases, without the gate."""
        command = [sys.executable, "-m", "tools.release", "--without-gate", *arguments]
        return subprocess.run(
            command, cwd=self.path, env=os.environ | SOMEBODY, capture_output=True, text=True, check=False
        )

    @property
    def files(self) -> Path:
        """The folder of the release's files."""
        return self.path / "dist" / VERSION

    @property
    def wheel(self) -> zipfile.ZipFile:
        """The release's wheel."""
        return zipfile.ZipFile(self.files / f"captionq-{VERSION}-py3-none-any.whl")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of this checkout as it is, committed, after one release of it."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("a release is made from a checkout with git")
    copy = Checkout(tmp_path_factory.mktemp("release") / "captionq")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (copy.path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy.path / name)
    copy.git("init", "--quiet")
    copy.git("add", "--all")
    copy.git("commit", "--quiet", "--message", "Everything")
    released = copy.release(VERSION)
    assert released.returncode == 0, released.stdout + released.stderr
    assert "Nothing was published" in released.stdout
    return copy


def test_the_release_is_a_commit_with_a_tag(checkout: Checkout) -> None:
    """The commit has the version and the changelog's new heading, and nothing else; the tag has the text of the changelog."""
    assert checkout.git("rev-parse", f"v{VERSION}^{{commit}}") == checkout.git("rev-parse", "HEAD")
    assert checkout.git("log", "-1", "--format=%s") == f"Release {VERSION}"
    assert checkout.git("diff", "--name-only", "HEAD~1").split() == ["CHANGELOG.md", "pyproject.toml"]
    assert checkout.git("status", "--porcelain") == ""
    assert re.search(
        rf"^## Unreleased\n\n## {re.escape(VERSION)} - \d{{4}}-\d\d-\d\d\n\n- ",
        (checkout.path / "CHANGELOG.md").read_text(),
        re.MULTILINE,
    )
    notes = checkout.git("tag", "--list", "--format=%(contents)", f"v{VERSION}")
    assert notes.startswith(f"captionq {VERSION}\n\n- ")
    assert "\n## " not in notes


def test_a_release_that_exists_or_is_not_ready_is_refused(checkout: Checkout) -> None:
    """Each refusal says what is in the way, and changes nothing."""
    before = checkout.git("rev-parse", "HEAD")
    for version, reason in (
        (VERSION, "was released"),
        ("1.2", "three numbers"),
        ("0.0.9", "older than"),
        ("99.1.0", "nothing under"),
    ):
        refused = checkout.release(version)
        assert refused.returncode == 1
        assert reason in refused.stderr
    (checkout.path / "new.txt").touch()
    try:
        refused = checkout.release("99.1.0")
        assert refused.returncode == 1
        assert "new.txt" in refused.stderr
    finally:
        (checkout.path / "new.txt").unlink()
    assert checkout.git("rev-parse", "HEAD") == before


def test_the_checksums_are_those_of_all_files(checkout: Checkout) -> None:
    """`sha256sum --check` and `shasum -a 256 -c` read them."""
    assert {file.name for file in checkout.files.iterdir()} == FILES
    lines = (checkout.files / "SHA256SUMS").read_text().splitlines()
    assert {line.split("  ")[1] for line in lines} == FILES - {"SHA256SUMS"}
    tool = ["sha256sum"] if shutil.which("sha256sum") else ["shasum", "-a", "256"]
    subprocess.run([*tool, "--check", "SHA256SUMS"], cwd=checkout.files, check=True, capture_output=True)


def test_the_wheel_has_everything_in_the_tree(checkout: Checkout) -> None:
    """Templates, scripts, styles, migrations and models are files like all others; the commit is the release's own."""
    with checkout.wheel as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        assert names == set(checkout.git("ls-files", "captionq.py", "jobs", "worker", "api", "cli").split()) | {
            "cli/commit.txt"
        }
        assert {
            "api/pages/templates/base.html",
            "api/pages/static/style.css",
            "jobs/store/migrations/script.py.mako",
        } <= names
        assert wheel.read("cli/commit.txt").decode().strip() == checkout.git("rev-parse", "--short=12", "HEAD")
        metadata = wheel.read(f"captionq-{VERSION}.dist-info/METADATA").decode()
    assert f"\nVersion: {VERSION}\n" in metadata


def test_the_sdist_has_the_tree_and_its_commit(checkout: Checkout) -> None:
    """A wheel that is built from it later, without git, names the same commit."""
    with tarfile.open(checkout.files / f"captionq-{VERSION}.tar.gz") as sdist:
        names = {name.removeprefix(f"captionq-{VERSION}/") for name in sdist.getnames()}
    assert names == set(checkout.git("ls-files").split("\n")) | {"cli/commit.txt", "PKG-INFO"}


def test_the_list_of_packages_is_the_lock(checkout: Checkout) -> None:
    """The SBOM has each pin of the lock, and captionq as its subject."""
    document = json.loads((checkout.files / "sbom.cdx.json").read_text())
    subject = document["metadata"]["component"]
    assert (subject["name"], subject["version"], subject["type"]) == ("captionq", VERSION, "application")
    lock = (checkout.files / "requirements.txt").read_text()
    assert lock == (ROOT / "requirements" / "use.txt").read_text()
    listed = {f"{one['name']}=={one['version']}" for one in document["components"]}
    assert listed == set(re.findall(r"^[A-Za-z0-9_.-]+==[^\s;]+", lock, re.MULTILINE))


def test_the_formula_installs_these_files(checkout: Checkout) -> None:
    """Homebrew compares the checksums; nothing of the template is left. Ruby reads it where there is one."""
    formula = (checkout.files / "captionq.rb").read_text()
    sums = {
        name: checksum
        for checksum, name in (line.split("  ") for line in (checkout.files / "SHA256SUMS").read_text().splitlines())
    }
    assert re.findall(r"@[A-Z]\w+@", formula) == []
    for name in (f"captionq-{VERSION}-py3-none-any.whl", "requirements.txt"):
        assert re.search(
            rf'/v{re.escape(VERSION)}/{re.escape(name)}", using: :nounzip\n(?: *version .*\n)? *sha256 "{sums[name]}"\n',
            formula,
        )
    if ruby := shutil.which("ruby"):
        subprocess.run([ruby, "-c", checkout.files / "captionq.rb"], check=True, capture_output=True)


@pytest.mark.thorough
def test_a_dry_run_makes_the_files_only(checkout: Checkout) -> None:
    """The checkout has neither a new commit nor a tag."""
    changelog = checkout.path / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## Unreleased\n", "## Unreleased\n\n- News.\n", 1))
    checkout.git("commit", "--quiet", "--all", "--message", "News")
    before = checkout.git("rev-parse", "HEAD")
    assert "Dry run" in checkout.release("99.1.0", "--dry-run").stdout
    assert (checkout.git("rev-parse", "HEAD"), checkout.git("tag", "--list")) == (before, f"v{VERSION}")
    assert (checkout.path / "dist" / "99.1.0" / "SHA256SUMS").exists()


@pytest.fixture(params=["wheel", "sdist"])
def installed(request: pytest.FixtureRequest, checkout: Checkout, tmp_path: Path) -> Path:
    """The folder of the commands of a fresh environment with the packages of the lock and this file of the release."""
    uv = str(Path(sys.executable).with_name("uv"))
    environment = tmp_path / "environment"
    python = environment / "bin" / "python"
    (file,) = checkout.files.glob("*.whl" if request.param == "wheel" else "*.tar.gz")
    commands: tuple[list[str | Path], ...] = (
        [uv, "venv", "--quiet", "--python", sys.executable, environment],
        [uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", checkout.files / "requirements.txt"],
        # The lock has the build's tools too, so nothing else is fetched.
        [uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "--no-build-isolation", file],
    )
    for command in commands:
        subprocess.run(command, check=True)
    return environment / "bin"


@pytest.mark.thorough
def test_an_installed_release_captions(installed: Path, checkout: Checkout, tmp_path: Path) -> None:
    """From another folder, without the checkout, each example gets its text."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("*.txt"))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"CAPTIONQ_DATA_DIR": str(tmp_path / "data folder"), "HF_HUB_OFFLINE": "1"}

    def captionq(*arguments: str) -> str:
        command = [str(installed / "captionq"), *arguments]
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=True
        )
        return ran.stdout + ran.stderr

    assert captionq("--version") == f"{VERSION} ({checkout.git('rev-parse', '--short=12', f'v{VERSION}^{{commit}}')})\n"
    assert "12 images: 12 captioned, 0 skipped, 0 failed" in captionq("caption", "examples", "--model", "demo")
    assert len(list((tmp_path / "examples").rglob("*.txt"))) == 12
