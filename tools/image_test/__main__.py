"""Build the image, look into it, and run a chat and a folder through its server: `python -m tools.image_test`."""

from __future__ import annotations

import time
from pathlib import Path

from tools.image_test.building import BASE, IMAGE, build, check_tools, size
from tools.image_test.looking import check_contents
from tools.image_test.serving import check_service

CONTEXT = Path(__file__).parent.parent.parent


def main() -> None:
    """Print what was built and checked. The exit status is 1 if something is not as it should be."""
    check_tools()
    begun = time.monotonic()
    build(CONTEXT)
    print(f"built in {time.monotonic() - begun:.0f} s: {size(IMAGE)}, of which the base has {size(BASE)}")
    for line in check_contents():
        print(f"ok  {line}")
    for line in check_service():
        print(f"ok  {line}")


if __name__ == "__main__":
    main()
