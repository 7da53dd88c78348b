"""captionq's HTTP server beside others. Writes a record, and a chart with `--plot`.

    python -m bench.http MODEL [--rounds 3] [--core 1] [--preload LIBRARY] [--record bench/http.json] [--plot]

Three rounds take about a quarter of an hour. `--core 1` gives every contestant, with all its processes, that core (Linux); the
client takes the others. `bench/peers.sh` installs the other servers; those that are not there are left out. bench/README.md
explains the columns.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.http.contest import SUSTAINED, Contest
from bench.http.cores import leave_to_contestants
from bench.http.report import chart, summary, table
from bench.http.servers import SERVERS
from bench.machine import blas, processor
from bench.tasks import FULL_PIXELS, PROMPT, WARM_UP, make_environment
from cli.benchmark.contest import Task
from cli.benchmark.pictures import save_pictures
from cli.benchmark.result import environment

#: Requests of a burst by the number of requests at a time.
BURSTS = {1: 4, 8: 12, 32: 32}


def main() -> None:
    """Parse the arguments, run all rounds, write the record."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", type=Path, help="the folder that bench.model wrote, or another model")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--core", type=int, help="the core of each contestant's processes (Linux)")
    made.add_argument("--max-tokens", type=int, default=32)
    made.add_argument("--slots", type=int, default=32, help="sequences that decode together in captionq")
    made.add_argument("--preload", type=Path, help="a BLAS to preload: the Linux wheels of mlx bring a slow one")
    made.add_argument("--only", help="servers to measure, with commas between them", default=",".join(SERVERS))
    made.add_argument("--sustained", type=int, default=SUSTAINED, help="requests of the sustained run; 0: none")
    made.add_argument("--record", type=Path, default=Path("bench/http.json"))
    made.add_argument("--plot", action="store_true", help="draw the record's chart beside it, as PNG")
    arguments = made.parse_args()
    servers = [name for name in arguments.only.split(",") if SERVERS[name].installed]
    leave_to_contestants(arguments.core)
    with TemporaryDirectory(prefix="captionq-http-", ignore_cleanup_errors=True) as folder:
        task = _task(arguments, Path(folder))
        contest = Contest(task, servers, BURSTS, arguments.sustained, arguments.core, Path(folder))
        rounds = contest.run(arguments.rounds)
    record = {
        "environment": {
            **environment(),
            "processor": processor(),
            "blas": blas(arguments.preload),
            "core": arguments.core,
        },
        "bursts": BURSTS,
        "sustained": arguments.sustained,
        "max_tokens": arguments.max_tokens,
        "slots": arguments.slots,
        "left_out": sorted(set(SERVERS) - set(rounds[0])),
        "summary": summary(rounds),
        "rounds": rounds,
    }
    arguments.record.write_text(json.dumps(record, indent=1) + "\n")
    if arguments.plot:
        chart(record, arguments.record.with_suffix(".png"))
    print(table(record["summary"]))
    print(f"{arguments.record} has the percentiles.", file=sys.stderr)


def _task(arguments: argparse.Namespace, folder: Path) -> Task:
    bursts = save_pictures(folder / "pictures", sum(BURSTS.values()))
    return Task(
        model=str(arguments.model.resolve()),
        prompt=PROMPT,
        max_tokens=arguments.max_tokens,
        images=tuple(bursts + save_pictures(folder / "sustained", arguments.sustained, seed=3)),
        warm_up=tuple(save_pictures(folder / "warm-up", WARM_UP, seed=1)),
        environment=make_environment(arguments, FULL_PIXELS),
    )


if __name__ == "__main__":
    main()
