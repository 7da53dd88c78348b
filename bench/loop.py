"""The plain loop over `mlx_vlm.generate`, once, as JSON.

    python -m bench.loop MODEL PICTURES [--pixels draft] [--preload LIBRARY]

The loop loads the model, warms up, and answers about one picture after the other. `full`: mlx-vlm opens the files; `draft`:
captionq decodes them, as in its own runs with those settings.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.tasks import PIXEL_SETTINGS, make_task, parser
from cli.benchmark.loop import run_loop


def main() -> None:
    """Parse the arguments and run the loop."""
    made = parser(__doc__)
    made.add_argument("--pixels", choices=list(PIXEL_SETTINGS), default="full")
    arguments = made.parse_args()
    with TemporaryDirectory() as folder:
        task = make_task(arguments, Path(folder), PIXEL_SETTINGS[arguments.pixels])
        run = run_loop(task, Path(folder), same_pixels=arguments.pixels == "draft")
    print(json.dumps(run.as_json(texts=True), indent=1))


if __name__ == "__main__":
    main()
