"""What can be typed after `slipway bench` and `slipway tune`."""

import argparse
from collections.abc import Callable
from pathlib import Path

BENCH_EXAMPLES = """\
examples:
  slipway bench                               32 clients on the images of a running `slipway serve`
  slipway bench --task translate --clients 64
  slipway bench --task sentiment --rate 50,100,200 --plot latency.svg
  slipway bench --slo-ms 100 --share 0.99     the highest rate at which 99 % take 100 ms or less
  slipway bench --task classify --data photos/ --trace arrivals.txt
  slipway bench --protocol oip --url http://127.0.0.1:8080 --model resnet --rate 200

With --clients each client asks again when it has its answer (closed loop). With --rate, --trace or
--slo-ms alone requests leave when they are due, whatever the server does (open loop), and latencies
count from that moment: a server that stalls cannot hide it. Arrivals are Poisson unless traced.
"""
TUNE_EXAMPLES = """\
examples:
  slipway tune --slo-ms 200 --out slipway.toml
  slipway tune --task sentiment --task translate --seconds 5
  slipway serve --config slipway.toml         what was found

Starts the real server with one candidate after another and finds its capacity under the objective.
Takes minutes; leave the machine alone meanwhile.
"""

# An argparse help: no per cent sign without its twin.
FEW_ITEMS = (
    "Identical items in flight run once, so few lines flatter a server that was not started "
    "with --no-share-identical"
)


def add_bench(parser: argparse.ArgumentParser) -> None:
    """Options of `slipway bench`."""
    parser.add_argument(
        "--url", default="http://127.0.0.1:8000", help="the running server [http://127.0.0.1:8000]"
    )
    parser.add_argument("--protocol", choices=("native", "oip"), default="native", help="[native]")
    parser.add_argument(
        "--task", choices=("classify", "sentiment", "translate"), default="classify"
    )
    parser.add_argument("--model", default="", metavar="NAME", help="[the default of the task]")
    parser.add_argument("--model-version", default="", metavar="N", help="with oip [any]")
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="images, or texts one a line, instead of made-up ones; a file or a folder. "
        f"{FEW_ITEMS}",
    )
    parser.add_argument(
        "--shape",
        action="append",
        default=[],
        type=_shape,
        metavar="INPUT:1,3,32,32",
        help="with oip: the shape where the metadata leave it open [1 everywhere]",
    )
    parser.add_argument("--header", action="append", default=[], type=_header, metavar="NAME:VALUE")
    load = parser.add_mutually_exclusive_group()
    load.add_argument("--clients", type=_count, metavar="N", help="closed loop [32]")
    load.add_argument("--rate", type=_rates, metavar="R[,R…]", help="open loop, requests a second")
    load.add_argument(
        "--trace", type=Path, metavar="FILE", help="open loop: send times, one a line"
    )
    parser.add_argument("--seconds", type=_positive, default=10.0, help="of each load [10]")
    parser.add_argument("--warm-up", type=_seconds, default=1.0, metavar="SECONDS", help="[1]")
    parser.add_argument("--seed", type=int, default=0, help="of arrivals and payloads [0]")
    _add_slo(parser, None)
    parser.add_argument("--json", action="store_true", help="JSON instead of a table")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="latency against load")


def add_tune(parser: argparse.ArgumentParser) -> None:
    """Options of `slipway tune`."""
    parser.add_argument("--models", type=Path, metavar="DIR", help="[those that come with Slipway]")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings to start from")
    parser.add_argument(
        "--task",
        action="append",
        choices=("classify", "sentiment", "translate"),
        help="tune for this one; may be repeated [all that the models can do]",
    )
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help=f"with one --task: payloads as for bench. {FEW_ITEMS}",
    )
    _add_slo(parser, 200.0)
    parser.add_argument("--seconds", type=_positive, default=3.0, help="of each trial [3]")
    parser.add_argument("--seed", type=int, default=0, help="of arrivals and payloads [0]")
    parser.add_argument(
        "--knob",
        action="append",
        default=[],
        type=_knob,
        metavar="SETTING=1,2,4",
        help="try these values instead of the usual ones; may be repeated",
    )
    parser.add_argument("--out", type=Path, default=Path("slipway.toml"), help="[slipway.toml]")
    parser.add_argument("--report", type=Path, metavar="FILE.md", help="[--out with .md]")


def _add_slo(parser: argparse.ArgumentParser, default_ms: float | None) -> None:
    shown = f" [{default_ms:g}]" if default_ms else ""
    parser.add_argument(
        "--slo-ms",
        type=_positive,
        default=default_ms,
        metavar="MS",
        help=f"answers are good when they take no longer{shown}",
    )
    parser.add_argument(
        "--share", type=_share, default=0.99, help="of requests that must be good [0.99]"
    )


def _checked(
    read: Callable[[str], float], fits: Callable[[float], bool], what: str
) -> Callable[[str], float]:
    def convert(word: str) -> float:
        try:
            value = read(word)
        except ValueError:
            value = float("nan")
        if not fits(value):
            raise argparse.ArgumentTypeError(f"{word!r} is not {what}")
        return value

    return convert


_positive = _checked(float, lambda v: 0 < v < float("inf"), "a number above 0")
_seconds = _checked(float, lambda v: 0 <= v < float("inf"), "seconds")
_share = _checked(float, lambda v: 0 < v <= 1, "a share above 0, up to 1")


def _count(word: str) -> int:
    return int(_checked(int, lambda v: v >= 1, "a whole number above 0")(word))


def _rates(word: str) -> list[float]:
    return [_positive(part) for part in word.split(",")]


def _shape(word: str) -> tuple[str, list[int]]:
    name, _, sizes = word.rpartition(":")
    if not name:
        raise argparse.ArgumentTypeError(f"{word!r} is not INPUT:1,3,32,32")
    return name, [_count(size) for size in sizes.split(",")]


def _header(word: str) -> tuple[str, str]:
    name, colon, value = word.partition(":")
    if not colon or not name.strip() or "\n" in word or "\r" in word:
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME:VALUE")
    return name.strip(), value.strip()


def _knob(word: str) -> tuple[str, list[int]]:
    name, _, values = word.partition("=")
    if not values:
        raise argparse.ArgumentTypeError(f"{word!r} is not SETTING=1,2,4")
    return name.replace("-", "_"), [
        int(_checked(int, lambda v: v >= 0, "a whole number")(value)) for value in values.split(",")
    ]
