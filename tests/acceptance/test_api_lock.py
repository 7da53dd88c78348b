"""requirements/api.txt: the API runs with the packages of its lock only, on machines without mlx."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from jobs.configuration.settings import Settings
from tests.support.serving import serving

ROOT = Path(__file__).parent.parent.parent
#: A package of a lock, without its version and marker.
_PINNED = re.compile(r"^([\w.-]+)==", re.MULTILINE)


def pinned(lock: str) -> set[str]:
    """Return the names of a lock's packages."""
    return set(_PINNED.findall((ROOT / "requirements" / lock).read_text()))


def install(names: set[str], folder: Path) -> None:
    """Link the files of installed packages into a folder. Packages for other systems are left out."""
    for name in names:
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        tops = {file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            link = folder / top
            if not link.exists():
                link.symlink_to(Path(str(package.locate_file(top))))


def test_the_api_runs_with_its_lock_only(settings: Settings, tmp_path: Path) -> None:
    """With the packages of the lock and no others, the server lists models and queues jobs."""
    packages = tmp_path / "packages"
    packages.mkdir()
    install(pinned("api.txt") | {"captionq"}, packages)
    assert not any((packages / name).exists() for name in ("mlx", "mlx_vlm", "transformers"))
    script = tmp_path / "captionq"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -c "from cli.main import main; main()" "$@"\n')
    script.chmod(0o755)
    path = f"{packages}:{ROOT}"
    with serving(settings, "--no-worker", ready=False, script=str(script), PYTHONPATH=path) as served:
        models = served.client.get("/v1/models").json()["data"]
        assert {model["id"] for model in models} >= {"demo", "demo-text"}
        schema = {"name": "answer", "schema": {"type": "object", "properties": {"colour": {"type": "string"}}}}
        job = {
            "model": "demo-text",
            "messages": [{"role": "user", "content": "Hello"}],
            "response_format": {"type": "json_schema", "json_schema": schema},
        }
        assert served.client.post("/v1/jobs", json=job).json()["status"] == "queued"


def test_the_api_lock_needs_no_compiler_and_no_model() -> None:
    """The lock is part of the worker's, without mlx and the packages that came with it."""
    api, everything = pinned("api.txt"), pinned("use.txt")
    assert api < everything
    assert not {"mlx", "mlx-lm", "mlx-vlm", "transformers", "miniaudio"} & api
    assert not {"opencv-python", "scipy", "pandas", "pyarrow", "mlx-audio", "miniaudio", "datasets"} & everything
