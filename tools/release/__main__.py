"""`python -m tools.release VERSION`: checks, the release's commit and tag, and its files in dist/VERSION.

The commit, the tag and the files are made in a clone. The checkout gets them at the end, so a release that fails changes nothing.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.release.checks import check
from tools.release.files import make_files
from tools.release.git import clone, git
from tools.release.texts import set_version

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Make a release. Exits with a sentence if something is in its way."""
    parser = argparse.ArgumentParser(prog="make release VERSION=…", description=__doc__)
    parser.add_argument("version", help="such as 1.2.0")
    parser.add_argument("--dry-run", action="store_true", help="make the files, and neither the commit nor the tag")
    parser.add_argument("--without-gate", action="store_true", help="leave out `make test` and `make wheels`")
    given = parser.parse_args()
    check(ROOT, given.version)
    if not given.without_gate:
        gate = ["make", "test", "wheels"]
        subprocess.run(gate, cwd=ROOT, check=True)
    target = ROOT / "dist" / given.version
    with tempfile.TemporaryDirectory() as folder:
        copy = clone(ROOT, Path(folder, "captionq"))
        notes = set_version(copy, given.version)
        git(copy, "commit", "--quiet", "--all", "--message", f"Release {given.version}")
        git(
            copy,
            "tag",
            "--annotate",
            "--cleanup=verbatim",
            "--message",
            f"captionq {given.version}\n\n{notes}",
            f"v{given.version}",
        )
        made = make_files(copy, Path(folder, "files"), given.version, validates=not given.without_gate)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made, target)
        if not given.dry_run:
            git(ROOT, "fetch", "--quiet", "--no-tags", str(copy), "HEAD")
            git(ROOT, "merge", "--quiet", "--ff-only", "FETCH_HEAD")
            git(ROOT, "fetch", "--quiet", str(copy), "tag", f"v{given.version}")
    _say(target, given.version, dry_run=given.dry_run)


def _say(target: Path, version: str, *, dry_run: bool) -> None:
    for file in sorted(target.iterdir()):
        print(f"{file.relative_to(ROOT)}  {file.stat().st_size:,} bytes")
    if "example.org" in (target / "captionq.rb").read_text():
        print(
            "The formula names example.org: put the project's own addresses into [tool.captionq.release] of pyproject.toml."
        )
    if dry_run:
        print("Dry run: the checkout has neither the commit nor the tag.")
        return
    print(f"The checkout has the commit and the tag v{version}. Nothing was published. What is left:")
    print(f"  git push origin HEAD v{version}")
    print(
        f"  upload the files of dist/{version}, with the text of the tag: git tag --list --format='%(contents)' v{version}"
    )
    print("  copy captionq.rb into the tap")


if __name__ == "__main__":
    main()
