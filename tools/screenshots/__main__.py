"""Take docs/pictures/page-*.webp from a real server: `make screenshots`. It needs a Chromium."""

from __future__ import annotations

import io
import random
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import httpx2
from PIL import Image
from playwright.sync_api import Browser, ViewportSize

from jobs.configuration.settings import Settings
from tests.support.browser import chromium
from tests.support.processes import SCRIPT
from tests.support.serving import serving
from tools.demo_model.scenes import SIZES, make_scene, render

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
#: Pictures of each folder that is captioned.
FOLDERS = {"Holidays 2025": 12, "Garden": 14, "Product photos": 40}
#: Size and colours of each look, and the width in pixels of its file.
LOOKS: dict[str, tuple[ViewportSize, Literal["light", "dark"], int]] = {
    "light": (ViewportSize(width=1280, height=800), "light", 1280),
    "dark": (ViewportSize(width=1280, height=800), "dark", 1280),
    "phone": (ViewportSize(width=360, height=740), "light", 540),
    "4k": (ViewportSize(width=3840, height=2160), "light", 1920),
}
#: The address of each page, by the word in the names of its files, from the id of a run and of a picture.
PAGES: dict[str, Callable[[str, str], str]] = {
    "runs": lambda run, picture: "/",
    "run": lambda run, picture: f"/runs/{run}",
    "picture": lambda run, picture: f"/runs/{run}/pictures/{picture}",
    "start": lambda run, picture: "/start",
    "chat": lambda run, picture: "/chat",
    "reference": lambda run, picture: "/docs/chat",
}
SHOWN_HOME, SHOWN_HOST = "/Users/me", "mac-mini"
#: Replaces a folder in the texts, and in titles, which can be broken behind each slash.
RENAME = """([from, to]) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(from, to);
    const [broken, whole] = [from, to].map((path) => path.replaceAll("/", "/<wbr>"));
    for (const title of document.querySelectorAll("h1, .run-title"))
        title.innerHTML = title.innerHTML.replaceAll(broken, whole);
}"""
#: Milliseconds for thumbnails and first events.
SETTLE = 2000


def main() -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder) / "data")
        settings.make_folders()
        with serving(settings, "--allow-root", folder, script=str(SCRIPT)) as served, chromium() as browser:
            run = _caption(served.client, Path(folder) / "Pictures")
            jobs = served.client.get("/v1/jobs", params={"batch": run, "status": "succeeded"}).json()["data"]
            for name, address in PAGES.items():
                for look in LOOKS:
                    file = PICTURES / f"page-{name}-{look}.webp"
                    _take(browser, served.url, address(run, jobs[0]["id"]), look, file, folder)
    # The picture at the top of the README.
    shutil.copy(PICTURES / "page-run-light.webp", ROOT / "docs" / "page.webp")


def _caption(client: httpx2.Client, pictures: Path) -> str:
    """Caption folders of pictures, the last of them partly; return the id of a run that has ended."""
    runs: list[str] = []
    for name, count in FOLDERS.items():
        (pictures / name).mkdir(parents=True)
        for number in range(count):
            rng = random.Random(f"{name} {number}")
            size = rng.choice(SIZES)
            render(make_scene(rng, size[0] / size[1]), size, rng).save(pictures / name / f"IMG_{2041 + number}.jpg")
        if len(runs) == 1:
            (pictures / name / "IMG_2040.jpg").write_bytes(b"This file was damaged.")
        made = client.post("/v1/folders", json={"path": str(pictures / name), "preset": "describe"})
        runs.append(made.raise_for_status().json()["id"])
    while client.get(f"/v1/folders/{runs[1]}").json()["status"] != "ended":
        time.sleep(0.2)
    return str(runs[1])


def _take(browser: Browser, address: str, path: str, look: str, file: Path, home: str) -> None:
    """Open a page in a window of this look, and keep its picture. The folder `home` and this machine have a person's names."""
    size, scheme, width = LOOKS[look]
    scale = max(1.0, width / size["width"])
    with browser.new_page(base_url=address, viewport=size, color_scheme=scheme, device_scale_factor=scale) as page:
        page.goto(path)
        page.wait_for_timeout(SETTLE)
        page.evaluate(RENAME, [home, SHOWN_HOME])
        page.evaluate(RENAME, [socket.gethostname(), SHOWN_HOST])
        taken = Image.open(io.BytesIO(page.screenshot()))
    taken.thumbnail((width, width * 3))
    taken.convert("RGB").save(file, "WEBP", quality=82, method=6)
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
