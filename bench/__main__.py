"""`python -m bench`: every row of the table, one after another, and a page of results.

python -m bench                          # all rows, some ten minutes
python -m bench images translation       # some modules of bench/rows
python -m bench --report                 # the page again, from the rows measured so far
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from rich.console import Console

from bench.machine import describe
from bench.place import ROOT, Place, stay_on
from bench.report import dated, terminal_table, write
from bench.row import Row

MODULES = (
    "images",
    "sentiment",
    "translation",
    "same_tokens",
    "overload",
    "neighbours",
    "leaving",
    "counting",
)
KEPT = ROOT / "build" / "bench" / "rows"
FORGET_S = 12 * 3600


def main() -> int:
    """Exit code 0 however the figures are: a bench measures, a test judges."""
    options = _parse()
    console = Console(stderr=True)
    place = Place(
        core=options.core,
        load_core=options.load_core,
        models=options.models.resolve(),
        scale=options.scale,
        rounds=options.rounds,
        serve=tuple(options.serve),
    )
    chosen = [] if options.report else options.rows or list(MODULES)
    for name in chosen:
        began_s = time.monotonic()
        rows = list(_measured(name, place, console))
        KEPT.mkdir(parents=True, exist_ok=True)
        kept = [{k: v for k, v in row.as_json().items() if k != "reached"} for row in rows]
        (KEPT / f"{name}.json").write_text(json.dumps(kept))
        console.print(f"[dim]{name}: {time.monotonic() - began_s:.0f} s[/]")
    rows = list(_kept(MODULES if options.report else chosen))
    Console().print(terminal_table(rows))
    for path in write(rows, describe(), "make bench", dated(options.out, options.suffix)):
        console.print(f"wrote {path}")
    return 0


def _measured(name: str, place: Place, console: Console) -> Iterator[Row]:
    stay_on({place.load_core})
    for row in import_module(f"bench.rows.{name}").measure(place):
        console.print(f"{row.title}: [bold]{row.shown}[/] ({row.wanted})  [dim]{row.detail}[/]")
        yield row


def _kept(names: Sequence[str]) -> Iterator[Row]:
    for name in names:
        path = KEPT / f"{name}.json"
        if path.exists() and time.time() - path.stat().st_mtime < FORGET_S:
            yield from (Row(**found) for found in json.loads(path.read_text()))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure every row.")
    parser.add_argument("rows", nargs="*", choices=[*MODULES, []], metavar="ROW", help="[all]")
    parser.add_argument("--models", type=Path, default=ROOT / "model_zoo", metavar="DIR")
    parser.add_argument("--rounds", type=int, default=3, help="paired rounds of a ratio [3]")
    parser.add_argument("--scale", type=float, default=1.0, help="of the length of a turn [1]")
    parser.add_argument("--core", type=int, default=0, help="of what is measured [0]")
    parser.add_argument("--load-core", type=int, default=1, help="of the load [1]")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", metavar="DIR")
    parser.add_argument("--suffix", default="", help="behind the date in the files' names")
    parser.add_argument("--report", action="store_true", help="only write the page again")
    parser.add_argument("--serve", nargs="*", default=[], help="more arguments for the service")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
