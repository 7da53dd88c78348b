"""Write the benchmark's pictures: photo-like JPEGs of 640 to 1600 pixels.

python -m bench.pictures FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.benchmark.pictures import save_pictures


def main() -> None:
    """Parse the arguments and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    paths = save_pictures(arguments.folder, arguments.count, arguments.seed)
    size = sum(path.stat().st_size for path in paths)
    print(f"{len(paths)} pictures, {size / 1e6:.1f} MB in {arguments.folder}")


if __name__ == "__main__":
    main()
