"""The whole product, once, as JSON: `captionq caption` in front of a warm `captionq work`.

    python -m bench.product MODEL PICTURES [--slots 32] [--pixels draft] [--preload LIBRARY]

Measured: rows, queue entries, decoding, generation, text files, results in the store. Not measured: the command's own start, and
loading and warming up the model.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.tasks import PIXEL_SETTINGS, make_task, parser
from cli.benchmark.product import run_product


def main() -> None:
    """Parse the arguments and run captionq."""
    made = parser(__doc__)
    made.add_argument("--pixels", choices=list(PIXEL_SETTINGS), default="full")
    arguments = made.parse_args()
    with TemporaryDirectory() as folder:
        run = run_product(make_task(arguments, Path(folder), PIXEL_SETTINGS[arguments.pixels]))
    print(json.dumps(run.as_json(texts=True), indent=1))


if __name__ == "__main__":
    main()
